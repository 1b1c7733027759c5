//! The endpoint for whoever runs the process: `/livez`, `/readyz` (without authentication the status code only; to
//! callers that the guard lets in also what is pending, one name a line) and `/metrics` (only to those callers).

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
/// Whoever asks whether the process is ready gets the status code, also where nobody can tell within this time whether
/// they may know more.
const JUDGED_WITHIN: Duration = Duration::from_secs(2);

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
            "/readyz" => self.ready(bearer(request)).await,
            path => match self.authorize.metrics(bearer(request)).await {
                Ok(()) if path == "/metrics" => self.metrics(),
                Ok(()) => self.page(path).await,
                Err(code) => status(code),
            },
        }
    }

    async fn ready(&self, bearer: Option<&str>) -> Response<Full<Bytes>> {
        let pending = self.readiness.pending();
        if pending.is_empty() {
            return status(StatusCode::OK);
        }
        let mut response = status(StatusCode::SERVICE_UNAVAILABLE);
        let judged = tokio::time::timeout(JUDGED_WITHIN, self.authorize.metrics(bearer)).await;
        if matches!(judged, Ok(Ok(()))) {
            *response.body_mut() = Full::new(Bytes::from(pending.join("\n") + "\n"));
        }
        response
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
        let Some(text) = open_metrics(&self.registry) else {
            return status(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        response
    }
}

/// All metrics of a registry, in the text of OpenMetrics; `None` where one cannot be written.
pub fn open_metrics(registry: &Mutex<Registry>) -> Option<String> {
    let mut text = String::new();
    let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    prometheus_client::encoding::text::encode(&mut text, &registry).ok()?;
    Some(text)
}

/// The bearer token sent.
fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let sent = request.headers().get(header::AUTHORIZATION)?;
    sent.to_str().ok()?.strip_prefix("Bearer ")
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Lets in whoever has the token, and never finds out about one.
    struct Guard;

    impl Authorize for Guard {
        async fn metrics(&self, bearer: Option<&str>) -> Result<(), StatusCode> {
            match bearer {
                Some("good") => Ok(()),
                Some("unknown") => std::future::pending().await,
                _ => Err(StatusCode::UNAUTHORIZED),
            }
        }
    }

    async fn get(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn what_is_pending_is_named_to_those_who_may_know() {
        let admin = Admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = admin.address().unwrap();
        let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
        let blocked = readiness.block("listing Pod");
        let registry = Arc::new(Mutex::new(Registry::default()));
        let serving = admin.serve(registry, readiness.clone(), Guard, shutdown.clone());
        let asking = async {
            let told = get(address, "Authorization: Bearer good\r\n").await;
            assert!(told.starts_with("HTTP/1.1 503") && told.ends_with("\r\n\r\nlisting Pod\n"), "{told}");
            for head in ["", "Authorization: Bearer bad\r\n", "Authorization: Bearer unknown\r\n"] {
                let bare = get(address, head).await;
                assert!(bare.starts_with("HTTP/1.1 503") && bare.ends_with("\r\n\r\n"), "{bare}");
            }
            drop(blocked);
            assert!(get(address, "").await.starts_with("HTTP/1.1 200"));
            shutdown.request("the test ends");
        };
        let (served, ()) = tokio::join!(serving, asking);
        served.unwrap();
    }
}
