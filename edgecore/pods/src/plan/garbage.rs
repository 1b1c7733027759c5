//! What a living pod leaves behind: of every container the run before the current one is kept (for its log and its
//! state), older ones go; a dead sandbox is given back, and goes with the last container in it.
//!
//! There is no hurry: after a power loss other pods want to start first.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::action::Action;
use crate::plan::{Plan, Round};

/// Ended runs that are kept beside the current one.
const KEPT: usize = 1;
/// Time after a pod's last steps in which nothing is cleared up.
const REST: Duration = Duration::from_secs(5);

pub(super) fn plan(round: Round<'_>, plan: &mut Plan) {
    let steps = steps(round);
    match round.memory.rested_since().map(|since| since.plus(REST)) {
        Some(then) if then > round.now.elapsed && !steps.is_empty() => plan.wake_at(then),
        _ => plan.actions.extend(steps),
    }
}

fn steps(round: Round<'_>) -> Vec<Action> {
    let mut steps = Vec::new();
    let names: BTreeSet<&str> =
        round.view.containers.iter().map(|seen| seen.container.name.as_str()).collect();
    for name in names {
        let current = round.history.ran(name).and_then(|ran| ran.current.as_ref()).map(|run| run.id.as_str());
        let old = round.view.named(name).filter(|seen| {
            !seen.alive() && Some(seen.container.id.0.as_str()) != current && seen.detail.is_some()
        });
        steps.extend(old.skip(KEPT).map(|seen| Action::RemoveContainer {
            id: seen.container.id.clone(),
            name: name.to_owned(),
            attempt: seen.container.attempt,
        }));
    }
    for sandbox in round.view.sandboxes.iter().skip(1) {
        if !round.memory.stopped.contains(&sandbox.id) {
            steps.push(Action::StopSandbox(sandbox.id.clone()));
        }
        if round.view.containers.iter().all(|seen| seen.container.sandbox != sandbox.id) {
            steps.push(Action::RemoveSandbox(sandbox.id.clone()));
        }
    }
    steps
}
