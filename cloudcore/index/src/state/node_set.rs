//! The desired set of one connected node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Notify;
use wire::{Digest, Kind, Version};

/// What one node should have, and what of it changed since it was last looked at.
#[derive(Debug)]
pub(crate) struct NodeSet {
    pub(crate) id: u64,
    desired: BTreeMap<(Kind, Arc<str>), Version>,
    digest: Digest,
    dirty: BTreeSet<(Kind, Arc<str>)>,
    statuses: BTreeSet<(Kind, Arc<str>)>,
    wake: Arc<Notify>,
}

impl NodeSet {
    pub(super) fn new(id: u64, wake: Arc<Notify>) -> Self {
        Self {
            id,
            desired: BTreeMap::new(),
            digest: Digest::EMPTY,
            dirty: BTreeSet::new(),
            statuses: BTreeSet::new(),
            wake,
        }
    }

    /// Passes to another follower, who has seen nothing yet.
    pub(super) fn renew(&mut self, id: u64, wake: Arc<Notify>) {
        self.id = id;
        let former = std::mem::replace(&mut self.wake, wake);
        self.dirty = self.desired.keys().cloned().collect();
        self.statuses.clear();
        former.notify_one();
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Sets or removes an entry.
    pub(super) fn put(&mut self, kind: Kind, uid: &str, new: Option<Version>) {
        let key = (kind, Arc::from(uid));
        let old = match new {
            Some(version) => self.desired.insert(key.clone(), version),
            None => self.desired.remove(&key),
        };
        if old == new {
            return;
        }
        if let Some(version) = old {
            self.digest = self.digest.without(kind.name(), uid, version);
        }
        if let Some(version) = new {
            self.digest = self.digest.with(kind.name(), uid, version);
        }
        self.dirty.insert(key);
        self.wake.notify_one();
    }

    /// An entry, if there is such a one, may be had again.
    pub(super) fn look_again(&mut self, kind: Kind, uid: &str) {
        if self.holds(kind, uid) {
            self.dirty.insert((kind, uid.into()));
            self.wake.notify_one();
        }
    }

    pub(super) fn status_changed(&mut self, kind: Kind, uid: &str) {
        if self.statuses.insert((kind, uid.into())) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn take_dirty(&mut self) -> BTreeSet<(Kind, Arc<str>)> {
        std::mem::take(&mut self.dirty)
    }

    pub(crate) fn take_statuses(&mut self) -> BTreeSet<(Kind, Arc<str>)> {
        std::mem::take(&mut self.statuses)
    }

    pub(crate) fn holds(&self, kind: Kind, uid: &str) -> bool {
        self.desired.contains_key(&(kind, Arc::from(uid)))
    }

    pub(super) fn snapshot(&self) -> Vec<(Kind, Arc<str>, Version)> {
        self.desired.iter().map(|((kind, uid), version)| (*kind, Arc::clone(uid), *version)).collect()
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn len(&self) -> usize {
        self.desired.len()
    }
}
