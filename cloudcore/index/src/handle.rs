//! The index as the rest of cloudcore sees it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudcore_kube::KubeError;
use cloudcore_kube::watch::{Named, Observer};
use tokio::sync::Notify;
use wire::{Digest, KINDS, Kind, KindVersion, Version};

use crate::object::{Draft, Object};
use crate::state::State;

/// The index. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Index {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something became listed, healthy or newer.
    progress: Notify,
    /// A Node was deleted.
    node_deleted: Notify,
}

/// What changed for a node since it was last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Objects that were added to its set, changed in it, or left it.
    pub objects: BTreeSet<(Kind, Arc<str>)>,
    /// Objects whose status, as far as the edge owns it, is another one in the cluster.
    pub statuses: BTreeSet<(Kind, Arc<str>)>,
}

/// How much is known of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Objects.
    pub objects: usize,
    /// Those of them whose body is kept.
    pub bodies: usize,
}

impl Index {
    /// An index that knows nothing yet, and keeps everything it is told of.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that keeps bodies only of what nodes want that are followed here; see [`Subscription::get`].
    pub fn with_own_bodies() -> Self {
        let shared = Shared { state: Mutex::new(State::new(true)), ..Shared::default() };
        Self { shared: Arc::new(shared) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds the index with one kind.
    pub fn observer(&self, kind: Kind) -> Arc<KindObserver> {
        Arc::new(KindObserver { index: self.clone(), kind })
    }

    /// Kinds of which no list was read to its end yet.
    pub fn unlisted(&self) -> Vec<Kind> {
        self.state().unlisted()
    }

    /// Whether an object of this kind that is not in a node's desired set is known not to belong there.
    pub fn may_delete(&self, kind: Kind) -> bool {
        self.state().may_delete(kind)
    }

    /// Whether an object exists whose last word could not be read: the edge keeps what it has of it.
    pub fn is_unreadable(&self, kind: Kind, uid: &str) -> bool {
        self.state().is_unreadable(kind, uid)
    }

    /// The resourceVersions beyond which nothing of each kind was seen: what an edge is told, so that it never knows less
    /// than what it was sent.
    pub fn seen(&self) -> Vec<KindVersion> {
        let state = self.state();
        let of = |kind: Kind| {
            let resource_version = state.kind(kind).seen_at_most()?.to_string();
            Some(KindVersion { kind: kind.name().to_owned(), resource_version })
        };
        KINDS.into_iter().filter_map(of).collect()
    }

    /// The one of a kind; `None` where it is unknown or no number.
    pub fn seen_at_most(&self, kind: Kind) -> Option<u128> {
        self.state().kind(kind).seen_at_most()
    }

    /// The resourceVersion up to which all of a kind was seen; `None` where it is unknown or no number.
    pub fn seen_of(&self, kind: Kind) -> Option<u128> {
        self.state().kind(kind).resource_version.parse().ok()
    }

    /// Returns when `holds` does. Asked again whenever a kind is listed or makes progress.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            // Registered before the look, so that progress between look and wait is not missed.
            progress.as_mut().enable();
            if holds(self) {
                return;
            }
            progress.await;
        }
    }

    /// An object by UID.
    pub fn object(&self, kind: Kind, uid: &str) -> Option<Arc<Object>> {
        self.state().object(kind, uid).cloned()
    }

    /// An object by name.
    pub fn named(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.state().named(kind, namespace, name).cloned()
    }

    /// Whether some node that is followed wants the body of this version of an object, and it is missing.
    pub fn lacks(&self, kind: Kind, uid: &str, version: Version) -> bool {
        self.state().lacks(kind, uid, version)
    }

    /// Takes an object as the API server has it for one whose body is missing here. What is of another version, or
    /// wanted by nobody, is not kept: a watch brings it in its turn. The error says what cannot be read.
    pub fn offer(&self, kind: Kind, raw: &[u8]) -> Result<(), String> {
        let draft = Draft::read(kind, raw)?;
        if !self.state().lacks(kind, &draft.uid, draft.version) {
            return Ok(());
        }
        let body = draft.pack(None)?;
        self.state().keep_body(kind, &draft.uid, draft.version, body);
        Ok(())
    }

    /// What the edge owns of the statuses of a node's objects (its pods and the Node itself), by hash.
    pub fn statuses(&self, node: &str) -> Vec<(Kind, Arc<str>, Version)> {
        self.state().statuses(node)
    }

    /// Names of Nodes that were deleted since the last call; returns when there is one.
    pub async fn deleted_nodes(&self) -> BTreeSet<Arc<str>> {
        loop {
            let deleted = self.shared.node_deleted.notified();
            let names = std::mem::take(&mut self.state().deleted_nodes);
            if !names.is_empty() {
                return names;
            }
            deleted.await;
        }
    }

    /// Numbers of objects known, by kind.
    pub fn counts(&self) -> Vec<(Kind, Counts)> {
        let state = self.state();
        KINDS.into_iter().map(|kind| (kind, state.counts(kind))).collect()
    }

    /// Follows a node from now on; whoever followed it before is cut off.
    pub fn subscribe(&self, node: &str) -> Subscription {
        let wake = Arc::new(Notify::new());
        let id = self.state().subscribe(node, Arc::clone(&wake));
        Subscription { index: self.clone(), node: node.into(), id, wake }
    }
}

/// Follows one node's desired set. Ends when dropped.
#[derive(Debug)]
pub struct Subscription {
    index: Index,
    node: Box<str>,
    id: u64,
    wake: Arc<Notify>,
}

impl Subscription {
    /// Returns when something may have changed.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// What changed since the last call; `None` where somebody else follows the node now.
    pub fn take(&self) -> Option<Dirty> {
        let mut state = self.index.state();
        let set = state.followed(&self.node, self.id)?;
        Some(Dirty { objects: set.take_dirty(), statuses: set.take_statuses() })
    }

    /// Version of every object desired.
    pub fn snapshot(&self) -> Vec<(Kind, Arc<str>, Version)> {
        self.index.state().snapshot(&self.node)
    }

    /// An object of the desired set. Its body may be missing ([`Index::with_own_bodies`]): then it is to be read from
    /// the API server and offered ([`Index::offer`]); the subscription wakes when it is there.
    pub fn get(&self, kind: Kind, uid: &str) -> Option<Arc<Object>> {
        self.index.state().of_set(&self.node, self.id, kind, uid)
    }

    /// Whether nobody else follows the node by now. Once somebody does, this one sees an empty set.
    pub fn is_current(&self) -> bool {
        self.index.state().followed(&self.node, self.id).is_some()
    }

    /// Whether no pod can be missing in the set: every pod that exists can be read, and the set is still followed.
    pub fn has_all_pods(&self) -> bool {
        let mut state = self.index.state();
        state.knows_all_pods() && state.followed(&self.node, self.id).is_some()
    }

    /// Whether an object that [`Subscription::get`] did not give is known not to belong to the set.
    pub fn may_delete(&self, kind: Kind, uid: &str) -> bool {
        let mut state = self.index.state();
        state.may_delete(kind)
            && !state.is_unreadable(kind, uid)
            && state.followed(&self.node, self.id).is_some()
    }

    /// Digest and number of all objects desired.
    pub fn digest(&self) -> (Digest, usize) {
        let mut state = self.index.state();
        state.followed(&self.node, self.id).map_or((Digest::EMPTY, 0), |set| (set.digest(), set.len()))
    }

    /// The index.
    pub const fn index(&self) -> &Index {
        &self.index
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.index.state().unsubscribe(&self.node, self.id);
    }
}

/// Feeds the index with one kind.
#[derive(Debug)]
pub struct KindObserver {
    index: Index,
    kind: Kind,
}

impl Observer for KindObserver {
    fn applied(&self, raw: &[u8]) -> Result<(), String> {
        // Parsed and packed outside of the lock; there is one watch a kind, so nobody else changes the old one.
        let draft = Draft::read(self.kind, raw)?;
        let (old, wanted) = {
            let state = self.index.state();
            (state.object(self.kind, &draft.uid).cloned(), state.wants_body(&draft))
        };
        let body = if wanted { Some(draft.pack(old.as_deref())?) } else { None };
        self.index.state().apply(&Arc::new(draft.finish(body)));
        Ok(())
    }

    fn skipped(&self, named: &Named) {
        self.index.state().skipped(self.kind, &named.uid);
    }

    fn deleted(&self, uid: &str) {
        self.index.state().delete(self.kind, uid);
        if self.kind == Kind::Node {
            self.index.shared.node_deleted.notify_one();
        }
    }

    fn listed(&self, seen: Option<&BTreeSet<String>>) {
        self.index.state().listed(self.kind, seen);
        if self.kind == Kind::Node {
            self.index.shared.node_deleted.notify_one();
        }
        self.index.shared.progress.notify_waiters();
    }

    fn coming(&self, resource_version: &str) {
        self.index.state().coming(self.kind, resource_version);
    }

    fn progressed(&self, resource_version: &str) {
        self.index.state().progressed(self.kind, resource_version);
        self.index.shared.progress.notify_waiters();
    }

    fn broken(&self, _error: &KubeError) {
        self.index.state().set_healthy(self.kind, false);
    }

    fn healthy(&self) {
        self.index.state().set_healthy(self.kind, true);
        self.index.shared.progress.notify_waiters();
    }
}

#[cfg(test)]
impl Index {
    /// Number of objects whose body is kept.
    pub(crate) fn bodies(&self) -> usize {
        self.counts().into_iter().map(|(_, counts)| counts.bodies).sum()
    }

    /// Whether no node wants anything.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.state().is_unwatched()
    }
}
