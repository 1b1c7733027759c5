//! One HTTP request to an edge, over a stream of its link.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;

use super::HubError;

/// How long an edge may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest answer read, in bytes.
const MAX_ANSWER: usize = 4 << 10;

/// What an edge says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// HTTP status.
    pub code: u16,
    /// What it says.
    pub text: String,
}

/// `GET /healthz`.
pub(super) async fn ask(
    node: &str,
    stream: impl Future<Output = Result<link::Stream, HubError>> + Send,
) -> Result<Health, HubError> {
    let asked = async {
        let failed = |source| HubError::Request { node: node.to_owned(), source };
        let (mut requests, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream.await?)).await.map_err(failed)?;
        let mut request = http::Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = http::Uri::from_static("/healthz");
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("edge"));
        let answered = async {
            let response = requests.send_request(request).await?;
            let code = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            // An answer that is too long, or cut, still has its status.
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok(Health { code, text: String::from_utf8_lossy(&body).into_owned() })
        };
        tokio::pin!(connection, answered);
        let answer = tokio::select! {
            answer = &mut answered => answer,
            // Over as soon as everything was read, or broken; either way what it read is with `answered`.
            _ = &mut connection => answered.await,
        };
        answer.map_err(failed)
    };
    tokio::time::timeout(LIMIT, asked)
        .await
        .unwrap_or_else(|_| Err(HubError::Timeout { node: node.to_owned(), limit: LIMIT }))
}
