//! `exec`, `attach` and `portForward`: the container runtime's own streaming server does them. It is asked for an address
//! that is good for one request; that request goes there as it came, and from then on bytes pass through both ways.

use bytes::Bytes;
use edgecore_pods::runtime::{ContainerId, Runtime, RuntimeError, Streaming, Streams};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::answer::{Body, full, text};
use crate::find::{Found, Refusal, find};
use crate::io::Parts;
use crate::route::Place;

/// Longest refusal of the streaming server that is passed on, in bytes.
const MAX_REFUSAL: usize = 64 << 10;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Exec,
    Attach,
    PortForward,
}

/// Both ends of what passes through, once the answer is out.
pub(crate) type Passing = oneshot::Sender<(hyper::upgrade::OnUpgrade, hyper::upgrade::OnUpgrade)>;

/// Answers, and hands over what is to be joined where the streaming server took the request.
pub(crate) async fn answer<R: Runtime + Streaming>(
    parts: &Parts<R>,
    wish: Wish,
    place: Place<'_>,
    mut request: Request<Incoming>,
    passing: Passing,
) -> Response<Body> {
    let address = match address(parts, wish, place, request.uri().query().unwrap_or_default()).await {
        Ok(address) => address,
        Err((status, words)) => return text(status, words),
    };
    let near = hyper::upgrade::on(&mut request);
    match ask(parts, &address, &request).await {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            // Nobody waits for it only where the request is over.
            let _ = passing.send((near, hyper::upgrade::on(&mut response)));
            let mut switched = text(StatusCode::SWITCHING_PROTOCOLS, "");
            *switched.headers_mut() = response.headers().clone();
            switched
        }
        Ok(response) => {
            let status = response.status();
            let said = Limited::new(response.into_body(), MAX_REFUSAL).collect().await;
            let said = said.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            full(status, "text/plain; charset=utf-8", said.to_vec())
        }
        Err(error) => {
            let words = format!(
                "the runtime's streaming server does not answer: {}",
                kit::errors::chain(error.as_ref())
            );
            text(StatusCode::INTERNAL_SERVER_ERROR, words)
        }
    }
}

/// Where the runtime serves this one request.
async fn address<R: Runtime + Streaming>(
    parts: &Parts<R>,
    wish: Wish,
    place: Place<'_>,
    query: &str,
) -> Result<String, Refusal> {
    let pod = find(&parts.store, place)?;
    let failed = |error: RuntimeError| match error {
        RuntimeError::NotFound(_) => (StatusCode::NOT_FOUND, error.to_string()),
        RuntimeError::Unavailable(_) | RuntimeError::Image { .. } | RuntimeError::Failed(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    };
    let asked = match wish {
        Wish::Exec => {
            let command = commands(query);
            if command.is_empty() {
                return Err((StatusCode::BAD_REQUEST, "you must specify a command".to_owned()));
            }
            parts.runtime.exec_address(&running(&pod, place)?, &command, streams(query)?).await
        }
        Wish::Attach => parts.runtime.attach_address(&running(&pod, place)?, streams(query)?).await,
        Wish::PortForward => {
            let seen = parts.runtime.observe().await.map_err(failed)?;
            let own =
                seen.sandboxes.into_iter().filter(|sandbox| sandbox.pod_uid == pod.uid && sandbox.ready);
            let newest = own.max_by_key(|sandbox| sandbox.attempt);
            let none = || {
                (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to find sandbox for pod {:?}", place.pod))
            };
            parts.runtime.port_forward_address(&newest.ok_or_else(none)?.id).await
        }
    };
    asked.map_err(failed)
}

fn running(pod: &Found, place: Place<'_>) -> Result<ContainerId, Refusal> {
    let none = || (StatusCode::INTERNAL_SERVER_ERROR, format!("container not found ({:?})", place.container));
    pod.reported.running(place.container).map(ContainerId).ok_or_else(none)
}

fn commands(query: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(name, _)| name == "command").map(|(_, word)| word.into_owned()).collect()
}

/// Which streams are wanted, as a kubelet reads them: `1` is yes, and a terminal has no standard error of its own.
fn streams(query: &str) -> Result<Streams, Refusal> {
    let is = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == wanted && value == "1")
    };
    let tty = is("tty");
    let streams = Streams { stdin: is("input"), stdout: is("output"), stderr: is("error") && !tty, tty };
    if !streams.stdin && !streams.stdout && !streams.stderr {
        let words = "you must specify at least 1 of stdin, stdout, stderr".to_owned();
        return Err((StatusCode::BAD_REQUEST, words));
    }
    Ok(streams)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sends the request there, as it came but for its path.
async fn ask<R: Runtime>(
    parts: &Parts<R>,
    address: &str,
    request: &Request<Incoming>,
) -> Result<Response<Incoming>, Failure> {
    let address: Uri = address.parse()?;
    let authority = address.authority().ok_or("an address without a host")?.clone();
    if address.scheme_str() != Some("http") {
        return Err(format!("it wants {address}, and only http is spoken on the node itself").into());
    }
    let stream = TcpStream::connect(authority.as_str()).await?;
    stream.set_nodelay(true)?;
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut passed = Request::new(Empty::<Bytes>::new());
    *passed.method_mut() = request.method().clone();
    *passed.uri_mut() = address.path_and_query().map(ToString::to_string).unwrap_or_default().parse()?;
    *passed.headers_mut() = request.headers().clone();
    passed.headers_mut().insert(header::HOST, authority.as_str().parse()?);
    // Until the answer is read, or its bytes are handed over.
    let driven = parts.connections.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "the runtime's streaming server ended a request early");
        }
    });
    if !driven {
        return Err("too many requests to it are under way".into());
    }
    Ok(requests.send_request(passed).await?)
}
