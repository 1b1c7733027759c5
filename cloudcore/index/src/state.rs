//! Everything the index knows, and how it changes.

mod bodies;
mod interest;
mod node_set;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kit::faults::{self, Fault};
use tokio::sync::Notify;
use wire::{KINDS, Kind, Version};

use crate::object::Object;
use interest::Watchers;
pub(crate) use node_set::NodeSet;

/// Key of an object by name: `NAMESPACE/NAME`.
pub(crate) type NameKey = Box<str>;

/// What is known of one kind.
#[derive(Debug, Default)]
pub(crate) struct KindState {
    pub(crate) objects: BTreeMap<Arc<str>, Arc<Object>>,
    by_name: BTreeMap<NameKey, Arc<str>>,
    /// Objects whose last word could not be read; of some of them an older version is known.
    unreadable: BTreeSet<Box<str>>,
    /// A list was read to its end.
    listed: bool,
    /// Since the last list that told every UID something was there whose UID is not known: it may be any object.
    unnamed: bool,
    /// The watch runs.
    healthy: bool,
    /// Everything up to here was seen.
    pub(crate) resource_version: Box<str>,
    /// Nothing newer than this was seen.
    coming: Box<str>,
}

impl KindState {
    /// Nothing newer than this was seen; `None` where it is unknown or no number.
    pub(crate) fn seen_at_most(&self) -> Option<u128> {
        self.resource_version.parse().ok().max(self.coming.parse().ok())
    }
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct State {
    kinds: [KindState; KINDS.len()],
    pods_of: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    pub(crate) nodes: BTreeMap<Arc<str>, NodeSet>,
    watchers: Watchers,
    /// Names of Nodes that were deleted and not yet taken.
    pub(crate) deleted_nodes: BTreeSet<Arc<str>>,
    subscriptions: u64,
    /// Bodies are kept of what connected nodes want, and of nothing else.
    own_bodies: bool,
}

/// The name part of a key.
pub(crate) fn name_key(namespace: &str, name: &str) -> NameKey {
    format!("{namespace}/{name}").into()
}

const fn place(kind: Kind) -> usize {
    kind as usize
}

impl State {
    /// Knows nothing yet. `own_bodies`: bodies are kept of what connected nodes want, and of nothing else.
    pub(crate) fn new(own_bodies: bool) -> Self {
        Self { own_bodies, ..Self::default() }
    }

    pub(crate) const fn kind(&self, kind: Kind) -> &KindState {
        &self.kinds[place(kind)]
    }

    const fn kind_mut(&mut self, kind: Kind) -> &mut KindState {
        &mut self.kinds[place(kind)]
    }

    pub(crate) fn object(&self, kind: Kind, uid: &str) -> Option<&Arc<Object>> {
        self.kind(kind).objects.get(uid)
    }

    pub(crate) fn named(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        let state = self.kind(kind);
        state.objects.get(state.by_name.get(&name_key(namespace, name))?)
    }

    /// Kinds of which no list was read to its end yet.
    pub(crate) fn unlisted(&self) -> Vec<Kind> {
        KINDS.into_iter().filter(|kind| !self.kind(*kind).listed).collect()
    }

    /// Whether an object of this kind that is not in a desired set is known not to belong there. What pods name is
    /// only known as far as all pods are.
    pub(crate) fn may_delete(&self, kind: Kind) -> bool {
        let sure = |kind: Kind| {
            let state = self.kind(kind);
            state.listed && state.healthy && !state.unnamed
        };
        sure(kind) && (kind == Kind::Pod || (sure(Kind::Pod) && self.kind(Kind::Pod).unreadable.is_empty()))
    }

    /// Whether every pod that exists is known as it is now.
    pub(crate) fn knows_all_pods(&self) -> bool {
        self.may_delete(Kind::Pod) && self.kind(Kind::Pod).unreadable.is_empty()
    }

    /// Whether an object exists whose last word could not be read.
    pub(crate) fn is_unreadable(&self, kind: Kind, uid: &str) -> bool {
        self.kind(kind).unreadable.contains(uid)
    }

    /// Takes an object as it is now.
    pub(crate) fn apply(&mut self, object: &Arc<Object>) {
        let kind = object.key.kind;
        let name = name_key(&object.key.namespace, &object.key.name);
        let uid = Arc::clone(&object.uid);
        let state = self.kind_mut(kind);
        let old = state.objects.insert(Arc::clone(&uid), Arc::clone(object));
        let healed = state.unreadable.remove(&*uid);
        let certain = healed && state.unreadable.is_empty();
        let former = state.by_name.insert(name.clone(), Arc::clone(&uid)).filter(|former| **former != *uid);
        if kind == Kind::Pod {
            self.pod_changed(old.as_deref(), Some(object));
        } else {
            if let Some(former) = &former {
                self.reconcile_watchers(kind, &name, former);
            }
            self.reconcile_watchers(kind, &name, &uid);
        }
        let was = old.and_then(|old| old.status_hash());
        if object.status_hash() != was {
            self.status_changed(object);
        }
        if healed {
            // Without a body it was as good as none: who follows looks again, also where the version is the same.
            self.nodes.values_mut().for_each(|set| set.look_again(kind, &uid));
        }
        if certain {
            self.wake_all();
        }
    }

    /// Forgets an object.
    pub(crate) fn delete(&mut self, kind: Kind, uid: &str) {
        let state = self.kind_mut(kind);
        if state.unreadable.remove(uid) && state.unreadable.is_empty() {
            self.wake_all();
        }
        let state = self.kind_mut(kind);
        let Some(old) = state.objects.remove(uid) else { return };
        let name = name_key(&old.key.namespace, &old.key.name);
        // A successor of the same name may be there already.
        let current = state.by_name.get(&name).is_some_and(|current| **current == *uid);
        if current {
            state.by_name.remove(&name);
        }
        if kind == Kind::Pod {
            self.pod_changed(Some(&old), None);
            return;
        }
        if kind == Kind::Node && current {
            self.deleted_nodes.insert(old.key.name.as_str().into());
        }
        self.reconcile_watchers(kind, &name, &old.uid);
    }

    /// A list was read to its end: what is not in it is gone. `None`: there is something that nobody can name, so
    /// nothing is known to be gone, and what could be read is served all the same. Nodes are no such case at first:
    /// one that is not there counts as deleted, and its edge would be shut out.
    pub(crate) fn listed(&mut self, kind: Kind, seen: Option<&BTreeSet<String>>) {
        let state = self.kind_mut(kind);
        let Some(seen) = seen else {
            state.unnamed = true;
            state.listed |= kind != Kind::Node;
            return;
        };
        state.listed = true;
        state.unnamed = false;
        state.healthy = true;
        state.unreadable.retain(|uid| seen.contains(&**uid));
        let gone: Vec<_> = state.objects.keys().filter(|uid| !seen.contains(&***uid)).cloned().collect();
        let gone = if faults::on(Fault::RelistKeepsTheGone) { Vec::new() } else { gone };
        for uid in gone {
            self.delete(kind, &uid);
        }
        self.wake_all();
    }

    /// An object could not be read. Its previous version, if there is one, stays in use; what the newer one names, and
    /// so what nobody names any more, is not known until a good version comes.
    pub(crate) fn skipped(&mut self, kind: Kind, uid: &str) {
        let state = self.kind_mut(kind);
        if uid.is_empty() {
            state.unnamed = true;
            return;
        }
        state.unreadable.insert(uid.into());
    }

    pub(crate) fn set_healthy(&mut self, kind: Kind, healthy: bool) {
        if std::mem::replace(&mut self.kind_mut(kind).healthy, healthy) != healthy && healthy {
            self.wake_all();
        }
    }

    /// What comes next is as new as this at most.
    pub(crate) fn coming(&mut self, kind: Kind, version: &str) {
        self.kind_mut(kind).coming = version.into();
    }

    pub(crate) fn progressed(&mut self, kind: Kind, version: &str) {
        let state = self.kind_mut(kind);
        state.resource_version = version.into();
        state.coming = version.into();
    }

    /// Deletes that were held back may go on now.
    fn wake_all(&self) {
        self.nodes.values().for_each(NodeSet::wake);
    }

    /// Starts following a node, and ends any former following of it. Everything desired is dirty at first.
    pub(crate) fn subscribe(&mut self, node: &str, wake: Arc<Notify>) -> u64 {
        self.subscriptions += 1;
        let id = self.subscriptions;
        if let Some(former) = self.nodes.get_mut(node) {
            former.renew(id, wake);
            return id;
        }
        let node: Arc<str> = node.into();
        self.nodes.insert(Arc::clone(&node), NodeSet::new(id, wake));
        self.want(&node, Kind::Node, &name_key("", &node));
        // Every pod gets the variables of the API server's own Service, whatever its enableServiceLinks says.
        self.want(&node, Kind::Service, &name_key("default", "kubernetes"));
        let pods: Vec<_> = self.pods_of.get(&node).into_iter().flatten().cloned().collect();
        for uid in pods {
            if let Some(pod) = self.object(Kind::Pod, &uid).cloned() {
                self.want_of_pod(&node, &pod);
                self.reconcile(&node, Kind::Pod, &uid);
            }
        }
        id
    }

    /// Stops following a node, unless somebody else follows it by now.
    pub(crate) fn unsubscribe(&mut self, node: &str, id: u64) {
        if self.nodes.get(node).is_some_and(|set| set.id == id) {
            let set = self.nodes.remove(node);
            self.unwant_all(&node.into());
            for (kind, uid, _) in set.map(|set| set.snapshot()).unwrap_or_default() {
                self.drop_body(kind, &uid);
            }
        }
    }

    /// The set of a node, for whoever follows it under this id.
    pub(crate) fn followed(&mut self, node: &str, id: u64) -> Option<&mut NodeSet> {
        self.nodes.get_mut(node).filter(|set| set.id == id)
    }

    /// Brings one entry of a node's set in line with what it wants and what exists.
    fn reconcile(&mut self, node: &str, kind: Kind, uid: &str) {
        let object = self.object(kind, uid).cloned();
        let wanted = object.filter(|object| self.is_wanted(node, object));
        let version = wanted.map(|object| object.version);
        if let Some(set) = self.nodes.get_mut(node) {
            set.put(kind, uid, version);
        }
        if version.is_none() {
            self.drop_body(kind, uid);
        }
    }

    fn is_wanted(&self, node: &str, object: &Object) -> bool {
        let kind = object.key.kind;
        if let Some(pod) = object.pod() {
            return *pod.node == *node;
        }
        let name = name_key(&object.key.namespace, &object.key.name);
        let current = self.kind(kind).by_name.get(&name).is_some_and(|uid| *uid == object.uid);
        current
            && (self.watchers.wants(node, kind, &name)
                || (kind == Kind::Service && self.watchers.wants_namespace(node, &object.key.namespace)))
    }

    fn reconcile_watchers(&mut self, kind: Kind, name: &str, uid: &str) {
        let mut nodes = self.watchers.of(kind, name);
        if kind == Kind::Service {
            let namespace = name.split('/').next().unwrap_or_default();
            nodes.extend(self.watchers.of_namespace(namespace));
        }
        for node in nodes {
            self.reconcile(&node, kind, uid);
        }
    }

    fn status_changed(&mut self, object: &Object) {
        let node: &str = object.pod().map_or(&object.key.name, |pod| &pod.node);
        if let Some(set) = self.nodes.get_mut(node) {
            set.status_changed(object.key.kind, &object.uid);
        }
    }

    /// Hash of every status that a node's edge owns a part of.
    pub(crate) fn statuses(&self, node: &str) -> Vec<(Kind, Arc<str>, Version)> {
        let pods = self.pods_of.get(node).into_iter().flatten().filter_map(|uid| self.object(Kind::Pod, uid));
        self.named(Kind::Node, "", node)
            .into_iter()
            .chain(pods)
            .filter_map(|object| Some((object.key.kind, Arc::clone(&object.uid), object.status_hash()?)))
            .collect()
    }

    /// Version of every object of a node's set, by kind and UID.
    pub(crate) fn snapshot(&self, node: &str) -> Vec<(Kind, Arc<str>, Version)> {
        self.nodes.get(node).map(NodeSet::snapshot).unwrap_or_default()
    }
}
