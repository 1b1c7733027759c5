//! Who wants what, by reference counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::Kind;

use super::{NameKey, State, name_key};
use crate::object::Object;

/// What connected nodes want beside their own pods.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// Per named object the nodes that want it, and how many reasons each has.
    named: BTreeMap<(Kind, NameKey), BTreeMap<Arc<str>, u32>>,
    /// Per namespace the nodes that want its Services, and how many pods say so.
    namespaces: BTreeMap<Box<str>, BTreeMap<Arc<str>, u32>>,
}

fn add<K: Ord>(counts: &mut BTreeMap<K, BTreeMap<Arc<str>, u32>>, key: K, node: &Arc<str>) {
    *counts.entry(key).or_default().entry(Arc::clone(node)).or_default() += 1;
}

fn take<K: Ord>(counts: &mut BTreeMap<K, BTreeMap<Arc<str>, u32>>, key: &K, node: &str) {
    let Some(nodes) = counts.get_mut(key) else { return };
    if let Some(count) = nodes.get_mut(node) {
        *count -= 1;
        if *count == 0 {
            nodes.remove(node);
        }
    }
    if nodes.is_empty() {
        counts.remove(key);
    }
}

impl Watchers {
    pub(super) fn wants(&self, node: &str, kind: Kind, name: &str) -> bool {
        self.named.get(&(kind, name.into())).is_some_and(|nodes| nodes.contains_key(node))
    }

    pub(super) fn wants_namespace(&self, node: &str, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|nodes| nodes.contains_key(node))
    }

    /// Whether any node wants a named object.
    pub(super) fn wanted(&self, kind: Kind, name: &str) -> bool {
        self.named.contains_key(&(kind, name.into()))
    }

    /// Whether any node wants the Services of a namespace.
    pub(super) fn wanted_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// Nodes that want a named object.
    pub(super) fn of(&self, kind: Kind, name: &str) -> BTreeSet<Arc<str>> {
        self.named.get(&(kind, name.into())).map(|nodes| nodes.keys().cloned().collect()).unwrap_or_default()
    }

    /// Nodes that want the Services of a namespace.
    pub(super) fn of_namespace(&self, namespace: &str) -> BTreeSet<Arc<str>> {
        self.namespaces.get(namespace).map(|nodes| nodes.keys().cloned().collect()).unwrap_or_default()
    }
}

/// What a pod names, by kind and name.
fn names(pod: &Object) -> Vec<(Kind, NameKey)> {
    let Some(detail) = pod.pod() else { return Vec::new() };
    let namespace = &pod.key.namespace;
    let mut names = vec![(Kind::ServiceAccount, name_key(namespace, &detail.service_account))];
    names.extend(detail.config_maps.iter().map(|name| (Kind::ConfigMap, name_key(namespace, name))));
    names.extend(detail.secrets.iter().map(|name| (Kind::Secret, name_key(namespace, name))));
    names
}

impl State {
    /// A connected node wants a named object for one more reason.
    pub(super) fn want(&mut self, node: &Arc<str>, kind: Kind, name: &str) {
        add(&mut self.watchers.named, (kind, name.into()), node);
        self.reconcile_named(node, kind, name);
    }

    /// Counts what a pod wants of its node.
    pub(super) fn want_of_pod(&mut self, node: &Arc<str>, pod: &Object) {
        for (kind, name) in names(pod) {
            self.want(node, kind, &name);
        }
        if pod.pod().is_some_and(|detail| detail.service_links) {
            add(&mut self.watchers.namespaces, pod.key.namespace.as_str().into(), node);
            self.reconcile_services(node, &pod.key.namespace);
        }
    }

    fn unwant_of_pod(&mut self, node: &Arc<str>, pod: &Object) {
        for (kind, name) in names(pod) {
            take(&mut self.watchers.named, &(kind, name.clone()), node);
            self.reconcile_named(node, kind, &name);
        }
        if pod.pod().is_some_and(|detail| detail.service_links) {
            take(&mut self.watchers.namespaces, &pod.key.namespace.as_str().into(), node);
            self.reconcile_services(node, &pod.key.namespace);
        }
    }

    /// A node is connected no more: takes back all that it wanted.
    pub(super) fn unwant_all(&mut self, node: &Arc<str>) {
        take(&mut self.watchers.named, &(Kind::Node, name_key("", node)), node);
        take(&mut self.watchers.named, &(Kind::Service, name_key("default", "kubernetes")), node);
        let pods: Vec<_> = self.pods_of.get(node).into_iter().flatten().cloned().collect();
        for uid in pods {
            if let Some(pod) = self.object(Kind::Pod, &uid).cloned() {
                self.unwant_of_pod(node, &pod);
            }
        }
    }

    /// Whether nobody wants anything: so it must be when no node is connected.
    #[cfg(test)]
    pub(crate) fn is_unwatched(&self) -> bool {
        self.watchers.named.is_empty() && self.watchers.namespaces.is_empty()
    }

    /// A pod came, changed or went. The new interest is counted before the old is taken back, so that what both name
    /// is never dropped in between.
    pub(super) fn pod_changed(&mut self, old: Option<&Object>, new: Option<&Object>) {
        let node_of = |pod: Option<&Object>| {
            pod.and_then(Object::pod).map(|detail| Arc::clone(&detail.node)).filter(|node| !node.is_empty())
        };
        let (from, to) = (node_of(old), node_of(new));
        let uid = old.or(new).map(|pod| Arc::clone(&pod.uid)).unwrap_or_default();
        let same_interest = from == to
            && old.map(names) == new.map(names)
            && old.and_then(Object::pod).map(|pod| pod.service_links)
                == new.and_then(Object::pod).map(|pod| pod.service_links);
        if let Some(node) = &to {
            self.pods_of.entry(Arc::clone(node)).or_default().insert(Arc::clone(&uid));
        }
        if let (Some(node), Some(pod), false) = (&to, new, same_interest)
            && self.nodes.contains_key(node)
        {
            self.want_of_pod(node, pod);
        }
        if let (Some(node), Some(pod), false) = (&from, old, same_interest)
            && self.nodes.contains_key(node)
        {
            self.unwant_of_pod(node, pod);
        }
        if let Some(node) = from.filter(|from| Some(from) != to.as_ref()) {
            if let Some(pods) = self.pods_of.get_mut(&node) {
                pods.remove(&uid);
                if pods.is_empty() {
                    self.pods_of.remove(&node);
                }
            }
            self.reconcile(&node, Kind::Pod, &uid);
        }
        if let Some(node) = to {
            self.reconcile(&node, Kind::Pod, &uid);
        }
    }

    fn reconcile_named(&mut self, node: &str, kind: Kind, name: &str) {
        if let Some(uid) = self.kind(kind).by_name.get(name).cloned() {
            self.reconcile(node, kind, &uid);
        }
    }

    fn reconcile_services(&mut self, node: &str, namespace: &str) {
        let prefix = name_key(namespace, "");
        let services: Vec<_> = self
            .kind(Kind::Service)
            .by_name
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&*prefix))
            .map(|(_, uid)| Arc::clone(uid))
            .collect();
        for uid in services {
            self.reconcile(node, Kind::Service, &uid);
        }
    }
}
