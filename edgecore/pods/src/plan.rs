//! desired × observed × history × now → actions, for one pod.
//!
//! The order of things is upstream's: files, sandbox, init containers one by one, then all containers of the pod; what
//! was put beside them (ephemeral containers) as soon as there is a sandbox. A pod is planned only when it was seen:
//! what could not be looked at is unknown and left alone.

mod ending;
mod garbage;
mod init;
mod start;

use kit::Elapsed;

use crate::action::{Action, Kill};
use crate::desired::{Desired, Role};
use crate::history::History;
use crate::judge::deadline;
use crate::memory::Memory;
use crate::observed::PodView;
use crate::restart::Now;
use crate::runtime::{ANNOTATION_HASH, ContainerState};

pub(crate) use start::restart;

/// Everything a pod is planned by.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// What is.
    pub view: &'a PodView,
    /// What was; the view is absorbed in it.
    pub history: &'a History,
    /// What this process knows.
    pub memory: &'a Memory,
    /// The moment.
    pub now: &'a Now,
}

/// What to do, and when to think again at the latest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps, in order.
    pub actions: Vec<Action>,
    /// Something falls due then.
    pub wake: Option<Elapsed>,
}

impl Plan {
    fn wake_at(&mut self, then: Elapsed) {
        self.wake = Some(self.wake.map_or(then, |wake| wake.min(then)));
    }
}

/// What to do for a pod now.
pub fn plan(round: Round<'_>) -> Plan {
    let mut plan = Plan::default();
    if round.desired.deleting || round.history.verdict.is_some() {
        ending::plan(round, &mut plan);
    } else if may_run(round) && !round.memory.blocked {
        active(round, &mut plan);
    }
    if let Some(then) = round.memory.not_before(&plan.actions)
        && then > round.now.elapsed
    {
        plan.actions.clear();
        plan.wake_at(then);
    }
    plan
}

/// A pod with a field that is not honoured starts nothing. One that ran before it was given such a field goes on: its
/// condition names the field, and its containers are still looked after.
fn may_run(round: Round<'_>) -> bool {
    !round.desired.held_back() || round.history.next_sandbox > 0
}

fn active(round: Round<'_>, plan: &mut Plan) {
    if let (Some(limit), Some(taken)) = (deadline(round.desired), &round.history.taken) {
        plan.wake_at(round.now.elapsed.plus(limit.saturating_sub(taken.age(round.now))));
    }
    let kills = to_restart(round);
    if !kills.is_empty() {
        plan.actions.push(Action::Kill(kills));
        // What ended is planned after the next look.
        return;
    }
    let sandbox = round.view.sandbox();
    if sandbox.is_none() {
        let stop_first = !round.desired.host_ports().is_empty();
        for old in &round.view.sandboxes {
            if (stop_first || old.ready) && !round.memory.stopped.contains(&old.id) {
                plan.actions.push(Action::StopSandbox(old.id.clone()));
            }
        }
    }
    let starts = start::plan(round, sandbox.map(|sandbox| sandbox.id.0.as_str()), plan);
    if !round.memory.prepared && (sandbox.is_none() || !starts.is_empty()) {
        plan.actions.push(Action::Prepare);
    }
    if sandbox.is_none() {
        plan.actions.push(Action::RunSandbox { attempt: round.history.next_sandbox });
    }
    plan.actions.extend(starts);
    if plan.actions.is_empty() {
        garbage::plan(round, plan);
    }
}

/// Containers that must end so that they can be started anew: their probe says so, their definition changed, nobody
/// knows what they do, or their sandbox is gone from under them. Ephemeral ones end for the last reason only.
fn to_restart(round: Round<'_>) -> Vec<Kill> {
    let sandbox = round.view.sandbox().map(|sandbox| &sandbox.id);
    let alive = round.view.containers.iter().filter(|seen| seen.alive());
    alive
        .filter_map(|seen| {
            let name = &seen.container.name;
            let (role, wanted) = round.desired.container(name)?;
            let hash = seen.container.annotations.get(ANNOTATION_HASH);
            let changed = hash.is_some_and(|hash| *hash != crate::desired::container_hash(wanted));
            let doom = round.memory.doomed.get(&seen.container.id.0);
            let message = if let Some(doom) = doom {
                doom.message.clone()
            } else if changed && matches!(role, Role::App | Role::Sidecar) {
                format!("Container {name} definition changed, will be restarted")
            } else if seen.container.state == ContainerState::Unknown && role != Role::Ephemeral {
                format!("Container {name} is in an unknown state, will be restarted")
            } else if Some(&seen.container.sandbox) != sandbox && role != Role::Ephemeral {
                "Pod sandbox changed, it will be killed and re-created.".to_owned()
            } else if Some(&seen.container.sandbox) != sandbox {
                // It ends with what it looked at, and is not made anew.
                format!("Stopping container {name}")
            } else {
                return None;
            };
            let grace = doom.and_then(|doom| doom.grace).unwrap_or_else(|| round.desired.grace());
            Some(Kill { id: seen.container.id.clone(), name: name.clone(), grace, message })
        })
        .collect()
}
