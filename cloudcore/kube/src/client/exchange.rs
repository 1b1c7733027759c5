//! Bodies of requests and answers.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{ApiStatus, KubeError};

/// Longest line of a watch, in bytes.
const MAX_LINE: usize = 16 << 20;
/// Longest refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 << 10;

pub(super) fn encode(
    method: &Method,
    path: &str,
    body: &impl Serialize,
    content_type: &'static str,
) -> Result<(Vec<u8>, &'static str), KubeError> {
    serde_json::to_vec(body)
        .map(|bytes| (bytes, content_type))
        .map_err(|source| KubeError::Encode { request: format!("{method} {path}"), source })
}

pub(super) fn decode<T: DeserializeOwned>(
    method: &Method,
    path: &str,
    answer: &[u8],
) -> Result<T, KubeError> {
    serde_json::from_slice(answer)
        .map_err(|source| KubeError::Decode { request: format!("{method} {path}"), source })
}

/// Reads a body to its end.
pub(super) async fn collect(request: &str, mut body: Body, limit: usize) -> Result<Bytes, KubeError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| broken(request, source))?;
        if let Some(data) = frame.data_ref() {
            if read.len() + data.len() > limit {
                return Err(KubeError::TooLong { request: request.to_owned(), limit });
            }
            read.extend_from_slice(data);
        }
    }
    Ok(read.freeze())
}

fn broken(request: &str, source: kube::Error) -> KubeError {
    KubeError::Transport { request: request.to_owned(), source: Box::new(source) }
}

/// A refusal, in the API server's words where it has any.
pub(super) async fn refusal(request: String, response: http::Response<Body>) -> KubeError {
    let code = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(http::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = collect(&request, response.into_body(), MAX_REFUSAL).await.unwrap_or_default();
    let said: Said = serde_json::from_slice(&body).unwrap_or_default();
    let message = if said.message.is_empty() { "refused without a message".to_owned() } else { said.message };
    KubeError::Api { request, status: ApiStatus { code, reason: said.reason, message, retry_after } }
}

/// The part of a Status that is of use.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    message: String,
    reason: String,
}

/// The answer to a watch: one event a line.
#[derive(Debug)]
pub(crate) struct Lines {
    request: String,
    body: Body,
    buffer: BytesMut,
    /// Where the search for the end of the line goes on.
    searched: usize,
    /// The current line was too long, and its rest is being thrown away.
    skipping: bool,
}

/// One line, or what is left of it.
#[derive(Debug)]
pub(crate) enum Line {
    /// A line without its end.
    Whole(Bytes),
    /// A line that was too long to be kept.
    TooLong,
}

impl Lines {
    pub(super) fn new(request: String, body: Body) -> Self {
        Self { request, body, buffer: BytesMut::new(), searched: 0, skipping: false }
    }

    /// The next line; `None` at the end.
    ///
    /// Cancel-safe: what was read stays in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, KubeError> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            match kit::sim::leaf(self.body.frame()).await {
                None => return Ok(None),
                Some(Err(source)) => return Err(broken(&self.request, source)),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        loop {
            let end = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n');
            match end {
                Some(at) => {
                    let line = self.buffer.split_to(self.searched + at).freeze();
                    self.buffer.advance(1);
                    self.searched = 0;
                    if std::mem::take(&mut self.skipping) {
                        return Some(Line::TooLong);
                    }
                    if line.is_empty() {
                        continue;
                    }
                    // A copy of its own size: the buffer it was cut from may be much larger.
                    return Some(Line::Whole(Bytes::copy_from_slice(&line)));
                }
                None if self.buffer.len() > MAX_LINE => {
                    self.buffer.clear();
                    self.searched = 0;
                    self.skipping = true;
                    return None;
                }
                None => {
                    self.searched = self.buffer.len();
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static [u8]) -> Lines {
        Lines::new("GET /x".to_owned(), Body::from(text.to_vec()))
    }

    #[tokio::test]
    async fn lines_come_whole_and_empty_ones_are_skipped() {
        let mut lines = lines(b"{\"a\":1}\n\n{\"b\":2}\n{\"cut");
        let mut seen = Vec::new();
        while let Some(Line::Whole(line)) = lines.next().await.unwrap() {
            seen.push(line);
        }
        assert_eq!(seen, [&b"{\"a\":1}"[..], b"{\"b\":2}"]);
    }
}
