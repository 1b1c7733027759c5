//! What each edge node should have: pure, rebuilt from watches, kept nowhere else.
//!
//! In: objects as the API server shows them ([`Index::observer`], one per kind). Out: per connected node the desired
//! set `(kind, uid) → (key, version, body)` with its digest, and the keys that changed since they were last looked
//! at ([`Subscription`]).
//!
//! - [`Object`] is the projection that the edge acts on, packed for the wire once and shared by every node that wants
//!   it. A change of anything else (status, managed fields) leaves its version as it is, and nothing is sent.
//! - Bodies are kept of what connected nodes want ([`Index::with_own_bodies`]); of the rest versions, keys, and what
//!   statuses and references need.
//! - Interest is by reference counts: a node wants its own Node, its pods, what those pods name, and the Services
//!   whose environment variables they get. Only connected nodes cost more than their pods' entries.
//! - Absence is known or it is not ([`Index::may_delete`]): from a kind that is not listed, or whose watch is broken,
//!   or of which something was skipped whose UID is not known, nothing is deleted on any edge, and an object that
//!   exists but cannot be read is left as the edge has it.
//!
//! Deliberately absent: requests to the API server, sessions, time.

mod handle;
mod kinds;
mod metrics;
mod object;
mod state;
#[cfg(test)]
mod tests;

pub use handle::{Counts, Dirty, Index, KindObserver, Subscription};
pub use kinds::source;
pub use object::{Detail, NodeDetail, Object, PodDetail};
