//! Sockets, and the task that drives a connection.

mod connect;
mod connection;
mod dial;
mod driver;
mod late;
mod listen;
#[cfg(feature = "testing")]
mod memory;
mod mux;
mod netlink;
mod shared;
mod socket;
mod stream;

pub use connect::{connect, connect_again};
pub use connection::{Connection, FrameReceiver, FrameSender, Peer, Streams};
#[cfg(feature = "fuzzing")]
pub(crate) use dial::read as proxy_answer;
pub use dial::{DialError, dial};
pub use late::Late;
pub use listen::{Accepted, Listener};
#[cfg(feature = "testing")]
pub use memory::{Dialer, MemoryEnd, MemoryFrame, memory_listener, memory_pair};
pub use netlink::{NetworkChanges, network_changes};
pub use stream::Stream;
