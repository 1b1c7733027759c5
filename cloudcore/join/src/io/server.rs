//! The join endpoint: HTTPS without client certificates.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kit::Shutdown;
use kit::tasks::Group;
use pki::{JoinRefusal, JoinRequest, MAX_JOIN_BODY};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::api::Api;
use super::join::{Failed, Join};
use crate::errors::Refusal;
use crate::limit::Limit;
use crate::metrics::Metrics;

/// Connections served at once; more are closed unanswered.
const MAX_CONNECTIONS: usize = 64;
/// A connection ends after this time whatever it does: joining takes one request.
const MAX_LIFE: Duration = Duration::from_secs(30);

/// Why the endpoint does not serve.
#[derive(Debug, Error)]
#[error("cannot listen on {address} for joining nodes")]
pub struct ServeError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// The endpoint, bound and not yet served.
#[derive(Debug)]
pub struct JoinServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl JoinServer {
    /// Binds the address.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let failed = |source| ServeError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address bound, with the port that port 0 became.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until shutdown is asked for. `tls` is `pki::join_server`'s.
    pub async fn serve<A: Api>(
        self,
        tls: Arc<ServerConfig>,
        join: Join<A>,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Result<(), ServeError> {
        let group = Group::new("join", MAX_CONNECTIONS);
        let limit = Mutex::new(Limit::new(join.clock.elapsed()));
        let state = Arc::new(State { tls: TlsAcceptor::from(tls), join, metrics, limit });
        loop {
            let accepted = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let state = Arc::clone(&state);
                    group.spawn(async move {
                        // Boxed: the handshake's state is large, and most of the time nobody joins.
                        let served = Box::pin(serve_one(state, stream, peer));
                        if tokio::time::timeout(MAX_LIFE, served).await.is_err() {
                            tracing::debug!(%peer, "join connection took too long");
                        }
                    });
                }
                // Out of descriptors, or the peer went before we looked: others still want in.
                Err(error) => {
                    tracing::warn!(%error, "could not accept a joining node");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

struct State<A> {
    tls: TlsAcceptor,
    join: Join<A>,
    metrics: Metrics,
    limit: Mutex<Limit>,
}

async fn serve_one<A: Api>(state: Arc<State<A>>, stream: TcpStream, peer: SocketAddr) {
    let stream = match state.tls.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%peer, %error, "join connection failed in TLS");
            return;
        }
    };
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(state.answer(request, peer.ip()).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "join connection ended");
    }
}

impl<A: Api> State<A> {
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        if request.uri().path() != "/v1/join" {
            return plain(StatusCode::NOT_FOUND);
        }
        if request.method() != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        match self.join(request, peer).await {
            Ok(answer) => {
                self.metrics.count("joined");
                json(StatusCode::OK, &answer)
            }
            Err(refusal) => {
                tracing::warn!(%peer, reason = %refusal, "a node may not join");
                self.metrics.count(refusal.word());
                refused(&refusal)
            }
        }
    }

    async fn join(&self, request: Request<Incoming>, peer: IpAddr) -> Result<pki::JoinAnswer, Refusal> {
        self.limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(peer, self.join.clock.elapsed())
            .map_err(|wait| Refusal::TooMany(wait.as_secs().saturating_add(1)))?;
        let body = Limited::new(request.into_body(), MAX_JOIN_BODY).collect().await;
        let body = body.map_err(|error| Refusal::Malformed(error.to_string()))?.to_bytes();
        let request: JoinRequest =
            serde_json::from_slice(&body).map_err(|error| Refusal::Malformed(error.to_string()))?;
        self.join.join(&request).await.map_err(|failed| match failed {
            Failed::Refused(refusal) => refusal,
            Failed::Broken(error) => {
                let error = kit::errors::chain(&error);
                tracing::error!(node = request.node_name, error, "a node could not join");
                Refusal::Unavailable
            }
        })
    }
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut response = json(refusal.status(), &JoinRefusal { reason: refusal.to_string() });
    let wait = refusal.retry_after();
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Response<Full<Bytes>> {
    let Ok(body) = serde_json::to_vec(body) else { return plain(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}
