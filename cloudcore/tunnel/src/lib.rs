//! The kubelet's API of every node, served in the cloud: what stands behind `kubectl logs`, `exec` and their like.
//!
//! In: connections of the API server and of whoever else asks a kubelet, each node on a port of its own
//! ([`Tunnel::open`]). Out: the same request over a stream of that node's link ([`Edges`]), its answer, and bytes both
//! ways where the two switch protocols. Callers are known by a client certificate of the cluster's CA or by a token, and
//! may do what a kubelet would let them do: `attributes` (pure) says what that is, the cluster decides.
//!
//! A node whose session is elsewhere costs no call: whoever comes here is passed on, as bytes, to the replica that has
//! it; whoever comes between two sessions waits a moment; and one whose edge is away is told so at once.
//!
//! Deliberately absent: what a kubelet answers (that is the edge's), and who writes the Node's address.

mod attributes;
mod calls;
mod errors;
mod io;
mod metrics;

pub use errors::TunnelError;
pub use io::{Config, Edges, Tunnel, Whereabouts};
pub use metrics::Metrics;
