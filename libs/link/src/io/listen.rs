//! The cloud's end: listening.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use kit::tasks::Group;
use pki::Identity;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request};

use super::connection::{Connection, Peer, Side, Way};
use super::socket::{Counted, Socket, prepare, websocket};
use crate::config::Config;
use crate::endpoint::PATH;
use crate::errors::{HandshakeError, ListenError};

/// Takes edges' connections.
#[derive(Debug)]
pub struct Listener {
    pub(super) door: Door,
    pub(super) address: SocketAddr,
    pub(super) config: Config,
    pub(super) group: Group,
}

/// What edges come in by.
#[derive(Debug)]
pub(super) enum Door {
    /// A socket.
    Socket { socket: TcpListener, tls: Arc<ServerConfig> },
    /// A simulation.
    #[cfg(feature = "testing")]
    Memory(tokio::sync::mpsc::Receiver<Connection>),
}

impl Listener {
    /// Binds the address. `tls` must demand client certificates (`pki::link_server`).
    pub async fn bind(
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        config: Config,
    ) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let group = Group::new("link", config.max_connections);
        Ok(Self { door: Door::Socket { socket, tls }, address, config, group })
    }

    /// The address bound, with the port that port 0 became.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections whose task runs.
    pub fn connections(&self) -> usize {
        self.group.len()
    }

    /// The next peer, of which only the TCP connection stands.
    pub async fn accept(&mut self) -> Accepted {
        let (socket, tls) = match &mut self.door {
            Door::Socket { socket, tls } => (socket, tls),
            #[cfg(feature = "testing")]
            Door::Memory(arrivals) => {
                let arrived = match kit::sim::leaf(arrivals.recv()).await {
                    Some(connection) => Arrived::Memory(connection),
                    None => std::future::pending().await,
                };
                let (config, group) = (self.config.clone(), self.group.clone());
                return Accepted { arrived, address: self.address, config, group };
            }
        };
        loop {
            match socket.accept().await {
                Ok((stream, address)) => {
                    return Accepted {
                        arrived: Arrived::Socket { stream, tls: Arc::clone(tls) },
                        address,
                        config: self.config.clone(),
                        group: self.group.clone(),
                    };
                }
                // Out of descriptors, or the peer went before we looked: others still want in.
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection of an edge");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// A peer of which only the TCP connection stands.
pub struct Accepted {
    arrived: Arrived,
    address: SocketAddr,
    config: Config,
    group: Group,
}

/// What came in.
#[cfg_attr(feature = "testing", expect(clippy::large_enum_variant, reason = "shipped builds have the one"))]
enum Arrived {
    /// A TCP connection.
    Socket { stream: TcpStream, tls: Arc<ServerConfig> },
    /// A connection of a simulation, handshakes and all.
    #[cfg(feature = "testing")]
    Memory(Connection),
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Accepted {
    /// Where it comes from.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the peer has said something, within [`Config::handshake_within`]: a peer that does not is not worth
    /// the place of one that waits for its handshake.
    pub async fn greeted(&self) -> Result<(), HandshakeError> {
        let refused = |reason| HandshakeError { peer: self.address, reason };
        let stream = match &self.arrived {
            Arrived::Socket { stream, .. } => stream,
            #[cfg(feature = "testing")]
            Arrived::Memory(_) => return Ok(()),
        };
        match tokio::time::timeout(self.config.handshake_within, stream.readable()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(refused(format!("silent for {} s", self.config.handshake_within.as_secs()))),
        }
    }

    /// TLS and websocket handshakes, within [`Config::handshake_within`]. Run it beside accepting others: a slow
    /// peer must keep nobody waiting.
    pub async fn handshake(self) -> Result<Connection, HandshakeError> {
        let Self { arrived, address, config, group } = self;
        let (stream, tls) = match arrived {
            Arrived::Socket { stream, tls } => (stream, tls),
            #[cfg(feature = "testing")]
            Arrived::Memory(connection) => return Ok(connection),
        };
        let refused = |reason| HandshakeError { peer: address, reason };
        if group.len() >= config.max_connections {
            return Err(refused(format!("{} connections are open already", config.max_connections)));
        }
        // Boxed: the handshake's state is many times larger than what stays of it.
        let shaken = Box::pin(shake(stream, tls, &config));
        let (socket, identity) = tokio::time::timeout(config.handshake_within, shaken)
            .await
            .unwrap_or_else(|_| Err(format!("no handshake within {} s", config.handshake_within.as_secs())))
            .map_err(refused)?;
        Ok(Connection {
            peer: Peer { address, identity: Some(identity) },
            way: Way::Socket { socket, config, group },
            end: Side::Cloud,
        })
    }
}

async fn shake(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    config: &Config,
) -> Result<(Socket, Identity), String> {
    prepare(&stream, config.dead_after).map_err(|error| format!("socket options: {error}"))?;
    let secured = TlsAcceptor::from(tls).accept(Counted::new(stream)).await;
    let mut stream = secured.map_err(|error| format!("TLS: {error}"))?;
    let (_, session) = stream.get_mut();
    session.set_buffer_limit(Some(crate::message::MAX_CONTENT * 2));
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.ok_or_else(|| "no client certificate".to_owned())?;
    let identity = Identity::of_certificate(certificate).map_err(|error| error.to_string())?;
    let upgraded = tokio_tungstenite::accept_hdr_async_with_config(
        TlsStream::Server(stream),
        only_our_path,
        Some(websocket(config)),
    );
    let socket = upgraded.await.map_err(|error| format!("websocket: {}", kit::errors::chain(&error)))?;
    Ok((socket, identity))
}

#[expect(clippy::result_large_err, reason = "the shape of tungstenite's callback")]
fn only_our_path(request: &Request, answer: Response<()>) -> Result<Response<()>, ErrorResponse> {
    if request.uri().path() == PATH {
        return Ok(answer);
    }
    let mut refusal = Response::new(None);
    *refusal.status_mut() = StatusCode::NOT_FOUND;
    Err(refusal)
}
