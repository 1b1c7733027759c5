//! Whose bodies are kept: those of what connected nodes want. Of everything else the index knows key, UID, version and
//! what statuses and references need; a Secret of another replica's node is in memory only while it is read.

use std::sync::Arc;

use kit::faults::{self, Fault};
use wire::{Body, Kind, Version};

use super::{State, name_key};
use crate::handle::Counts;
use crate::object::{Draft, Object};

impl State {
    /// Whether the body of an object that was read is worth packing.
    pub(crate) fn wants_body(&self, draft: &Draft) -> bool {
        !self.own_bodies
            || draft.pod_node().map_or_else(
                || self.is_named(draft.key.kind, &draft.key.namespace, &draft.key.name),
                |node| self.nodes.contains_key(node),
            )
    }

    /// An object of a node's set, for whoever sends it. One whose last word could not be read, and whose body is not
    /// kept, is as good as none: what can be had of it is not what is known of it.
    pub(crate) fn of_set(&mut self, node: &str, id: u64, kind: Kind, uid: &str) -> Option<Arc<Object>> {
        self.followed(node, id).filter(|set| set.holds(kind, uid))?;
        let object = self.object(kind, uid)?;
        (object.body.is_some() || !self.is_unreadable(kind, uid)).then(|| Arc::clone(object))
    }

    /// Whether the body of this version is missing and wanted.
    pub(crate) fn lacks(&self, kind: Kind, uid: &str, version: Version) -> bool {
        self.object(kind, uid).is_some_and(|object| {
            let same = object.version == version || faults::on(Fault::BodyOfAnotherVersion);
            same && object.body.is_none() && self.is_wanted_by_any(object)
        })
    }

    /// Keeps a body that was missing, and wakes whoever waits for it.
    pub(crate) fn keep_body(&mut self, kind: Kind, uid: &str, version: Version, body: Arc<Body>) {
        if !self.lacks(kind, uid, version) {
            return;
        }
        self.set_body(kind, uid, Some(body));
        self.nodes.values().filter(|set| set.holds(kind, uid)).for_each(super::NodeSet::wake);
    }

    /// Forgets the body of an object that nobody wants any more.
    pub(super) fn drop_body(&mut self, kind: Kind, uid: &str) {
        let stale = self.own_bodies
            && self
                .object(kind, uid)
                .is_some_and(|object| object.body.is_some() && !self.is_wanted_by_any(object));
        if stale {
            self.set_body(kind, uid, None);
        }
    }

    fn set_body(&mut self, kind: Kind, uid: &str, body: Option<Arc<Body>>) {
        if let Some(object) = self.kind_mut(kind).objects.get_mut(uid) {
            *object = Arc::new(Object { body, ..Object::clone(object) });
        }
    }

    fn is_wanted_by_any(&self, object: &Object) -> bool {
        if let Some(pod) = object.pod() {
            return self.nodes.contains_key(&pod.node);
        }
        let (kind, key) = (object.key.kind, &object.key);
        // Of two of one name, for the moment that both are there, only the newer is wanted.
        let current = self.named(kind, &key.namespace, &key.name);
        current.is_some_and(|current| current.uid == object.uid)
            && self.is_named(kind, &key.namespace, &key.name)
    }

    fn is_named(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.watchers.wanted(kind, &name_key(namespace, name))
            || (kind == Kind::Service && self.watchers.wanted_namespace(namespace))
    }

    /// How much is known of a kind.
    pub(crate) fn counts(&self, kind: Kind) -> Counts {
        let objects = &self.kind(kind).objects;
        let bodies = objects.values().filter(|object| object.body.is_some()).count();
        Counts { objects: objects.len(), bodies }
    }
}
