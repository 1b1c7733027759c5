//! The end of a pod: its containers first, sidecars after the others, then its sandboxes; where the pod is to leave the
//! node, everything of it.

use std::time::Duration;

use crate::action::{Action, Kill};
use crate::desired::Role;
use crate::history::EVICTED;
use crate::observed::Seen;
use crate::plan::{Plan, Round};

pub(super) fn plan(round: Round<'_>, plan: &mut Plan) {
    let alive: Vec<&Seen> = round.view.containers.iter().filter(|seen| seen.alive()).collect();
    if !alive.is_empty() {
        kill(round, &alive, plan);
        return;
    }
    for sandbox in &round.view.sandboxes {
        if sandbox.ready || (round.desired.deleting && !round.memory.stopped.contains(&sandbox.id)) {
            plan.actions.push(Action::StopSandbox(sandbox.id.clone()));
        }
    }
    if !round.desired.deleting {
        return;
    }
    for seen in &round.view.containers {
        let container = &seen.container;
        plan.actions.push(Action::RemoveContainer {
            id: container.id.clone(),
            name: container.name.clone(),
            attempt: container.attempt,
        });
    }
    plan.actions.extend(round.view.sandboxes.iter().map(|sandbox| Action::RemoveSandbox(sandbox.id.clone())));
    if !round.memory.cleared {
        plan.actions.push(Action::Clear);
    }
}

fn kill(round: Round<'_>, alive: &[&Seen], plan: &mut Plan) {
    let grace = left(round);
    let kill = |seen: &Seen| Kill {
        id: seen.container.id.clone(),
        name: seen.container.name.clone(),
        grace,
        message: format!("Stopping container {}", seen.container.name),
    };
    let sidecars: Vec<&str> = round
        .desired
        .inits()
        .filter(|(role, _)| *role == Role::Sidecar)
        .map(|(_, container)| container.name.as_str())
        .collect();
    let is_sidecar = |seen: &&&Seen| sidecars.contains(&seen.container.name.as_str());
    let first: Vec<Kill> = alive.iter().filter(|seen| !is_sidecar(seen)).map(|seen| kill(seen)).collect();
    if !first.is_empty() {
        plan.actions.push(Action::Kill(first));
        return;
    }
    // Sidecars end in the reverse of their order: a later one may lean on an earlier one. Each is planned when those
    // before it have ended, since all share one grace.
    for name in sidecars.iter().rev() {
        let those: Vec<Kill> =
            alive.iter().filter(|seen| seen.container.name == **name).map(|seen| kill(seen)).collect();
        if !those.is_empty() {
            plan.actions.push(Action::Kill(those));
            return;
        }
    }
}

/// Grace that is left: a restart of ours in the middle does not start it anew.
fn left(round: Round<'_>) -> Duration {
    let evicted = round.history.verdict.as_ref().is_some_and(|verdict| verdict.reason == EVICTED);
    // Upstream gives no grace to a pod that took too much.
    let grace = if evicted { Duration::ZERO } else { round.desired.grace() };
    let used = round.history.ending.as_ref().map_or(Duration::ZERO, |ending| ending.age(round.now));
    // Whole seconds, since that is what the runtime is told.
    let left = grace.saturating_sub(used).as_millis().div_ceil(1000);
    Duration::from_secs(u64::try_from(left).unwrap_or(u64::MAX).max(1))
}
