//! Guarded watches: a list, then a watch, over raw JSON, for ever.
//!
//! In: one kind of object of the API server. Out: calls of an [`Observer`]. What is guaranteed:
//!
//! - An item or an event that cannot be read is named as far as possible, counted and skipped; the object's previous
//!   good version stays, the rest flows, and the next good event heals it. Where no next event can be counted on (a
//!   deletion, or nobody knows which object it was), the kind is listed again after a while.
//! - [`Observer::listed`] comes only after every page of a list was read. Before it, and from a list that failed,
//!   nobody may conclude that an object is gone; nor while a watch is [`Observer::broken`].
//! - The resourceVersion is followed per kind, also by bookmarks, so that a watch that ends in time goes on where it was.
//!   One that ends before, or fails, is not gone on with: the API server may have been stopped and etcd restored from a
//!   backup, and then a watch from where we were would be taken, and tell nothing of what changed back.

mod event;
mod io;
mod name;
mod page;
mod tee;

use std::collections::BTreeSet;

pub use io::{Watch, WatchHandle};
pub use name::Named;
pub use tee::Tee;

use crate::error::KubeError;
use crate::path::Collection;

/// What is watched.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Kind, as it stands in a manifest; for logs and metrics.
    pub kind: &'static str,
    /// Where the objects live.
    pub collection: Collection,
    /// Field selector; empty for none.
    pub field_selector: &'static str,
    /// Items asked for at once; kinds with large objects want fewer.
    pub page: u32,
}

/// Learns what a watch sees. Methods are called one after the other and must not block.
pub trait Observer: Send + Sync + 'static {
    /// An object as it is now. `Err` says what in it cannot be read; the watch then names and counts it.
    fn applied(&self, raw: &[u8]) -> Result<(), String>;
    /// An object could not be read and was skipped; its name is as complete as could be made out. Without a UID it
    /// may be any object, and the next list with [`Observer::listed`] of all UIDs tells.
    fn skipped(&self, named: &Named);
    /// An object is gone.
    fn deleted(&self, uid: &str);
    /// A list is complete: whatever is not among these UIDs is gone. `None` where the UID of an item is not known for
    /// sure, so that absence is not known.
    fn listed(&self, seen: Option<&BTreeSet<String>>);
    /// What is told until the next [`Observer::progressed`] may be as new as this resourceVersion: an upper bound, said
    /// before, where that one is a lower bound, said afterwards.
    fn coming(&self, _resource_version: &str) {}
    /// Everything up to this resourceVersion was seen.
    fn progressed(&self, resource_version: &str);
    /// Listing or watching fails.
    fn broken(&self, error: &KubeError);
    /// The watch runs (again).
    fn healthy(&self);
}
