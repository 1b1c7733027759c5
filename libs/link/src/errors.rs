//! How connections fail.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

/// Why a connection is over, or why something cannot be sent on it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Not one byte arrived for that long.
    #[error("nothing was heard from the peer for {} s", .0.as_secs())]
    Silent(Duration),
    /// The peer sent what no peer may send. It was told so.
    #[error("the peer broke the protocol: {0}")]
    Malformed(String),
    /// The transport broke.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// It was closed, by us or by the peer, for this reason.
    #[error("the connection is closed: {0}")]
    Closed(String),
    /// A frame to be sent is longer than the peer would take.
    #[error("frame of {length} bytes is longer than the limit of {limit}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Streams are opened by the cloud and accepted by the edge, never the other way round.
    #[error("this end of the link does not {0} streams")]
    WrongEnd(&'static str),
}

/// Why there is no connection. The two kinds are retried differently (`reconnect`).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// Nobody answers: no such name (now), no route, no answer in time.
    #[error("{endpoint} does not answer: {reason}")]
    NoAnswer {
        /// What was tried.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// Somebody answers, and refuses: connection reset, TLS, or an HTTP status.
    #[error("{endpoint} refuses: {reason}")]
    Refused {
        /// What was tried.
        endpoint: String,
        /// What it said.
        reason: String,
        /// When to come back, where it said that.
        retry_after: Option<Duration>,
    },
}

/// Why a peer that came did not become a connection.
#[derive(Debug, Error)]
#[error("{peer} was refused: {reason}")]
pub struct HandshakeError {
    /// Where it came from.
    pub peer: SocketAddr,
    /// Why.
    pub reason: String,
}

/// Why nothing can come.
#[derive(Debug, Error)]
#[error("cannot listen on {address} for edges")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}
