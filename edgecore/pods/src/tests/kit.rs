//! A pod, a runtime and an engine in a few words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kit::{Elapsed, WallTime};
use serde_json::{Value, json};

use crate::action::{Action, Outcome};
use crate::desired::Desired;
use crate::ephemeral::Ephemeral;
use crate::fake::World;
use crate::history::History;
use crate::judge::judge;
use crate::memory::Memory;
use crate::observed::{Known, PodView};
use crate::plan::{Plan, Round, plan};
use crate::restart::Now;
use crate::runtime::{ANNOTATION_RESTARTS, ContainerId};
use crate::status::{Host, settle, status, values};

pub(super) const UID: &str = "u1";

/// A pod from its spec.
pub(super) fn pod(spec: &Value) -> Desired {
    pod_of(&json!({"metadata": {"name": "p", "namespace": "n", "uid": UID}, "spec": spec}))
}

/// A pod from its whole body.
pub(super) fn pod_of(body: &Value) -> Desired {
    let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(body.clone()).unwrap();
    Desired {
        uid: UID.into(),
        namespace: "n".into(),
        name: "p".into(),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        gone: false,
        ephemeral: Ephemeral::all(&pod, &[]),
        refused: Arc::default(),
        pod: Arc::new(pod),
    }
}

/// The engine for one pod, with time in its hands.
pub(super) struct Sim {
    pub(super) desired: Desired,
    pub(super) world: World,
    pub(super) history: History,
    /// What is on the disk.
    pub(super) stored: Vec<u8>,
    pub(super) memory: Memory,
    pub(super) view: PodView,
    pub(super) now: Now,
    /// Containers whose start fails, with reason, and whether it is for the image.
    pub(super) broken: BTreeMap<String, (String, bool)>,
    /// The process dies in the next start.
    dies: bool,
}

impl Sim {
    pub(super) fn new(desired: Desired) -> Self {
        Self {
            desired,
            world: World::default(),
            history: History::default(),
            stored: Vec::new(),
            memory: Memory::default(),
            view: PodView::default(),
            now: Now {
                elapsed: Elapsed::from_millis(1_000_000),
                wall: WallTime(1_700_000_000_000),
                boot: "b0".into(),
                trusted: true,
                offset_ms: 0,
            },
            broken: BTreeMap::new(),
            dies: false,
        }
    }

    pub(super) fn round(&self) -> Round<'_> {
        Round {
            desired: &self.desired,
            view: &self.view,
            history: &self.history,
            memory: &self.memory,
            now: &self.now,
        }
    }

    /// Time passes.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now.elapsed = self.now.elapsed.plus(time);
        self.now.wall = self.now.wall.plus_millis(i64::try_from(time.as_millis()).unwrap());
        self.world.now_ns = self.now.wall.0 * 1_000_000;
    }

    /// Looks, judges, keeps what is known.
    pub(super) fn look(&mut self) {
        self.world.now_ns = self.now.wall.0 * 1_000_000;
        let mut known = Known::default();
        for (container, detail) in &self.world.containers {
            known.learn(container.id.clone(), container.state, detail.clone());
        }
        let (mut pods, unknown) = known.by_pod(self.world.observed());
        assert!(unknown.is_empty());
        self.view = pods.remove(UID).unwrap_or_default();
        self.history.absorb(&self.desired, &self.view, &self.now);
        if let Some(verdict) = judge(&self.desired, &self.view, &self.history, &self.now) {
            self.history.end(verdict, &self.now);
        }
        let containers = &self.view.containers;
        self.memory.doomed.retain(|id, _| containers.iter().any(|s| s.container.id.0 == *id && s.alive()));
        let conditions = values(self.round());
        settle(&mut self.history, &conditions, &self.now);
        self.stored = self.history.encode();
    }

    /// What would be done now.
    pub(super) fn plan(&self) -> Plan {
        plan(self.round())
    }

    /// Takes the first `most` of the planned steps; the number of steps planned.
    pub(super) fn act(&mut self, most: usize) -> usize {
        let plan = self.plan();
        let count = plan.actions.len();
        self.stored = self.history.encode();
        for action in plan.actions.iter().take(most) {
            let Some(outcome) = self.step(action) else { break };
            self.memory.note(&outcome, self.now.elapsed);
        }
        if count > 0 {
            self.memory.done(plan.actions, self.now.elapsed);
        }
        count
    }

    fn step(&mut self, action: &Action) -> Option<Outcome> {
        match action {
            Action::Prepare => return Some(Outcome::Prepared),
            Action::RunSandbox { attempt } => {
                self.world.add_sandbox(UID, "n", "p", *attempt);
            }
            Action::StopSandbox(id) => {
                self.world.stop_sandbox(id);
                return Some(Outcome::Stopped(id.clone()));
            }
            Action::RemoveSandbox(id) => self.world.remove_sandbox(id),
            Action::Start { name, attempt, target, .. } => {
                let wanted = self.desired.ephemeral(name).and_then(|ephemeral| ephemeral.target.as_ref());
                if let (Some(_), None) = (wanted, target) {
                    let (reason, message) = ("CreateContainerConfigError".to_owned(), "no target".to_owned());
                    return Some(Outcome::NotStarted { name: name.clone(), reason, message, image: false });
                }
                if let Some((reason, image)) = self.broken.get(name) {
                    let (reason, image, message) = (reason.clone(), *image, "why".to_owned());
                    return Some(Outcome::NotStarted { name: name.clone(), reason, message, image });
                }
                let home =
                    self.world.sandboxes.iter().rev().find(|s| s.ready && s.pod_uid == UID)?.id.clone();
                let annotations = [(ANNOTATION_RESTARTS.to_owned(), attempt.to_string())].into();
                let id = self.world.create(&home, name, *attempt, annotations).unwrap();
                if self.dies {
                    self.world.call_off(&id);
                    return None;
                }
                self.world.start(&id).unwrap();
                return Some(Outcome::Started(name.clone()));
            }
            Action::Kill(kills) => kills.iter().for_each(|kill| self.world.stop(&kill.id)),
            Action::RemoveContainer { id, .. } => self.world.remove(id).unwrap(),
            Action::Clear => {
                assert!(self.world.containers.is_empty() && self.world.sandboxes.is_empty());
                return Some(Outcome::Cleared);
            }
        }
        Some(Outcome::Failed(String::new()))
    }

    /// Turns until nothing is to be done now.
    pub(super) fn settle(&mut self) {
        for _ in 0..50 {
            self.look();
            if self.act(usize::MAX) == 0 {
                return;
            }
            self.pass(Duration::from_millis(1));
        }
        panic!("never settles: {:?}", self.plan());
    }

    /// The process dies and starts again.
    pub(super) fn crash(&mut self) {
        self.memory = Memory::default();
        self.view = PodView::default();
        self.history =
            if self.stored.is_empty() { History::default() } else { History::decode(&self.stored).unwrap() };
    }

    /// The process takes its steps up to the first start, dies in the middle of it, and starts again: the runtime
    /// calls that start off.
    pub(super) fn die_in_a_start(&mut self) {
        self.look();
        self.dies = true;
        self.act(usize::MAX);
        self.dies = false;
        self.crash();
    }

    /// Power is lost and comes back.
    pub(super) fn reboot(&mut self, boot: &str) {
        self.world.reboot();
        self.crash();
        self.now.boot = boot.into();
        self.now.elapsed = Elapsed::from_millis(10_000);
    }

    /// The container of that name that runs.
    pub(super) fn running(&self, name: &str) -> Option<ContainerId> {
        self.world.running().find(|container| container.name == name).map(|container| container.id.clone())
    }

    /// Ends the container of that name.
    pub(super) fn exit(&mut self, name: &str, code: i32) {
        let id = self.running(name).unwrap_or_else(|| panic!("{name} does not run"));
        self.world.now_ns = self.now.wall.0 * 1_000_000;
        self.world.exit(&id, code);
    }

    /// Somebody puts an ephemeral container into the pod.
    pub(super) fn debug(&mut self, container: &Value) {
        let mut pod = (*self.desired.pod).clone();
        let list = pod.spec.as_mut().unwrap().ephemeral_containers.get_or_insert_default();
        list.push(serde_json::from_value(container.clone()).unwrap());
        self.desired.ephemeral = Ephemeral::all(&pod, &self.desired.refused);
        self.desired.pod = Arc::new(pod);
    }

    /// The pod ends by the will of the API server.
    pub(super) fn delete(&mut self) {
        self.desired.deleting = true;
    }

    /// The status that would be reported.
    pub(super) fn status(&self) -> Value {
        status(self.round(), &Host { ips: vec!["192.0.2.1".into()] })
    }

    /// Starts and stops asked of the runtime since the last call of this.
    pub(super) fn calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.world.calls)
    }
}
