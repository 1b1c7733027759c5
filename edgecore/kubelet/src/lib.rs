//! The kubelet's HTTP API, as far as this edge serves it, over streams of the link.
//!
//! In: byte streams that the cloud opened, each carrying exactly one HTTP/1.1 request. Out: the answer, after which
//! the stream ends. [`Kubelet::serve`] takes a stream and returns at once; requests run beside each other in a group
//! of their own, bounded in number, and end with it.
//!
//! Who may ask what is decided by whoever hands over a stream: the cloud, which alone can open one on the link and so far
//! asks for `/healthz` only, and the agent's local socket ([`Kubelet::serve_beside`]), which lets in root. Paths, parameters, status codes
//! and words are upstream's kubelet's ([`route`]): logs are read from the files that the runtime wrote ([`logs`]); exec,
//! attach and port-forward pass through to the runtime's streaming server ([`streams`]); what is used is read from the
//! kernel and from the runtime when somebody asks, and only then ([`stats`]).
//!
//! Deliberately absent: sockets of its own, TLS, and any change of a pod.

mod about;
mod answer;
mod checkpoint;
mod configz;
mod exposition;
mod find;
mod healthz;
mod io;
mod logs;
mod own;
mod pod;
mod pods;
mod route;
mod runs;
mod stats;
mod streams;
#[cfg(test)]
#[path = "tests/seen.rs"]
mod testing;

pub use about::{About, Configuration, Machine};
pub use healthz::Alive;
pub use io::{Kubelet, Parts, Served};
