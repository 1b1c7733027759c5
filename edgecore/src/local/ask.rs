//! Asking the agent that runs.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::STATUS;
use crate::status::View;

/// An agent that takes longer hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// The status of the agent that serves this socket; `None` where nobody does.
pub(crate) async fn status(path: &Path) -> anyhow::Result<Option<View>> {
    let asked = || format!("cannot ask edgecore on {}", path.display());
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(asked),
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, get(stream)).await;
    let answer = answer.map_err(anyhow::Error::from).flatten().with_context(asked)?;
    serde_json::from_slice(&answer).context("edgecore's answer is not understood").map(Some)
}

async fn get(stream: UnixStream) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(STATUS).header(header::HOST, "edgecore").body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        if status != StatusCode::OK {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end in the same moment in which the answer is complete.
        ended = connection => {
            ended?;
            exchange.await
        }
    }
}
