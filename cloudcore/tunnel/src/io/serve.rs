//! Serves one call: who calls, whether it may, and what was answered, in one line of the log.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::endpoint::{Endpoint, find};
use super::pass::{Body, pass, text};
use super::{Edges, Inner, Whereabouts};
use crate::attributes::{subresources, verb};
use crate::calls::Full;
use crate::metrics::CodeLabel;

/// A handshake, and a request's head, must be there within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Serves a connection of one call. `away` is why the node cannot answer, where that is known.
pub(super) async fn connection<E: Edges>(
    inner: Arc<Inner<E>>,
    endpoint: Arc<Endpoint>,
    stream: TcpStream,
    peer: SocketAddr,
    away: Option<String>,
) {
    let handshake = TlsAcceptor::from(inner.trust.config()).accept(stream);
    let stream = match tokio::time::timeout(HEAD_WITHIN, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, node = &*endpoint.node, "a caller failed in TLS");
            return;
        }
        Err(_) => {
            tracing::debug!(%peer, node = &*endpoint.node, "a caller took too long in TLS");
            return;
        }
    };
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|der| der.to_vec());
    let call = Arc::new(Call { inner, endpoint, peer, certificate, away });
    let service = service_fn(|request| {
        let call = Arc::clone(&call);
        async move { Ok::<_, Infallible>(call.answer(request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "a call ended early");
    }
}

struct Call<E> {
    inner: Arc<Inner<E>>,
    endpoint: Arc<Endpoint>,
    peer: SocketAddr,
    certificate: Option<Vec<u8>>,
    away: Option<String>,
}

impl<E: Edges> Call<E> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut user = String::new();
        let mut response = match self.judged(request, &mut user).await {
            Ok(response) => response,
            Err((status, words)) => text(status, words),
        };
        let code = response.status().as_u16();
        // The query is left out: it may hold a command with a secret in it.
        tracing::info!(
            target: "audit",
            node = &*self.endpoint.node, peer = %self.peer, user, %method, path, code, "kubelet call"
        );
        self.inner.metrics.calls.get_or_create(&CodeLabel { code }).inc();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // A connection is for one call: the next may have to go to another replica.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn judged(
        &self,
        request: Request<Incoming>,
        name: &mut String,
    ) -> Result<Response<Body>, (StatusCode, String)> {
        let (inner, node) = (&self.inner, &self.endpoint.node);
        let user = inner.judge.caller(self.certificate.as_deref(), request.headers()).await?;
        name.clone_from(&user.username);
        let (verb, subresources) = (verb(request.method()), subresources(request.uri().path()));
        inner.judge.allow(&user, verb, node, subresources).await?;
        // The API server shows the words of a 500 to whoever asked it, and of a 503 only its number.
        let away = |words: String| (StatusCode::INTERNAL_SERVER_ERROR, words);
        if let Some(words) = &self.away {
            return Err(away(words.clone()));
        }
        let running = self.endpoint.begin(&user.username, &inner.metrics.active).map_err(|full| {
            let words = match full {
                Full::Node => format!("node {node:?} has too many calls under way"),
                Full::Caller => format!("{:?} has too many calls under way at node {node:?}", user.username),
            };
            (StatusCode::TOO_MANY_REQUESTS, words)
        })?;
        let stream = self.stream().await.map_err(away)?;
        Ok(pass(&inner.streams, stream, request, Arc::new(running)).await)
    }

    /// A stream to the edge. One whose session has ended a moment ago may be back in another.
    async fn stream(&self) -> Result<link::Stream, String> {
        let (inner, node) = (&self.inner, &self.endpoint.node);
        let first = match inner.edges.open(node).await {
            Ok(stream) => return Ok(stream),
            Err(words) => words,
        };
        match find(inner, &self.endpoint).await {
            Whereabouts::Here => inner.edges.open(node).await,
            Whereabouts::Away(words) => Err(words),
            Whereabouts::There(_) => Err(format!("node {node:?} has moved to another cloudcore, try again")),
            Whereabouts::Moving => Err(first),
        }
    }
}
