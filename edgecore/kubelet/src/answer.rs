//! Answers, and what makes them.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    full(status, "text/plain; charset=utf-8", text.into().into_bytes())
}

/// An answer that is there as a whole.
pub(crate) fn full(status: StatusCode, content_type: &'static str, content: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(whole(content));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A body that is there as a whole.
pub(crate) fn whole(content: Vec<u8>) -> Body {
    Full::new(Bytes::from(content)).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in JSON.
pub(crate) fn json(value: &serde_json::Value) -> Response<Body> {
    full(StatusCode::OK, "application/json", value.to_string().into_bytes())
}

/// Nobody answers this method here; `allowed` are those that are answered.
pub(crate) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Runs what may wait for the disk where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It is never aborted.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
