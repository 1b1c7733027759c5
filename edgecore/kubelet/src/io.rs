//! Serving one request on one stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kit::tasks::Group;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::healthz::{self, Alive};
use crate::route::{Route, route, text};

/// Requests at once; as many streams as the link takes.
const MAX_REQUESTS: usize = 64;
/// A request's head must be there within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Serves the kubelet's API. Clones serve the same.
#[derive(Clone)]
pub struct Kubelet {
    alive: Arc<dyn Alive>,
    requests: Group,
}

impl std::fmt::Debug for Kubelet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubelet").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

impl Kubelet {
    /// Nothing is served yet.
    pub fn new(alive: impl Alive) -> Self {
        Self { alive: Arc::new(alive), requests: Group::new("kubelet", MAX_REQUESTS) }
    }

    /// Serves the one request of a stream, beside others. Where too many run already the stream is dropped, which
    /// resets it.
    pub fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let alive = Arc::clone(&self.alive);
        let started = self.requests.spawn(async move {
            let service = service_fn(move |request| {
                let alive = Arc::clone(&alive);
                async move { Ok::<_, Infallible>(answer(&request, alive.as_ref())) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .max_buf_size(16 * 1024)
                .keep_alive(false)
                // The cloud may say that its request is all before it reads the answer.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a request of the cloud ended early");
            }
        });
        if !started {
            tracing::warn!(most = MAX_REQUESTS, "a request of the cloud was refused: too many run");
        }
    }
}

fn answer(request: &Request<Incoming>, alive: &dyn Alive) -> Response<Full<Bytes>> {
    match route(request.method(), request.uri().path()) {
        Route::Healthz => healthz::answer(alive),
        Route::NotFound => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
        Route::MethodNotAllowed => {
            text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n".to_owned())
        }
    }
}

#[cfg(test)]
#[path = "tests/serving.rs"]
mod tests;
