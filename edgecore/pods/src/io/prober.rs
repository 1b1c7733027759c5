//! All probes of the node in one task: it sleeps until the next one is due, and starts what is due beside itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kit::tasks::Group;
use kit::{Elapsed, Shutdown};
use tokio::sync::{mpsc, watch};
use wire::ObjectKey;

use crate::desired::Desired;
use crate::event::Event;
use crate::io::handler::Answer;
use crate::io::shared::Shared;
use crate::probe::{Kind, Machine, Spec};
use crate::probe_counts::{ProbeCounts, Tried};
use crate::runtime::{ContainerId, Runtime};

/// Tries under way at once, over all pods.
const AT_ONCE: usize = 32;
/// Longest quotation of a failure in an event.
const MAX_OUTPUT: usize = 900;

/// A run of a container that is probed.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) desired: Desired,
    pub(super) container: String,
    pub(super) run: ContainerId,
    pub(super) ip: String,
    /// When it started, milliseconds since 1970 by the runtime.
    pub(super) started_ms: i64,
    /// What was known when the target was first set: startup is over, readiness.
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) probes: Vec<(Kind, Spec)>,
}

impl Target {
    /// Nothing that probing depends on differs.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.run == other.run && self.ip == other.ip && self.probes == other.probes
    }
}

/// Targets by pod UID and container name.
pub(super) type Targets = BTreeMap<(String, String), Arc<Target>>;

/// What a probe came to say.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) uid: String,
    pub(super) container: String,
    pub(super) run: ContainerId,
    pub(super) kind: Kind,
    pub(super) ok: bool,
    pub(super) grace: Option<Duration>,
}

struct Probed {
    target: Arc<Target>,
    machines: BTreeMap<Kind, Machine>,
}

impl Probed {
    fn new<R: Runtime>(target: Arc<Target>, shared: &Shared<R>) -> Self {
        let now = shared.clock.elapsed();
        let age = shared.clock.wall().0.saturating_sub(target.started_ms);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        let machine = |(kind, spec): &(Kind, Spec)| {
            let value = (*kind == Kind::Readiness && target.ready).then_some(true);
            (*kind, Machine::new(*kind, spec.clone(), age, value, now, kit::random::unit()))
        };
        let wanted = target.probes.iter().filter(|(kind, _)| *kind != Kind::Startup || !target.started);
        Self { machines: wanted.map(machine).collect(), target }
    }

    /// The next try that is due. A startup probe that has not succeeded holds back the others.
    fn next(&self) -> Option<(Elapsed, Kind)> {
        let only =
            self.machines.get(&Kind::Startup).filter(|machine| !machine.value()).map(|_| Kind::Startup);
        let due = self.machines.iter().filter(|(kind, _)| only.is_none_or(|only| **kind == only));
        due.filter_map(|(kind, machine)| Some((machine.due()?, *kind))).min()
    }
}

struct Ended {
    key: (String, String),
    run: ContainerId,
    kind: Kind,
    answer: Answer,
}

/// Probes until shutdown.
pub(super) async fn run<R: Runtime>(
    shared: Arc<Shared<R>>,
    mut targets: watch::Receiver<Arc<Targets>>,
    said: mpsc::Sender<Said>,
    counts: ProbeCounts,
    stop: Shutdown,
) {
    let group = Group::new("probes", AT_ONCE);
    let (ended, mut ends) = mpsc::channel(AT_ONCE);
    let mut probed = BTreeMap::new();
    loop {
        let full = group.len() >= AT_ONCE;
        let next = probed
            .iter()
            .filter_map(|(key, probed): (&(String, String), &Probed)| {
                let (due, kind) = probed.next()?;
                Some((due, kind, key.clone()))
            })
            .min();
        let sleep = async {
            match &next {
                Some((due, ..)) if !full => shared.clock.sleep_until(*due).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.requested() => return,
            changed = targets.changed() => {
                if changed.is_err() { return }
                let wanted = Arc::clone(&targets.borrow_and_update());
                follow(&shared, &mut probed, &wanted);
                counts.keep(|uid, pod| {
                    wanted.keys().any(|(wanted, _)| wanted == uid) || is_here(&shared, uid, pod)
                });
            }
            Some(end) = ends.recv() => {
                count(&counts, &probed, &end);
                if let Some(word) = take_in(&shared, &mut probed, end)
                    && said.send(word).await.is_err() { return }
            }
            () = sleep => if let Some((_, kind, key)) = next {
                begin(&shared, &group, &mut probed, &key, kind, &ended);
            }
        }
    }
}

/// Whether the node still has this pod: its counts outlive a run of its containers, as upstream's do. What cannot be
/// read is here.
fn is_here<R: Runtime>(shared: &Shared<R>, uid: &str, (namespace, name): (&str, &str)) -> bool {
    let key = ObjectKey::new(wire::Kind::Pod, namespace, name);
    shared.store.object(&key).map_or(true, |object| object.is_some_and(|object| object.uid == uid))
}

/// Every try counts, whatever follows from it.
fn count(counts: &ProbeCounts, probed: &BTreeMap<(String, String), Probed>, end: &Ended) {
    let Some(Probed { target, .. }) = probed.get(&end.key) else { return };
    let tried = Tried {
        uid: target.desired.uid.clone(),
        namespace: target.desired.namespace.clone(),
        pod: target.desired.name.clone(),
        container: target.container.clone(),
        kind: end.kind,
    };
    let success = match &end.answer {
        Answer::Yes | Answer::Warning(_) => Some(true),
        Answer::No(_) => Some(false),
        Answer::Unknown(_) => None,
    };
    counts.count(tried, success);
}

/// Targets come and go; a machine lives as long as its run.
fn follow<R: Runtime>(shared: &Shared<R>, probed: &mut BTreeMap<(String, String), Probed>, wanted: &Targets) {
    probed.retain(|key, probed| wanted.get(key).is_some_and(|target| target.run == probed.target.run));
    for (key, target) in wanted {
        match probed.get_mut(key) {
            Some(probed) => probed.target = Arc::clone(target),
            None => {
                probed.insert(key.clone(), Probed::new(Arc::clone(target), shared));
            }
        }
    }
}

fn begin<R: Runtime>(
    shared: &Arc<Shared<R>>,
    group: &Group,
    probed: &mut BTreeMap<(String, String), Probed>,
    key: &(String, String),
    kind: Kind,
    ended: &mpsc::Sender<Ended>,
) {
    let Some(Probed { target, machines }) = probed.get_mut(key) else { return };
    let Some(machine) = machines.get_mut(&kind) else { return };
    let (shared, ended) = (Arc::clone(shared), ended.clone());
    let (target, spec, key) = (Arc::clone(target), machine.spec.clone(), key.clone());
    let begun = group.spawn(async move {
        let answer = match &spec.handler {
            Ok(handler) => shared.hands.carry_out(handler, &target.run, &target.ip, spec.timeout).await,
            Err(message) => Answer::No(message.clone()),
        };
        // The prober is gone at shutdown only.
        let _ = ended.send(Ended { key, run: target.run.clone(), kind, answer }).await;
    });
    if begun {
        machine.begin();
    }
}

fn take_in<R: Runtime>(
    shared: &Shared<R>,
    probed: &mut BTreeMap<(String, String), Probed>,
    end: Ended,
) -> Option<Said> {
    let now = shared.clock.elapsed();
    let Probed { target, machines } =
        probed.get_mut(&end.key).filter(|probed| probed.target.run == end.run)?;
    let machine = machines.get_mut(&end.kind)?;
    let tell = |reason: &'static str, what: &str, output: &str| {
        let output: String = output.chars().take(MAX_OUTPUT).collect();
        let note = format!("{} probe {what}: {output}", end.kind.name());
        shared.events.tell(Event::container(&target.desired, &target.container, true, reason, note));
    };
    let success = match &end.answer {
        Answer::Yes => Some(true),
        Answer::Warning(output) => {
            tell("ProbeWarning", "warning", output);
            Some(true)
        }
        Answer::No(output) => {
            // The first tries of a container that is still starting tell nothing to people.
            let eager = end.kind == Kind::Readiness && !machine.value() && machine.in_a_hurry(now);
            if !eager {
                tell("Unhealthy", "failed", output);
            }
            Some(false)
        }
        Answer::Unknown(message) => {
            tracing::debug!(container = target.container, message, "probe had no answer");
            None
        }
    };
    let ok = machine.end(success, now)?;
    let grace = machine.spec.grace;
    if end.kind == Kind::Startup && ok {
        machines.remove(&Kind::Startup);
    }
    let (uid, container) = end.key;
    Some(Said { uid, container, run: end.run, kind: end.kind, ok, grace })
}
