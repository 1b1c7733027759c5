//! Serving one request on one stream.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edgecore_pods::runtime::{Runtime, Streaming};
use edgecore_store::Store;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kit::Clock;
use kit::tasks::Group;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::sync::oneshot;

use crate::answer::{Body, text};
use crate::healthz::{self, Alive};
use crate::route::{Route, route};
use crate::streams::{self, Wish};
use crate::{logs, pods};

/// Requests at once; as many streams as the link takes.
const MAX_REQUESTS: usize = 256;
/// A request's head must be there within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Bytes under way in one direction of what passes through.
const PASSING: usize = 16 * 1024;

/// What answers are made from.
pub struct Parts<R> {
    /// What should run here, and what was reported.
    pub store: Store,
    /// What does run here.
    pub runtime: R,
    /// The time.
    pub clock: Clock,
    /// Whether the agent is well.
    pub alive: Box<dyn Alive>,
    /// Connections to the runtime's streaming server.
    pub(crate) connections: Group,
}

impl<R> Parts<R> {
    /// Parts from the parts.
    pub fn new(store: Store, runtime: R, clock: Clock, alive: impl Alive) -> Self {
        let connections = Group::new("kubelet streaming", MAX_REQUESTS);
        Self { store, runtime, clock, alive: Box::new(alive), connections }
    }
}

/// Serves the kubelet's API. Clones serve the same.
pub struct Kubelet<R> {
    parts: Arc<Parts<R>>,
    requests: Group,
}

impl<R> Clone for Kubelet<R> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts), requests: self.requests.clone() }
    }
}

impl<R> std::fmt::Debug for Kubelet<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubelet").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

impl<R> std::fmt::Debug for Parts<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl<R: Runtime + Streaming> Kubelet<R> {
    /// Nothing is served yet.
    pub fn new(parts: Parts<R>) -> Self {
        Self { parts: Arc::new(parts), requests: Group::new("kubelet", MAX_REQUESTS) }
    }

    /// Serves the one request of a stream, beside others. Where too many run already the stream is dropped, which
    /// resets it.
    pub fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let parts = Arc::clone(&self.parts);
        let started = self.requests.spawn(async move {
            let (passing, passed) = oneshot::channel();
            let passing = Mutex::new(Some(passing));
            let service = service_fn(|request| {
                let passing = passing.lock().unwrap_or_else(PoisonError::into_inner).take();
                let parts = Arc::clone(&parts);
                async move { Ok::<_, Infallible>(last(answer(&parts, request, passing).await)) }
            });
            // No half of the stream may end before the other: a cloud that has gone must be noticed also while there is
            // nothing to send.
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = served.await {
                tracing::debug!(%error, "a request of the cloud ended early");
            }
            drop(passing);
            if let Ok((near, far)) = passed.await {
                pass(near, far).await;
            }
        });
        if !started {
            tracing::warn!(most = MAX_REQUESTS, "a request of the cloud was refused: too many run");
        }
    }
}

/// A stream is for one request. To say so of one that switches protocols would undo what it says itself.
fn last(mut response: Response<Body>) -> Response<Body> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Joins both ends until both have ended, or one broke: then neither is left open.
async fn pass(near: hyper::upgrade::OnUpgrade, far: hyper::upgrade::OnUpgrade) {
    let (near, far) = match tokio::try_join!(near, far) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a stream ended before it was joined");
            return;
        }
    };
    let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
    if let Err(error) = copy_bidirectional_with_sizes(&mut near, &mut far, PASSING, PASSING).await {
        tracing::debug!(%error, "a stream broke");
    }
}

async fn answer<R: Runtime + Streaming>(
    parts: &Parts<R>,
    request: Request<Incoming>,
    passing: Option<streams::Passing>,
) -> Response<Body> {
    let (path, query) =
        (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let (wish, place) = match route(request.method(), &path) {
        Route::Healthz => return healthz::answer(parts.alive.as_ref()),
        Route::Logs(place) => return logs::answer::answer(parts, place, &query).await,
        Route::Pods => return pods::answer(&parts.store),
        Route::NotFound => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
        Route::MethodNotAllowed => return text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n"),
        Route::Exec(place) => (Wish::Exec, place),
        Route::Attach(place) => (Wish::Attach, place),
        Route::PortForward(place) => (Wish::PortForward, place),
    };
    match passing {
        Some(passing) => streams::answer(parts, wish, place, request, passing).await,
        // A second request on one stream is never read.
        None => text(StatusCode::BAD_REQUEST, "one request a stream\n"),
    }
}

#[cfg(test)]
#[path = "tests/serving.rs"]
mod tests;
