//! A small HTTP server of the tests' own, for what edges fetch.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kit::tasks::Group;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is answered to a request.
type Answer = dyn Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync;

/// A server; it ends when this is dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Listens at a port of its own, over TLS where that is given.
    pub(crate) fn start(
        ip: IpAddr,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((ip, 0)))?;
        let address = listener.local_addr()?;
        let group = Group::new("server", 1_000);
        let (connections, answer): (Group, Arc<Answer>) = (group.clone(), Arc::new(answer));
        runtime.block_on(async move {
            ensure!(group.spawn(accept(listener, connections, tls, answer)), "no task for the server");
            Ok(())
        })?;
        Ok(Self { address, _runtime: runtime })
    }
}

async fn accept(listener: TcpListener, connections: Group, tls: Option<TlsAcceptor>, answer: Arc<Answer>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, answer) = (tls.clone(), Arc::clone(&answer));
        connections.spawn(async move {
            match tls {
                None => serve(socket, answer).await,
                Some(tls) => {
                    // A client that does not like the certificate goes away.
                    if let Ok(stream) = tls.accept(socket).await {
                        serve(stream, answer).await;
                    }
                }
            }
        });
    }
}

async fn serve<S>(stream: S, answer: Arc<Answer>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = answer(&request);
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    // A client that goes away in the middle is its own affair.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
