//! Reports of the edges become patches.
//!
//! In: reports, report inventories and journal entries of sessions ([`Status`]); what the index sees change. Out:
//! writes to the API server, each as the node it is for, and acknowledgements once the API server took them.
//!
//! - [`Queue`] (pure): last value wins per key, nodes take turns, a key that fails waits without being overtaken.
//! - [`Compare`] (pure): reports are level-triggered. What the cluster shows and the edge did not say is asked for
//!   again, each key backing off, so that two spellings of one thing cannot chase each other.
//! - [`pod`], [`node`], [`event`] (pure): a report and what is there become a patch of only what the edge owns.
//!
//! A write carries the UID and the resourceVersion it is based on; where that fails, the session's Lease is looked at
//! before it is tried again, so that a replica that was asleep overwrites nothing.
//! Deliberately absent: sessions, and what pods do.

mod compare;
pub mod event;
mod io;
mod metrics;
pub mod node;
pub mod pod;
mod queue;

pub use compare::Compare;
pub use io::{Fence, Session, Status, StatusError};
pub use metrics::Metrics;
pub use queue::{Failure, Key, Queue};
