//! The endpoint for whoever runs the process: `/livez`, `/readyz` (status code only, no authentication) and
//! `/metrics` (only to callers that the guard lets in).

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::ready::Readiness;
use crate::shutdown::Shutdown;
use crate::tasks::Group;

/// Connections served at once; more are closed unanswered.
const MAX_CONNECTIONS: usize = 32;

/// Why the endpoint ended.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The address cannot be bound.
    #[error("cannot listen on {address} for the admin endpoint")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Taking connections failed for good.
    #[error("cannot accept connections on the admin endpoint")]
    Accept(#[source] std::io::Error),
}

/// Decides who may read `/metrics`.
pub trait Authorize: Send + Sync + 'static {
    /// Whether the bearer token (absent where none was sent) may read metrics: `Ok` or the status to answer with.
    fn metrics(&self, bearer: Option<&str>) -> impl Future<Output = Result<(), StatusCode>> + Send;

    /// A further page, for whoever may read `/metrics`; `None` where there is no such page.
    fn page(&self, _path: &str) -> impl Future<Output = Option<(StatusCode, String)>> + Send {
        std::future::ready(None)
    }
}

/// Everybody who reaches the address: only for an endpoint bound to loopback.
#[derive(Debug, Clone, Copy)]
pub struct Loopback;

impl Authorize for Loopback {
    async fn metrics(&self, _bearer: Option<&str>) -> Result<(), StatusCode> {
        Ok(())
    }
}

/// The endpoint, bound and not yet served.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Binds the address.
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| AdminError::Bind { address, source })?;
        Ok(Self { listener })
    }

    /// The address bound, with the port that port 0 became.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown is asked for.
    pub async fn serve<A: Authorize>(
        self,
        registry: Arc<Mutex<Registry>>,
        readiness: Readiness,
        authorize: A,
        shutdown: Shutdown,
    ) -> Result<(), AdminError> {
        let group = Group::new("admin", MAX_CONNECTIONS);
        let state = Arc::new(State { registry, readiness, authorize });
        loop {
            let accepted = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, or the peer went before we looked: others still want an answer.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                    return Err(AdminError::Accept(error));
                }
                Err(error) => {
                    tracing::warn!(%error, "admin endpoint could not accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let state = Arc::clone(&state);
            group.spawn(async move {
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, Infallible>(state.answer(&request).await) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(10))
                    .max_buf_size(16 * 1024)
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "admin connection ended");
                }
            });
        }
    }
}

struct State<A> {
    registry: Arc<Mutex<Registry>>,
    readiness: Readiness,
    authorize: A,
}

impl<A: Authorize> State<A> {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        match request.uri().path() {
            "/livez" => status(StatusCode::OK),
            "/readyz" if self.readiness.pending().is_empty() => status(StatusCode::OK),
            "/readyz" => status(StatusCode::SERVICE_UNAVAILABLE),
            path => {
                let bearer = request
                    .headers()
                    .get(header::AUTHORIZATION)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|value| value.strip_prefix("Bearer "));
                match self.authorize.metrics(bearer).await {
                    Ok(()) if path == "/metrics" => self.metrics(),
                    Ok(()) => self.page(path).await,
                    Err(code) => status(code),
                }
            }
        }
    }

    async fn page(&self, path: &str) -> Response<Full<Bytes>> {
        let Some((code, text)) = self.authorize.page(path).await else {
            return status(StatusCode::NOT_FOUND);
        };
        let mut response = status(code);
        *response.body_mut() = Full::new(Bytes::from(text));
        response
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            return status(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let mut response = Response::new(Full::new(Bytes::from(text)));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        response
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = code;
    response
}
