//! One websocket between an edge and the cloud, both ends.
//!
//! An edge [`connect`]s to an [`Endpoint`]; the cloud's [`Listener`] accepts. Either gets a [`Connection`], whose
//! [`Connection::split`] starts the one task it has and gives
//! - a [`FrameSender`]: sync frames, in order, waiting while the peer is slow; urgent frames (heartbeats and their
//!   answers), which overtake everything;
//! - a [`FrameReceiver`]: frames, and at the end why it is the end. Dropping it ends the connection;
//! - [`Streams`]: opened by the cloud, accepted by the edge, each a reliable byte stream with flow control of its own.
//!
//! Everything travels in messages of at most 16 KiB (`message`), urgent before sync before streams, and the kernel is
//! given no more than it is about to send (`TCP_NOTSENT_LOWAT`): a heartbeat waits for some tens of KiB at most,
//! whatever else is under way. The streams are an HTTP/2 connection inside those messages, one CONNECT each, made
//! when the first stream is opened, so that an idle connection holds none of it.
//!
//! A peer that breaks the protocol is told why and disconnected; silence, breakage and closing are told apart
//! ([`LinkError`], [`FrameReceiver::close_reason`]). When and where to connect again is decided by [`reconnect`],
//! which is pure; [`NetworkChanges`] says when waiting has become pointless. What an attempt asked for and was not answered
//! in its time is kept for the next one ([`Late`], [`connect_again`]): on a path of seconds nothing else would connect.
//!
//! Deliberately absent: what frames mean (`wire` and those who speak it), heartbeats by itself, authorization.

mod config;
mod endpoint;
mod errors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod io;
mod message;
mod proxy;
pub mod reconnect;

pub use config::Config;
pub use endpoint::{Endpoint, EndpointError, PATH};
pub use errors::{ConnectError, HandshakeError, LinkError, ListenError};
pub use io::{
    Accepted, Connection, DialError, FrameReceiver, FrameSender, Late, Listener, NetworkChanges, Peer,
    Stream, Streams, connect, connect_again, dial, network_changes,
};
#[cfg(feature = "testing")]
pub use io::{Dialer, MemoryEnd, MemoryFrame, memory_listener, memory_pair};
pub use proxy::{Proxies, ProxyError};
