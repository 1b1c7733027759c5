//! What is kept of pods, Nodes and Namespaces, and which of them are to be looked at.

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudcore_kube::KubeError;
use cloudcore_kube::leader::Term;
use cloudcore_kube::watch::{Named, Observer};
use kit::{Clock, Elapsed};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::connected::{Looked, NodeSeen, Session};
use crate::policy::{Annotations, Autonomy};
use crate::queue::Queue;

/// What of a pod counts here.
#[derive(Debug, Clone)]
pub(crate) struct PodSeen {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) version: Box<str>,
    /// The node it is bound to.
    pub(crate) node: Box<str>,
    pub(crate) autonomy: Option<Box<str>>,
    pub(crate) came_with: Option<Box<str>>,
    /// A JSON list, as text: it is looked at rarely.
    pub(crate) tolerations: Box<str>,
    /// When it was bound, as seen from here; `None` where it was bound already when this process began to look.
    pub(crate) bound: Option<Elapsed>,
}

/// What of a Namespace counts here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespaceSeen {
    pub(crate) name: Box<str>,
    pub(crate) autonomy: Option<Box<str>>,
}

/// One of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Pods,
    Nodes,
    Namespaces,
}

/// Everything that is kept.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) pods: BTreeMap<Arc<str>, PodSeen>,
    /// Nodes by UID.
    pub(crate) nodes: BTreeMap<Arc<str>, NodeSeen>,
    namespaces: BTreeMap<Arc<str>, NamespaceSeen>,
    node_uids: BTreeMap<Box<str>, Arc<str>>,
    namespace_uids: BTreeMap<Box<str>, Arc<str>>,
    by_node: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
    by_namespace: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
    listed: BTreeSet<Which>,
    /// Pods to be looked at, by UID. Filled only while this replica leads.
    pub(crate) pods_due: Queue<Arc<str>>,
    /// Nodes whose condition is to be looked at, by name.
    pub(crate) nodes_due: Queue<Arc<str>>,
    /// Sessions that are, or were, open here, by node.
    pub(crate) sessions: BTreeMap<Arc<str>, Session>,
    /// Leases as they were last read, by node.
    pub(crate) looked: BTreeMap<Arc<str>, Looked>,
    /// The term during which this replica leads.
    pub(crate) term: Option<Term>,
    /// What counts where no annotation says otherwise.
    pub(crate) default: Autonomy,
}

impl State {
    /// Whether this replica leads, now.
    pub(crate) fn leads(&self) -> bool {
        self.term.as_ref().is_some_and(Term::holds)
    }

    /// A Node by name, with its UID.
    pub(crate) fn node(&self, name: &str) -> Option<(&Arc<str>, &NodeSeen)> {
        let uid = self.node_uids.get(name)?;
        Some((uid, self.nodes.get(uid)?))
    }

    /// A Namespace by name, with its UID.
    pub(crate) fn namespace(&self, name: &str) -> Option<(&Arc<str>, &NamespaceSeen)> {
        let uid = self.namespace_uids.get(name)?;
        Some((uid, self.namespaces.get(uid)?))
    }

    /// What the annotations say about a pod.
    pub(crate) fn annotations<'a>(&'a self, pod: &'a PodSeen) -> Annotations<'a> {
        Annotations {
            pod: pod.autonomy.as_deref(),
            namespace: self
                .namespace(&pod.namespace)
                .and_then(|(_, namespace)| namespace.autonomy.as_deref()),
            node: self.node(&pod.node).and_then(|(_, node)| node.autonomy.as_deref()),
        }
    }

    /// Whether all that a policy is made of was listed.
    pub(crate) fn is_complete(&self) -> bool {
        self.listed.len() == 3
    }

    fn mark_pods<'a>(&mut self, uids: impl IntoIterator<Item = &'a Arc<str>>, clock: &Clock) {
        if self.term.is_some() {
            let now = clock.elapsed();
            uids.into_iter().for_each(|uid| self.pods_due.mark(uid, now));
        }
    }

    fn apply_pod(&mut self, uid: &Arc<str>, pod: Option<PodSeen>, clock: &Clock) {
        // What was read first may belong elsewhere by now.
        let before = self.remove_pod(uid);
        let Some(mut pod) = pod else { return };
        pod.bound = match before {
            Some(before) => before.bound,
            None => self.listed.contains(&Which::Pods).then(|| clock.elapsed()),
        };
        self.by_node.entry(pod.node.clone()).or_default().insert(Arc::clone(uid));
        self.by_namespace.entry(pod.namespace.clone()).or_default().insert(Arc::clone(uid));
        self.pods.insert(Arc::clone(uid), pod);
        self.mark_pods([uid], clock);
    }

    fn remove_pod(&mut self, uid: &str) -> Option<PodSeen> {
        let pod = self.pods.remove(uid)?;
        for (index, key) in [(&mut self.by_node, &pod.node), (&mut self.by_namespace, &pod.namespace)] {
            if let Some(uids) = index.get_mut(key) {
                uids.remove(uid);
                if uids.is_empty() {
                    index.remove(key);
                }
            }
        }
        Some(pod)
    }

    /// Answers whether the node is elsewhere, or connected, or not, other than before.
    fn apply_node(&mut self, uid: Arc<str>, node: NodeSeen, clock: &Clock) -> bool {
        if let Some(old) =
            self.node_uids.insert(node.name.clone(), Arc::clone(&uid)).filter(|old| *old != uid)
        {
            self.nodes.remove(&old);
        }
        let name: Arc<str> = (*node.name).into();
        let before = self.nodes.insert(uid, node);
        let after = self.node(&name).map(|(_, node)| node.clone());
        // Pods look at these; their Node's heartbeat is none of their business.
        let facts = |node: Option<&NodeSeen>| {
            node.map(|node| (node.edge, node.autonomy.clone(), node.tainted.is_some(), node.shows(true)))
        };
        if facts(before.as_ref()) != facts(after.as_ref()) {
            let uids = self.by_node.get(&*name).cloned().unwrap_or_default();
            self.mark_pods(&uids, clock);
        }
        let whereabouts =
            |node: Option<&NodeSeen>| node.map(|node| (node.endpoint, node.shows(true), node.shows(false)));
        let moved = whereabouts(before.as_ref()) != whereabouts(after.as_ref());
        // Whoever renews its Lease makes it Ready again: what was seen of the Lease is of another silence.
        if after.is_some_and(|node| !node.given_up) {
            self.looked.remove(&name);
        }
        self.nodes_due.mark(&name, clock.elapsed());
        moved
    }

    fn remove_node(&mut self, uid: &str, clock: &Clock) {
        let Some(node) = self.nodes.remove(uid) else { return };
        if self.node_uids.get(&node.name).is_some_and(|held| **held == *uid) {
            self.node_uids.remove(&node.name);
            self.looked.remove(&*node.name);
            // Whatever was opened for it is to be closed.
            self.nodes_due.mark(&(*node.name).into(), clock.elapsed());
        }
    }

    fn apply_namespace(&mut self, uid: Arc<str>, namespace: NamespaceSeen, clock: &Clock) {
        let name = namespace.name.clone();
        if let Some(old) =
            self.namespace_uids.insert(name.clone(), Arc::clone(&uid)).filter(|old| *old != uid)
        {
            self.namespaces.remove(&old);
        }
        let changed = self.namespaces.get(&uid) != Some(&namespace);
        self.namespaces.insert(uid, namespace);
        if changed {
            let uids = self.by_namespace.get(&name).cloned().unwrap_or_default();
            self.mark_pods(&uids, clock);
        }
    }

    fn remove_namespace(&mut self, uid: &str) {
        let Some(namespace) = self.namespaces.remove(uid) else { return };
        if self.namespace_uids.get(&namespace.name).is_some_and(|held| **held == *uid) {
            self.namespace_uids.remove(&namespace.name);
        }
    }
}

/// The state, and who waits for it to change. Clones are one and the same.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    clock: Clock,
    pods: Notify,
    nodes: Notify,
    /// Changes when a node may be elsewhere than before.
    moved: watch::Sender<()>,
}

impl Seen {
    pub(crate) fn new(clock: Clock, default: Autonomy) -> Self {
        let state = Mutex::new(State { default, ..State::default() });
        let (pods, nodes, moved) = (Notify::new(), Notify::new(), watch::Sender::new(()));
        let inner = Inner { state, clock, pods, nodes, moved };
        Self { inner: Arc::new(inner) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state, or changes it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state())
    }

    /// From now on this replica leads, or no more: everything is looked at once, or nothing any more.
    pub(crate) fn set_term(&self, term: Option<Term>) {
        let now = self.inner.clock.elapsed();
        self.with(|state| {
            state.pods_due.clear();
            state.term = term;
            if state.term.is_some() {
                let State { pods, nodes, pods_due, nodes_due, .. } = state;
                for uid in pods.keys() {
                    pods_due.mark(uid, now);
                }
                for node in nodes.values() {
                    nodes_due.mark(&(*node.name).into(), now);
                }
            }
        });
        self.wake();
    }

    /// A session began or ended.
    pub(crate) fn session(&self, node: &Arc<str>, session: Session) {
        let now = self.inner.clock.elapsed();
        self.with(|state| {
            // One that a newer one here took the place of says nothing.
            if state.sessions.get(node).is_some_and(|known| known.epoch() > session.epoch()) {
                return;
            }
            state.sessions.insert(Arc::clone(node), session);
            state.looked.remove(node);
            state.nodes_due.mark(node, now);
        });
        self.inner.nodes.notify_one();
        self.inner.moved.send_replace(());
    }

    /// Hears when a node may be elsewhere than before.
    pub(crate) fn moves(&self) -> watch::Receiver<()> {
        self.inner.moved.subscribe()
    }

    /// Returns when pods may be due that were not.
    pub(crate) async fn pods_changed(&self) {
        self.inner.pods.notified().await;
    }

    /// Returns when Nodes may be due that were not.
    pub(crate) async fn nodes_changed(&self) {
        self.inner.nodes.notified().await;
    }

    fn wake(&self) {
        self.inner.pods.notify_one();
        self.inner.nodes.notify_one();
    }

    /// Feeds one kind.
    pub(crate) fn observer(&self, which: Which) -> Arc<dyn Observer> {
        Arc::new(Feed { seen: self.clone(), which })
    }
}

/// Feeds one kind. What cannot be read keeps its last good version.
struct Feed {
    seen: Seen,
    which: Which,
}

impl Observer for Feed {
    fn applied(&self, raw: &[u8]) -> Result<(), String> {
        let clock = &self.seen.inner.clock;
        match self.which {
            Which::Pods => {
                let (uid, pod) = parse::pod(raw)?;
                self.seen.with(|state| state.apply_pod(&uid, pod, clock));
            }
            Which::Nodes => {
                let (uid, node) = parse::node(raw)?;
                if self.seen.with(|state| state.apply_node(uid, node, clock)) {
                    self.seen.inner.moved.send_replace(());
                }
            }
            Which::Namespaces => {
                let (uid, namespace) = parse::namespace(raw)?;
                self.seen.with(|state| state.apply_namespace(uid, namespace, clock));
            }
        }
        self.seen.wake();
        Ok(())
    }

    fn skipped(&self, _named: &Named) {}

    fn deleted(&self, uid: &str) {
        self.seen.with(|state| match self.which {
            Which::Pods => drop(state.remove_pod(uid)),
            Which::Nodes => state.remove_node(uid, &self.seen.inner.clock),
            Which::Namespaces => state.remove_namespace(uid),
        });
        if self.which == Which::Nodes {
            self.seen.inner.moved.send_replace(());
            self.seen.inner.nodes.notify_one();
        }
    }

    fn listed(&self, seen: Option<&BTreeSet<String>>) {
        let gone = |uids: Vec<Arc<str>>| -> Vec<Arc<str>> {
            let is_gone = |uid: &Arc<str>| seen.is_some_and(|seen| !seen.contains(&**uid));
            uids.into_iter().filter(is_gone).collect()
        };
        let known = self.seen.with(|state| match self.which {
            Which::Pods => state.pods.keys().cloned().collect::<Vec<_>>(),
            Which::Nodes => state.nodes.keys().cloned().collect(),
            Which::Namespaces => state.namespaces.keys().cloned().collect(),
        });
        for uid in gone(known) {
            self.deleted(&uid);
        }
        self.seen.with(|state| state.listed.insert(self.which));
        self.seen.wake();
    }

    fn progressed(&self, _resource_version: &str) {}

    fn broken(&self, _error: &KubeError) {}

    fn healthy(&self) {}
}

/// The tolerations of a pod.
pub(crate) fn tolerations(pod: &PodSeen) -> Vec<Value> {
    // Was a list when it was read.
    serde_json::from_str(&pod.tolerations).unwrap_or_default()
}

#[cfg(test)]
#[path = "tests/seen.rs"]
mod tests;
