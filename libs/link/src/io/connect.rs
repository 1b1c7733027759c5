//! The edge's end: connecting.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use kit::tasks::Group;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::{TlsConnector, TlsStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, handshake::client::Response};

use super::connection::{Connection, Peer, Side, Way};
use super::socket::{self, Counted, Socket};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::errors::ConnectError;

/// Names being resolved.
static RESOLVING: Semaphore = Semaphore::const_new(2);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Longest time a refusal may say to stay away, in seconds.
const MAX_RETRY_AFTER: u64 = 3600;

/// Connects to an endpoint: name, TCP, TLS, websocket.
pub async fn connect(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
    config: &Config,
) -> Result<Connection, ConnectError> {
    #[cfg(feature = "testing")]
    if let Some(dialer) = &config.dialer {
        return kit::sim::leaf(dialer.dial(endpoint)).await;
    }
    let within = tokio::time::timeout(config.connect_within, tcp(endpoint, config)).await;
    let (stream, address) = within.unwrap_or_else(|_| {
        Err(no_answer(endpoint, format!("no answer within {} ms", config.connect_within.as_millis())))
    })?;
    // Boxed: the handshake's state is many times larger than what stays of it.
    let shaken = Box::pin(handshake(endpoint, stream, tls, config));
    let socket = tokio::time::timeout(config.handshake_within, shaken).await.unwrap_or_else(|_| {
        Err(no_answer(endpoint, format!("no handshake within {} s", config.handshake_within.as_secs())))
    })?;
    Ok(Connection {
        peer: Peer { address, identity: None },
        way: Way::Socket { socket, config: config.clone(), group: Group::new("link", 1) },
        end: Side::Edge,
    })
}

fn no_answer(endpoint: &Endpoint, reason: String) -> ConnectError {
    ConnectError::NoAnswer { endpoint: endpoint.to_string(), reason }
}

fn refused(endpoint: &Endpoint, reason: String, retry_after: Option<Duration>) -> ConnectError {
    ConnectError::Refused { endpoint: endpoint.to_string(), reason, retry_after }
}

async fn tcp(endpoint: &Endpoint, config: &Config) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let addresses = resolve(endpoint)
        .await
        .map_err(|error| no_answer(endpoint, format!("name does not resolve: {error}")))?;
    let share = config.connect_within / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = no_answer(endpoint, "name has no addresses".to_owned());
    for address in addresses {
        match within(share, TcpStream::connect(address)).await {
            Ok(stream) => {
                socket::prepare(&stream, config.dead_after)
                    .map_err(|error| no_answer(endpoint, format!("socket options: {error}")))?;
                return Ok((stream, address));
            }
            Err(error) => last = judge(endpoint, &error),
        }
    }
    Err(last)
}

/// The addresses of an endpoint. The machine's resolver blocks, for half a minute where its servers are gone, and
/// cannot be called off; attempts follow each other faster than that. So each lookup holds its permit until its
/// thread is free again, or the threads of the whole agent would end up here.
async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = endpoint.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, endpoint.port())]);
    }
    let permit = RESOLVING.acquire().await.map_err(io::Error::other)?;
    let (host, port) = (endpoint.host().to_owned(), endpoint.port());
    let looked_up = tokio::task::spawn_blocking(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(|found| found.take(MAX_ADDRESSES).collect());
        drop(permit);
        found
    });
    looked_up.await.map_err(io::Error::other)?
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A reset is an answer; silence and unreachability are none.
fn judge(endpoint: &Endpoint, error: &io::Error) -> ConnectError {
    let answered = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    );
    if answered { refused(endpoint, error.to_string(), None) } else { no_answer(endpoint, error.to_string()) }
}

async fn handshake(
    endpoint: &Endpoint,
    stream: TcpStream,
    tls: Arc<ClientConfig>,
    config: &Config,
) -> Result<Socket, ConnectError> {
    let name = ServerName::try_from(endpoint.host().to_owned())
        .map_err(|error| refused(endpoint, error.to_string(), None))?;
    let secured = TlsConnector::from(tls).connect(name, Counted::new(stream)).await;
    let mut stream = secured.map_err(|error| refused(endpoint, format!("TLS: {error}"), None))?;
    stream.get_mut().1.set_buffer_limit(Some(crate::message::MAX_CONTENT * 2));
    let request = endpoint
        .to_string()
        .into_client_request()
        .map_err(|error| refused(endpoint, error.to_string(), None))?;
    let upgraded = tokio_tungstenite::client_async_with_config(
        request,
        TlsStream::Client(stream),
        Some(socket::websocket(config)),
    );
    match upgraded.await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(status(endpoint, &answer)),
        // A client certificate is judged after the client's own handshake: the alert comes here.
        Err(error) => Err(refused(endpoint, kit::errors::chain(&error), None)),
    }
}

fn status(endpoint: &Endpoint, answer: &Response) -> ConnectError {
    let said = answer.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = said.and_then(|value| value.parse::<u64>().ok());
    let retry_after = seconds.map(|seconds| Duration::from_secs(seconds.min(MAX_RETRY_AFTER)));
    refused(endpoint, format!("HTTP status {}", answer.status()), retry_after)
}
