//! What a living pod leaves behind: of every container the run before the current one is kept (for its log and its
//! state), older ones go; a dead sandbox goes with the last container in it.

use std::collections::BTreeSet;

use crate::action::Action;
use crate::plan::{Plan, Round};

/// Ended runs that are kept beside the current one.
const KEPT: usize = 1;

pub(super) fn plan(round: Round<'_>, plan: &mut Plan) {
    let names: BTreeSet<&str> =
        round.view.containers.iter().map(|seen| seen.container.name.as_str()).collect();
    for name in names {
        let current = round.history.ran(name).and_then(|ran| ran.current.as_ref()).map(|run| run.id.as_str());
        let old = round.view.named(name).filter(|seen| {
            !seen.alive() && Some(seen.container.id.0.as_str()) != current && seen.detail.is_some()
        });
        for seen in old.skip(KEPT) {
            plan.actions.push(Action::RemoveContainer {
                id: seen.container.id.clone(),
                name: name.to_owned(),
                attempt: seen.container.attempt,
            });
        }
    }
    for sandbox in round.view.sandboxes.iter().skip(1) {
        let stop = Action::StopSandbox(sandbox.id.clone());
        if !round.memory.stopped.contains(&sandbox.id) && !plan.actions.contains(&stop) {
            plan.actions.push(stop);
        }
        if round.view.containers.iter().all(|seen| seen.container.sandbox != sandbox.id) {
            plan.actions.push(Action::RemoveSandbox(sandbox.id.clone()));
        }
    }
    // The newest one is dead and about to be replaced: it is given back once its successor runs.
    if let Some(dead) = round.view.sandboxes.first().filter(|sandbox| !sandbox.ready) {
        let stop = Action::StopSandbox(dead.id.clone());
        if !round.memory.stopped.contains(&dead.id) && !plan.actions.contains(&stop) {
            plan.actions.push(stop);
        }
    }
}
