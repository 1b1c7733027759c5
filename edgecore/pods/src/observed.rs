//! What the runtime holds, sorted by pod.

use std::collections::BTreeMap;

use crate::runtime::{Container, ContainerDetail, ContainerId, ContainerState, Observed, Sandbox, SandboxId};

/// One container with what a closer look told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// As listed.
    pub container: Container,
    /// The closer look; none for one that never started, nor for one whose start was called off.
    pub detail: Option<ContainerDetail>,
}

impl Seen {
    /// It holds, or may hold, a process.
    pub fn alive(&self) -> bool {
        matches!(self.container.state, ContainerState::Running | ContainerState::Unknown)
    }
}

/// Everything of one pod, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodView {
    /// Sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// Containers.
    pub containers: Vec<Seen>,
}

impl PodView {
    /// Nothing of the pod is left.
    pub fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty()
    }

    /// The sandbox that containers are started in: the newest, if it holds.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }

    /// The container of that id.
    pub fn by_id(&self, id: &str) -> Option<&Seen> {
        self.containers.iter().find(|seen| seen.container.id.0 == id)
    }

    /// The containers of that name, newest first.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Seen> {
        self.containers.iter().filter(move |seen| seen.container.name == name)
    }

    /// Some container holds, or may hold, a process.
    pub fn anything_alive(&self) -> bool {
        self.containers.iter().any(Seen::alive)
    }

    fn sort(&mut self) {
        self.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.attempt, sandbox.created_at_ns)));
        self.containers
            .sort_by_key(|seen| std::cmp::Reverse((seen.container.attempt, seen.container.created_at_ns)));
    }
}

/// The details already known, so that only what changed is asked for again.
#[derive(Debug, Default)]
pub struct Known {
    details: BTreeMap<ContainerId, (ContainerState, ContainerDetail)>,
    ips: BTreeMap<SandboxId, Vec<String>>,
}

impl Known {
    /// Containers that need a closer look.
    pub fn unknown_containers(&self, observed: &Observed) -> Vec<Container> {
        let wanted = |container: &&Container| {
            matches!(container.state, ContainerState::Running | ContainerState::Exited)
                && self.details.get(&container.id).is_none_or(|(state, _)| *state != container.state)
        };
        observed.containers.iter().filter(wanted).cloned().collect()
    }

    /// Sandboxes whose addresses are not known.
    pub fn unknown_sandboxes(&self, observed: &Observed) -> Vec<SandboxId> {
        let wanted = |sandbox: &&Sandbox| {
            sandbox.ready && sandbox.ips.is_empty() && !self.ips.contains_key(&sandbox.id)
        };
        observed.sandboxes.iter().filter(wanted).map(|sandbox| sandbox.id.clone()).collect()
    }

    /// Remembers a closer look.
    pub fn learn(&mut self, id: ContainerId, state: ContainerState, detail: ContainerDetail) {
        self.details.insert(id, (state, detail));
    }

    /// Remembers addresses.
    pub fn learn_ips(&mut self, id: SandboxId, ips: Vec<String>) {
        self.ips.insert(id, ips);
    }

    /// Forgets what is no longer there.
    pub fn forget(&mut self, observed: &Observed) {
        let containers: std::collections::BTreeSet<_> = observed.containers.iter().map(|c| &c.id).collect();
        let sandboxes: std::collections::BTreeSet<_> = observed.sandboxes.iter().map(|s| &s.id).collect();
        self.details.retain(|id, _| containers.contains(id));
        self.ips.retain(|id, _| sandboxes.contains(id));
    }

    /// Sorts a look by pod UID. A container whose closer look is missing makes its pod unknown: it is left out and
    /// its UID is in the second list.
    pub fn by_pod(&self, observed: Observed) -> (BTreeMap<String, PodView>, Vec<String>) {
        let mut pods: BTreeMap<String, PodView> = BTreeMap::new();
        let mut unknown = Vec::new();
        for mut sandbox in observed.sandboxes {
            if sandbox.ips.is_empty() {
                sandbox.ips = self.ips.get(&sandbox.id).cloned().unwrap_or_default();
            }
            pods.entry(sandbox.pod_uid.clone()).or_default().sandboxes.push(sandbox);
        }
        for mut container in observed.containers {
            let detail = self.details.get(&container.id).filter(|(state, _)| *state == container.state);
            let needed = matches!(container.state, ContainerState::Running | ContainerState::Exited);
            if needed && detail.is_none() {
                unknown.push(container.pod_uid.clone());
            }
            let detail = detail.map(|(_, detail)| detail.clone());
            // It never started, so to us it is what it was before: made.
            let called_off = detail.as_ref().is_some_and(|detail| detail.called_off);
            let detail = detail.filter(|_| !called_off);
            if called_off {
                container.state = ContainerState::Created;
            }
            pods.entry(container.pod_uid.clone()).or_default().containers.push(Seen { container, detail });
        }
        for uid in &unknown {
            pods.remove(uid);
        }
        pods.values_mut().for_each(PodView::sort);
        (pods, unknown)
    }
}
