//! A connection and the handles it is used by.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use kit::tasks::Group;

use super::driver::Driver;
use super::mux;
use super::shared::{End, Shared};
use super::socket::Socket;
use super::stream::Stream;
use crate::config::Config;
use crate::errors::LinkError;

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// On the cloud's side who it is, from the client certificate that TLS verified; `None` on the edge's side.
    pub identity: Option<pki::Identity>,
}

/// A connected websocket, either end. Nothing runs and nothing is read before [`Connection::split`].
pub struct Connection {
    /// Who is at the other end.
    pub peer: Peer,
    pub(super) way: Way,
    pub(super) end: Side,
}

/// What carries it.
#[cfg_attr(feature = "testing", expect(clippy::large_enum_variant, reason = "shipped builds have the one"))]
pub(super) enum Way {
    /// A websocket, and the group for the task that drives it.
    Socket { socket: Socket, config: Config, group: Group },
    /// A simulation.
    #[cfg(feature = "testing")]
    Memory(super::memory::Held),
}

/// Which end of the link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Edge,
    Cloud,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connection {
    /// Starts the connection's one task, in a group named `link`, and gives the handles. The task ends with the
    /// connection: when it breaks, is closed, or the receiver is dropped.
    pub fn split(self) -> (FrameSender, FrameReceiver, Streams) {
        let Self { way, end, peer: _ } = self;
        let (socket, config, group) = match way {
            Way::Socket { socket, config, group } => (socket, config, group),
            #[cfg(feature = "testing")]
            Way::Memory(held) => return Self::handles(held.split(), end),
        };
        let shared = Arc::new(Shared::new(&config, socket.get_ref().get_ref().0.traffic()));
        let driver = Driver::new(socket, Arc::clone(&shared), config, end, group.clone());
        // Where the group is full the driver is dropped, and its end tells the handles.
        group.spawn(driver);
        Self::handles(shared, end)
    }

    fn handles(shared: Arc<Shared>, end: Side) -> (FrameSender, FrameReceiver, Streams) {
        (
            FrameSender { shared: Arc::clone(&shared) },
            FrameReceiver { shared: Arc::clone(&shared) },
            Streams { shared, end },
        )
    }
}

/// Sends frames. Clones send on the same connection.
#[derive(Debug, Clone)]
pub struct FrameSender {
    shared: Arc<Shared>,
}

impl FrameSender {
    /// Sends an encoded frame after those sent before; waits while the queue is full. Dropping the future while it
    /// waits sends nothing.
    ///
    /// Two ends that both wait here, and receive nothing meanwhile, wait for each other: whoever sends much
    /// receives in another task, or keeps what is under way within a window.
    pub async fn send(&self, frame: Vec<u8>) -> Result<(), LinkError> {
        kit::sim::leaf(self.shared.send(frame)).await
    }

    /// Sends a short frame (at most 16 KiB) in front of everything that is not being written already: heartbeats and
    /// their answers.
    pub async fn send_urgent(&self, frame: Vec<u8>) -> Result<(), LinkError> {
        kit::sim::leaf(self.shared.send_urgent(frame)).await
    }

    /// Bytes sent on this connection's socket since its TCP connection stood, TLS and all.
    pub fn bytes_sent(&self) -> u64 {
        self.shared.sent()
    }

    /// Bytes received, likewise.
    pub fn bytes_received(&self) -> u64 {
        self.shared.received()
    }

    /// Sends what is queued, then says why it is over, and returns when it is: at the latest
    /// [`Config::close_within`] after that was said. The first reason stays.
    pub async fn close(&self, reason: &str) {
        self.shared.ask_close(reason);
        kit::sim::leaf(self.shared.ended()).await;
    }

    /// Returns when the connection is over, whoever ended it.
    pub async fn ended(&self) {
        kit::sim::leaf(self.shared.ended()).await;
    }

    /// Why the connection is over; `None` while it is not.
    pub fn close_reason(&self) -> Option<String> {
        self.shared.close_reason()
    }
}

/// Receives frames. Dropping it ends the connection at once.
#[derive(Debug)]
pub struct FrameReceiver {
    shared: Arc<Shared>,
}

impl FrameReceiver {
    /// The next frame, urgent ones first. `None` when the connection was closed, an error when it broke; either only
    /// after everything received was taken. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        kit::sim::leaf(poll_fn(|cx| self.shared.poll_recv(cx))).await
    }

    /// Why the connection is over; `None` while it is not.
    pub fn close_reason(&self) -> Option<String> {
        self.shared.close_reason()
    }
}

impl Drop for FrameReceiver {
    fn drop(&mut self) {
        self.shared.ask_close("the session is over");
    }
}

/// Opens (cloud) or accepts (edge) byte streams.
#[derive(Debug)]
pub struct Streams {
    shared: Arc<Shared>,
    end: Side,
}

impl Streams {
    /// Opens a stream to the edge; waits while [`Config::max_streams`] are open.
    pub async fn open(&self) -> Result<Stream, LinkError> {
        if self.end != Side::Cloud {
            return Err(LinkError::WrongEnd("open"));
        }
        let opener = self.shared.opener().await?;
        mux::open(opener).await.map_err(|error| LinkError::Lost(kit::errors::chain(&error)))
    }

    /// The next stream that the cloud opened; ends as [`FrameReceiver::recv`] does.
    pub async fn accept(&mut self) -> Result<Option<Stream>, LinkError> {
        if self.end != Side::Edge {
            return Err(LinkError::WrongEnd("accept"));
        }
        poll_fn(|cx| self.shared.poll_accept(cx)).await
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.shared.accept_no_more();
    }
}

/// What a driver that was dropped in mid-life leaves behind.
pub(super) fn aborted(shared: &Shared) {
    shared.end(End::Broken(LinkError::Lost("its task was ended".to_owned())));
}
