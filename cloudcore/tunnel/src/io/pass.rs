//! Passes one request on over a stream of the node's link, and its answer back.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kit::errors::chain;
use kit::tasks::Group;
use tokio::io::copy_bidirectional_with_sizes;

use super::endpoint::Running;

/// The body of every answer.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Bytes under way in one direction of what passes through, on this side of the link's own window.
const PASSING: usize = 16 << 10;

/// An answer in plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text: String = text.into();
    text.push('\n');
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// Sends the request over the stream as it came, but for what proves who the caller is: that stays in the cloud.
/// `running` ends with the last byte of it.
pub(super) async fn pass(
    tasks: &Group,
    stream: link::Stream,
    mut request: Request<Incoming>,
    running: Arc<Running>,
) -> Response<Body> {
    let near = hyper::upgrade::on(&mut request);
    match send(tasks, stream, request, Arc::clone(&running)).await {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let far = hyper::upgrade::on(&mut response);
            if !tasks.spawn(join(near, far, running)) {
                return text(StatusCode::SERVICE_UNAVAILABLE, "too many calls are under way");
            }
            let (parts, _) = response.into_parts();
            Response::from_parts(parts, Full::default().map_err(|never| match never {}).boxed_unsync())
        }
        Ok(response) => {
            // Held for as long as the answer goes on.
            response.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &running;
                    frame
                })
                .boxed_unsync()
            })
        }
        Err(error) => {
            let words = format!("the edge did not answer: {}", chain(&error));
            text(StatusCode::INTERNAL_SERVER_ERROR, words)
        }
    }
}

async fn send(
    tasks: &Group,
    stream: link::Stream,
    request: Request<Incoming>,
    running: Arc<Running>,
) -> Result<Response<Incoming>, hyper::Error> {
    let (mut requests, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(64 << 10)
        .handshake(TokioIo::new(stream))
        .await?;
    // Ends when the answer was read or dropped, or its bytes are handed over. Where it cannot start the request fails.
    tasks.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a call to an edge ended early");
        }
        drop(running);
    });
    let (mut parts, body) = request.into_parts();
    if let Some(path) = parts.uri.path_and_query().cloned() {
        parts.uri = path.into();
    }
    for secret in [header::AUTHORIZATION, header::COOKIE] {
        parts.headers.remove(secret);
    }
    parts.headers.insert(header::HOST, HeaderValue::from_static("edge"));
    requests.send_request(Request::from_parts(parts, body)).await
}

/// Joins both ends until both have ended, or one broke: then neither is left open.
async fn join(near: OnUpgrade, far: OnUpgrade, running: Arc<Running>) {
    match tokio::try_join!(near, far) {
        Ok((near, far)) => {
            let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
            if let Err(error) = copy_bidirectional_with_sizes(&mut near, &mut far, PASSING, PASSING).await {
                tracing::debug!(%error, "a stream broke");
            }
        }
        Err(error) => tracing::debug!(%error, "a stream ended before it was joined"),
    }
    drop(running);
}
