//! Connections in memory, for simulations: the handles are the real ones, and in place of the task that drives a
//! websocket stands whoever holds the two [`MemoryEnd`]s, who decides what arrives, when, and how it ends.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use kit::tasks::Group;
use tokio::sync::mpsc;

use super::connection::{Connection, Peer, Side, Way};
use super::listen::{Door, Listener};
use super::shared::{End, Shared};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::errors::{ConnectError, LinkError};

/// Connects in place of the machine's network.
pub trait Dialer: fmt::Debug + Send + Sync {
    /// One attempt, which gives up by itself.
    fn dial(&self, endpoint: &Endpoint) -> BoxFuture<'static, Result<Connection, ConnectError>>;
}

/// A frame on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryFrame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// It overtakes those that are not.
    pub urgent: bool,
}

/// The network's view of one end of a connection.
#[derive(Debug, Clone)]
pub struct MemoryEnd {
    shared: Arc<Shared>,
}

/// The part of an end that its [`Connection`] holds until it is split.
pub(super) struct Held(Option<Arc<Shared>>);

impl Held {
    pub(super) fn split(mut self) -> Arc<Shared> {
        // Taken here alone, and this consumes it.
        self.0.take().unwrap_or_else(|| Arc::new(Shared::new(&Config::default(), Arc::default())))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.ask_close("nobody took the connection");
        }
    }
}

/// The two ends of a new connection, the edge's first. `identity` is what the edge's certificate says.
pub fn memory_pair(
    config: &Config,
    address: SocketAddr,
    identity: pki::Identity,
) -> [(Connection, MemoryEnd); 2] {
    [(None, Side::Edge), (Some(identity), Side::Cloud)].map(|(identity, end)| {
        let shared = Arc::new(Shared::new(config, Arc::default()));
        let way = Way::Memory(Held(Some(Arc::clone(&shared))));
        (Connection { peer: Peer { address, identity }, way, end }, MemoryEnd { shared })
    })
}

/// A listener whose edges come out of a queue.
pub fn memory_listener(
    address: SocketAddr,
    config: Config,
    arrivals: mpsc::Receiver<Connection>,
) -> Listener {
    let group = Group::new("link", config.max_connections);
    Listener { door: Door::Memory(arrivals), address, config, group }
}

impl MemoryEnd {
    /// The next frame that this end sends, urgent ones first.
    pub fn poll_sent(&self, cx: &Context<'_>) -> Poll<MemoryFrame> {
        self.shared.watch(cx);
        let urgent = self.shared.next_urgent().map(|bytes| MemoryFrame { bytes, urgent: true });
        let next =
            urgent.or_else(|| self.shared.next_sync().map(|bytes| MemoryFrame { bytes, urgent: false }));
        next.map_or(Poll::Pending, Poll::Ready)
    }

    /// Returns when one more frame may be handed in; what its receiver takes wakes.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.shared.watch(cx);
        if self.shared.takes_more() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Hands in a frame that arrived.
    pub fn arrive(&self, frame: MemoryFrame) {
        self.shared.take(frame.bytes, frame.urgent);
    }

    /// Why this end wants to close, once it does.
    pub fn asked_close(&self) -> Option<String> {
        self.shared.asked_close()
    }

    /// Whether it is over at this end.
    pub fn is_over(&self) -> bool {
        self.shared.close_reason().is_some()
    }

    /// The connection was closed in good order.
    pub fn close(&self, reason: &str) {
        self.shared.end(End::Closed(reason.to_owned()));
    }

    /// The connection broke.
    pub fn fail(&self, error: LinkError) {
        self.shared.end(End::Broken(error));
    }
}
