//! Speaks HTTP to the agent's local socket.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kit::tasks::Group;
use tokio::net::UnixStream;

use crate::config::EdgeConfig;
use crate::lock;

/// An agent that takes longer to begin an answer, or to end one that it has as a whole, hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Longest refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 << 10;

/// An answer that was no refusal.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    /// Drives the connection for as long as the answer is read.
    pub(crate) connection: Group,
}

/// A connection to the agent that serves this socket; `None` where nobody does.
///
/// # Errors
/// The caller may not connect, or the kernel refuses.
pub(crate) async fn connect(socket: &Path) -> anyhow::Result<Option<UnixStream>> {
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "not permitted to ask edgecore on {}: only root and the user that it runs as are",
            socket.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot ask edgecore on {}", socket.display())),
    }
}

/// A connection to the agent of this configuration.
///
/// # Errors
/// As [`connect`]; and it does not run, or does not serve the socket.
pub(crate) async fn agent(config: &EdgeConfig) -> anyhow::Result<UnixStream> {
    let socket = &config.local_socket;
    match connect(socket).await? {
        Some(stream) => Ok(stream),
        None if lock::is_held(&config.state_dir) => {
            bail!("edgecore runs and does not serve {} (yet)", socket.display())
        }
        None => bail!("edgecore does not run on this node: nobody serves {}", socket.display()),
    }
}

/// A request without a body, for [`send`].
pub(crate) fn request(path_and_query: &str) -> http::request::Builder {
    Request::get(path_and_query).header(header::HOST, "edgecore")
}

/// Sends a request and returns the answer, of which the body is still to be read.
///
/// # Errors
/// The agent does not answer, or refuses: then the words are its own.
pub(crate) async fn send(stream: UnixStream, request: http::request::Builder) -> anyhow::Result<Answer> {
    let connection = Group::new("request", 1);
    let answer = async {
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // What it has to say of its end, whoever reads the answer is told as well.
        connection.spawn(async move { drop(driver.with_upgrades().await) });
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        if response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let status = response.status();
        let said = Limited::new(response.into_body(), MAX_REFUSAL).collect().await;
        let said = said.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        match String::from_utf8_lossy(&said).trim() {
            "" => bail!("edgecore answers {status}"),
            said => bail!("{said}"),
        }
    };
    let response = within(answer).await?;
    Ok(Answer { response, connection })
}

/// The whole answer to a GET, of at most so many bytes.
///
/// # Errors
/// As [`send`]; and the answer is longer, or breaks off.
pub(crate) async fn get(stream: UnixStream, path: &str, most: usize) -> anyhow::Result<Bytes> {
    let answer = send(stream, request(path)).await?;
    let body = Limited::new(answer.response.into_body(), most);
    let whole = async { body.collect().await.map_err(|error| anyhow!(error)) };
    Ok(within(whole).await.context("edgecore's answer cannot be read")?.to_bytes())
}

async fn within<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let waited = || format!("edgecore does not answer within {} s", ANSWER_WITHIN.as_secs());
    tokio::time::timeout(ANSWER_WITHIN, work).await.with_context(waited)?
}
