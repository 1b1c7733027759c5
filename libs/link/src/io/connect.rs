//! The edge's end: connecting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kit::tasks::Group;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, handshake::client::Response};

use super::connection::{Connection, Peer, Side, Way};
use super::dial::{DialError, dial};
use super::late::Late;
use super::socket::{self, Counted, Socket};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::errors::ConnectError;

/// Longest time a refusal may say to stay away, in seconds.
const MAX_RETRY_AFTER: u64 = 3600;

/// Connects to an endpoint: name, TCP (through a proxy, where one leads there), TLS, websocket.
pub async fn connect(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
    config: &Config,
) -> Result<Connection, ConnectError> {
    connect_again(endpoint, tls, config, &mut Late::new(config.clock.clone())).await
}

/// As [`connect`], for one attempt among many: `late` is what earlier ones left, and this one leaves.
pub async fn connect_again(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
    config: &Config,
    late: &mut Late,
) -> Result<Connection, ConnectError> {
    #[cfg(feature = "testing")]
    if let Some(dialer) = &config.dialer {
        return kit::sim::leaf(dialer.dial(endpoint)).await;
    }
    let (stream, address) = tcp(endpoint, config, late).await?;
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

async fn tcp(
    endpoint: &Endpoint,
    config: &Config,
    late: &mut Late,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let Config { proxies, connect_within, handshake_within, .. } = config;
    let dialled = dial(host, port, proxies, *connect_within, *handshake_within, late);
    let (stream, address) = dialled.await.map_err(|error| match error {
        DialError::NoAnswer(reason) => no_answer(endpoint, reason),
        DialError::Refused(reason) => refused(endpoint, reason, None),
    })?;
    socket::prepare(&stream, config.dead_after)
        .map_err(|error| no_answer(endpoint, format!("socket options: {error}")))?;
    Ok((stream, address))
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
