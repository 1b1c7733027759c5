//! All that the engine knows of one pod.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgecore_store::Object;
use k8s_openapi::api::core::v1::{Container, Lifecycle, Pod, PodSpec};
use kit::Elapsed;
use tokio::sync::Notify;
use wire::{ObjectKey, Version};

use crate::action::Action;
use crate::desired::Desired;
use crate::history::History;
use crate::memory::Memory;
use crate::observed::PodView;
use crate::plan::Round;
use crate::restart::Now;

/// A worker that is under way.
#[derive(Debug)]
pub(super) struct Busy {
    pub(super) actions: Vec<Action>,
    pub(super) cancel: Arc<Notify>,
    /// It ends the pod, with this grace.
    pub(super) ending: Option<Duration>,
}

/// One pod: wanted by the store, or found in the runtime, or both.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that is independent of the others")]
pub(super) struct Entry {
    /// What should be; none where the body does not parse.
    pub(super) desired: Option<Desired>,
    /// What the store calls it; none for one that only the runtime knows.
    pub(super) key: Option<ObjectKey>,
    /// Why the body does not parse.
    pub(super) problem: Option<String>,
    /// Version and mark of the row that was taken in.
    pub(super) row: Option<(Version, bool)>,
    pub(super) history: History,
    /// The history as it is on the disk.
    pub(super) stored: Vec<u8>,
    pub(super) memory: Memory,
    /// What the last good look found; none where it is not known.
    pub(super) view: Option<PodView>,
    pub(super) busy: Option<Busy>,
    /// Number of the look that must have begun before the next plan.
    pub(super) need_look: u64,
    /// Hash of the last report.
    pub(super) reported: Option<Version>,
    /// Something is due then.
    pub(super) wake: Option<Elapsed>,
    /// Something changed since the last turn.
    pub(super) dirty: bool,
    /// Memory and report may have to be written.
    pub(super) touched: bool,
    /// Its files are being brought up to date.
    pub(super) refreshing: bool,
    /// And must be, again or for the first time, from then on.
    pub(super) refresh_at: Option<Elapsed>,
    /// What back-offs were told, by container.
    pub(super) told: BTreeMap<String, String>,
    /// Tokens were asked for and refused fields were told, for this version.
    pub(super) greeted: bool,
    /// It left the store for good.
    pub(super) retired: bool,
}

impl Entry {
    /// Takes in what was remembered of it.
    pub(super) fn remember(&mut self, stored: Vec<u8>, uid: &str) {
        match History::decode(&stored) {
            Ok(history) => self.history = history,
            // Written by a release that is not this one's past: what runs is adopted, what ended may run again.
            Err(error) => tracing::error!(uid, %error, "what was remembered of a pod cannot be read"),
        }
        self.stored = stored;
    }

    /// Takes in a row of the store, where it is another than before.
    pub(super) fn take_row(&mut self, object: &Object) {
        let row = (object.version, object.deleting);
        if self.row == Some(row) {
            return;
        }
        self.row = Some(row);
        self.key = Some(object.key.clone());
        self.dirty = true;
        self.greeted = false;
        match Desired::parse(object, crate::spec::refused) {
            Ok(desired) => {
                self.problem = None;
                self.desired = Some(desired);
            }
            Err(error) => {
                let problem = kit::errors::chain(&error);
                tracing::error!(problem, "pod cannot be taken");
                self.problem = Some(problem);
                // What ran before, under a body that did parse, is left alone; but it may have to end.
                if let Some(desired) = &mut self.desired {
                    desired.deleting |= object.deleting;
                    desired.gone |= object.deleting;
                } else if object.deleting {
                    self.desired = Some(nameless(&object.uid, &object.key.namespace, &object.key.name));
                }
            }
        }
    }

    /// Makes it one that nobody wants (any more).
    pub(super) fn disown(&mut self, uid: &str) {
        let sandbox = self.view.as_ref().and_then(|view| view.sandboxes.first());
        let (namespace, name) = match (&self.key, sandbox) {
            (Some(key), _) => (key.namespace.clone(), key.name.clone()),
            (None, Some(sandbox)) => (sandbox.pod_namespace.clone(), sandbox.pod_name.clone()),
            (None, None) => (String::new(), String::new()),
        };
        let mut desired = nameless(uid, &namespace, &name);
        desired.pod = Arc::new(pod_of(self.view.as_ref()));
        self.desired = Some(desired);
        self.key = None;
        self.row = None;
        self.dirty = true;
    }

    /// What it is made from changed: its files follow, and what waited for it is tried at once.
    pub(super) fn sources_changed(&mut self, now: Elapsed) {
        self.memory.hurry(now);
        self.refresh_at = Some(now);
        self.dirty = true;
    }

    /// When its files are to be brought up to date, where that can be done: `looked` is the last look, and what was seen
    /// before its last steps ended says nothing of what they left.
    pub(super) fn refresh_due(&self, looked: u64) -> Option<Elapsed> {
        let rests = self.busy.is_none() && !self.refreshing && looked >= self.need_look;
        self.refresh_at.filter(|_| rests && self.desired.is_some() && self.view.is_some())
    }

    /// It is only known because the runtime holds something of it.
    pub(super) fn orphan(&self) -> bool {
        self.key.is_none()
    }

    /// Nothing of it is left anywhere.
    pub(super) fn left_nothing(&self) -> bool {
        self.busy.is_none() && self.memory.cleared && self.view.as_ref().is_some_and(PodView::is_empty)
    }

    /// It is over and holds nothing any more.
    pub(super) fn over(&self) -> bool {
        self.history.verdict.is_some() && !self.view.as_ref().is_some_and(PodView::anything_alive)
    }

    /// All that a plan or a status is made from; none where it is not known.
    pub(super) fn round<'a>(&'a self, now: &'a Now) -> Option<Round<'a>> {
        Some(Round {
            desired: self.desired.as_ref()?,
            view: self.view.as_ref()?,
            history: &self.history,
            memory: &self.memory,
            now,
        })
    }
}

/// As much of a pod as the notes on its containers tell: how it wants to end.
fn pod_of(view: Option<&PodView>) -> Pod {
    let seen = || view.into_iter().flat_map(|view| &view.containers).map(|seen| &seen.container);
    let grace =
        seen().find_map(|c| c.annotations.get("io.kubernetes.pod.terminationGracePeriod")?.parse().ok());
    let mut names = std::collections::BTreeSet::new();
    let containers = seen().filter(|container| names.insert(&container.name)).map(|container| {
        let note = |name: &str| container.annotations.get(&format!("io.kubernetes.container.{name}"));
        let hook = note("preStopHandler").and_then(|text| serde_json::from_str(text).ok());
        Container {
            name: container.name.clone(),
            ports: note("ports").and_then(|text| serde_json::from_str(text).ok()),
            lifecycle: Some(Lifecycle { pre_stop: hook, ..Lifecycle::default() }),
            ..Container::default()
        }
    });
    let spec = PodSpec {
        containers: containers.collect(),
        termination_grace_period_seconds: grace,
        ..PodSpec::default()
    };
    Pod { spec: Some(spec), ..Pod::default() }
}

/// A pod of which nothing is known but that it must end.
fn nameless(uid: &str, namespace: &str, name: &str) -> Desired {
    Desired {
        uid: uid.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pod: Arc::new(Pod::default()),
        ephemeral: Arc::default(),
        refused: Arc::default(),
        deleting: true,
        gone: true,
    }
}
