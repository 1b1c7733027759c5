//! Limits and times of a connection.

use std::time::Duration;

use kit::Clock;

use crate::proxy::Proxies;

/// How a link behaves. Both ends have one; only `heartbeat` must agree, and the cloud says it in `Welcome`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Between two heartbeats of the edge. The link sends none by itself: they are frames.
    pub heartbeat: Duration,
    /// A connection on which not one byte arrived for so long is dead.
    pub dead_after: Duration,
    /// An endpoint that did not answer within this time does not answer: name resolution and TCP together.
    pub connect_within: Duration,
    /// TLS and websocket handshakes together, either end.
    pub handshake_within: Duration,
    /// A close that the peer does not answer is over after this time.
    pub close_within: Duration,
    /// Longest sync frame taken from the peer, in bytes.
    pub max_frame: usize,
    /// Sync frames waiting to be sent hold at most so many bytes (one frame that is longer waits alone).
    pub max_queued: usize,
    /// Sync frames received and not yet taken hold at most so many bytes, and one frame more.
    pub max_received: usize,
    /// Streams open at once on one connection.
    pub max_streams: u32,
    /// Connections at once on one listener.
    pub max_connections: usize,
    /// Bytes read from the socket at once; held by every connection.
    pub read_buffer: usize,
    /// Time source for silence.
    pub clock: Clock,
    /// Which proxies an edge connects through.
    pub proxies: Proxies,
    /// Makes connections in place of the machine's network.
    #[cfg(feature = "testing")]
    pub dialer: Option<std::sync::Arc<dyn crate::Dialer>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            dead_after: Duration::from_secs(25),
            connect_within: Duration::from_secs(2),
            handshake_within: Duration::from_secs(10),
            close_within: Duration::from_secs(5),
            max_frame: wire::MAX_FRAME,
            max_queued: 256 * 1024,
            max_received: 256 * 1024,
            max_streams: 256,
            max_connections: 20_000,
            read_buffer: 1024,
            clock: Clock::system(),
            proxies: Proxies::default(),
            #[cfg(feature = "testing")]
            dialer: None,
        }
    }
}
