//! The kubelet's HTTP API, as far as this edge serves it, over streams of the link.
//!
//! In: byte streams that the cloud opened, each carrying exactly one HTTP/1.1 request. Out: the answer, after which
//! the stream ends. [`Kubelet::serve`] takes a stream and returns at once; requests run beside each other in a group
//! of their own, bounded in number, and end with it.
//!
//! Who may ask what is decided by the cloud, which is the only one that can open a stream. One path so far:
//! `GET /healthz` answers 200 `ok` while everything it asks about lives, else 500 and what does not. Logs, exec and
//! the others get a line in [`route`] and a file each.
//!
//! Deliberately absent: sockets, TLS, and any look at pods.

mod healthz;
mod io;
mod route;

pub use healthz::Alive;
pub use io::Kubelet;
