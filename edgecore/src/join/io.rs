//! The network and the machine, as far as joining looks at them.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use link::Proxies;
use pki::{JoinAnswer, JoinRefusal, MAX_JOIN_BODY};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::retry::Outcome;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The machine's host name.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether somebody listens on the container runtime's socket; the error says why not.
pub(super) async fn reach(socket: &str) -> Result<(), String> {
    let path = socket.strip_prefix("unix://").ok_or_else(|| "not unix:///PATH".to_owned())?;
    let connected = tokio::time::timeout(CONNECT_WITHIN, UnixStream::connect(path)).await;
    connected.map_err(|_| "no answer".to_owned())?.map(drop).map_err(|error| error.to_string())
}

/// Asks one endpoint once.
pub(super) async fn post(
    endpoint: &str,
    proxies: &Proxies,
    tls: Arc<ClientConfig>,
    body: Vec<u8>,
) -> Result<JoinAnswer, Outcome> {
    let exchanged =
        tokio::time::timeout(ANSWER_WITHIN, Box::pin(exchange(endpoint, proxies, tls, body))).await;
    let (status, retry_after, body) = exchanged
        .unwrap_or_else(|_| Err(unanswered(&format!("no answer within {} s", ANSWER_WITHIN.as_secs()))))?;
    if status == StatusCode::OK {
        return serde_json::from_slice(&body)
            .map_err(|error| Outcome::Unreachable(format!("answer is not understood: {error}")));
    }
    let reason = serde_json::from_slice::<JoinRefusal>(&body).map(|refusal| refusal.reason);
    let reason = one_line(&reason.unwrap_or_else(|_| format!("HTTP status {status}")));
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        Err(Outcome::Later(reason, retry_after))
    } else if status == StatusCode::NOT_FOUND {
        Err(Outcome::Unreachable(format!("no join endpoint there ({reason})")))
    } else {
        Err(Outcome::Refused(reason))
    }
}

async fn exchange(
    endpoint: &str,
    proxies: &Proxies,
    tls: Arc<ClientConfig>,
    body: Vec<u8>,
) -> Result<(StatusCode, Option<Duration>, Bytes), Outcome> {
    let uri: Uri = endpoint.parse().map_err(|_| unanswered(&"not a URL"))?;
    let authority = uri.authority().ok_or_else(|| unanswered(&"URL without a host"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(443);
    let dialled = link::dial(
        host,
        port,
        proxies,
        CONNECT_WITHIN,
        ANSWER_WITHIN,
        &mut link::Late::new(kit::Clock::system()),
    )
    .await;
    let (tcp, _) = dialled.map_err(|error| unanswered(&error))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unanswered(&error))?;
    let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(|error| distrust(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unanswered(&error))?;
    let request = Request::post("/v1/join")
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| unanswered(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| unanswered(&error))?;
        let status = response.status();
        let said = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = said.and_then(|value| value.parse().ok()).map(Duration::from_secs);
        let body = Limited::new(response.into_body(), MAX_JOIN_BODY).collect().await;
        Ok((status, retry_after, body.map_err(|error| unanswered(&error))?.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end in the same moment in which the answer is complete.
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(unanswered(&error)),
        },
    }
}

fn unanswered(why: &dyn Display) -> Outcome {
    Outcome::Unreachable(why.to_string())
}

/// A TLS failure: what was sent is not what the token's cloud would send, or the connection broke.
fn distrust(error: &std::io::Error) -> Outcome {
    let why = format!("TLS: {error}");
    if error.kind() == std::io::ErrorKind::InvalidData { Outcome::Stranger(why) } else { unanswered(&why) }
}

/// A reason from outside, fit to be printed: one line, and no longer than a screen.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}
