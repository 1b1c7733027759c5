//! Sessions with the edges.
//!
//! In: connections of `link`, whose certificates say who they are; the desired sets of the index. Out: frames down;
//! reports, calls and journal entries to whoever takes them ([`Upstream`]).
//!
//! - [`admit`] (pure): who may open a session, and on what terms.
//! - [`Admission`] (pure): how many open at once, and when the others shall come again.
//! - `drain` (pure): how the edges of a replica that ends are sent to the others.
//! - [`Session`] (pure): digests, inventory, differences, the window, sync points.
//! - [`lease`] (pure) and `io/lease.rs`: the session's number and its owner stand in the Node's Lease, changed by
//!   compare-and-swap only; a conflict ends the session.
//! - [`Hub`]: accepts, serves, evicts older sessions, opens streams to edges, says goodbye.
//!
//! No session opens before every kind is completely listed, and no `Delete` is sent that the index is not sure of.
//! Deliberately absent: what objects and reports mean, and any state that outlives the process.

mod admission;
mod admit;
mod drain;
mod identity;
mod io;
pub mod lease;
mod metrics;
mod registry;
mod session;
#[cfg(test)]
mod tests;
mod upstream;

pub use admission::{Admission, Limits, Verdict};
pub use admit::{Agreed, Terms, admit};
pub use identity::{Denied, Identities};
pub use io::{Health, Hub, HubConfig, HubError, Parts};
pub use metrics::{Metrics, ReasonLabel, ResultLabel, SentLabel};
pub use session::{Broken, Desired, Outgoing, Session};
pub use upstream::{Origin, Replies, Upstream};
