//! Which containers start now.

use k8s_openapi::api::core::v1::Container;

use crate::action::Action;
use crate::desired::Role;
use crate::plan::{Plan, Round, init};
use crate::restart::{Restart, when};
use crate::runtime::{self, ContainerId, ContainerState};

/// Steps that start containers in the sandbox (`None`: in one still to be made).
pub(super) fn plan(round: Round<'_>, sandbox: Option<&str>, plan: &mut Plan) -> Vec<Action> {
    let mut steps = Vec::new();
    if sandbox.is_some() {
        ephemeral(round, plan, &mut steps);
    }
    match init::next(round, sandbox) {
        init::Next::Wait => {}
        init::Next::Start(names) => {
            for (role, name) in names {
                start(round, role, &name, plan, &mut steps);
            }
        }
        init::Next::Done(sidecars) => {
            for name in sidecars {
                start(round, Role::Sidecar, &name, plan, &mut steps);
            }
            for container in round.desired.apps() {
                if wanted(round, container) {
                    start(round, Role::App, &container.name, plan, &mut steps);
                }
            }
        }
    }
    steps
}

/// Ephemeral containers start in any sandbox there is, however far the others are: they are there to look at what does
/// not start, too. One that ran, in whatever sandbox, has had its turn.
fn ephemeral(round: Round<'_>, plan: &mut Plan, steps: &mut Vec<Action>) {
    for ephemeral in round.desired.ephemeral.iter().filter(|ephemeral| ephemeral.refused.is_none()) {
        let name = &ephemeral.container.name;
        if round.history.ran(name).is_none_or(|ran| ran.current.is_none()) {
            start(round, Role::Ephemeral, name, plan, steps);
        }
    }
}

/// The container whose processes this one is to see, as it runs now.
fn target(round: Round<'_>, name: &str) -> Option<ContainerId> {
    let wanted = round.desired.ephemeral(name)?.target.as_deref()?;
    let sandbox = &round.view.sandbox()?.id;
    let runs = |container: &runtime::Container| {
        container.state == ContainerState::Running && container.sandbox == *sandbox
    };
    let found = round.view.named(wanted).find(|seen| runs(&seen.container))?;
    Some(found.container.id.clone())
}

/// Whether the container should run and does not.
fn wanted(round: Round<'_>, container: &Container) -> bool {
    match round.history.ran(&container.name) {
        Some(ran) if ran.running().is_some() => false,
        Some(ran) => {
            ran.ended().is_none_or(|ended| round.desired.restarts(Role::App, container, ended.exit_code))
        }
        None => true,
    }
}

/// Whether a container whose newest run ended must wait before the next.
pub(crate) fn restart(round: Round<'_>, role: Role, name: &str) -> Restart {
    let Some(ran) = round.history.ran(name) else { return Restart::Now };
    let (Some(run), Some(ended)) = (&ran.current, ran.ended()) else { return Restart::Now };
    // An init container runs anew in a new sandbox: that is no restart after a failure.
    let here = round.view.sandbox().map(|sandbox| sandbox.id.0.as_str());
    if role == Role::Init && Some(run.sandbox.as_str()) != here {
        return Restart::Now;
    }
    when(ran.wait(), &ended.seen, ended.ran(), round.now)
}

/// The steps to start a container, unless it must wait.
fn start(round: Round<'_>, role: Role, name: &str, plan: &mut Plan, steps: &mut Vec<Action>) {
    let now = round.now.elapsed;
    let ran = round.history.ran(name);
    let mut then = round.memory.starts.get(name).map(|retry| retry.until).filter(|until| *until > now);
    if let Some(retry) = round.memory.starts.get(name).filter(|retry| retry.image) {
        let shown = retry.since.plus(crate::memory::PULL_ERROR_SHOWN);
        if shown > now {
            plan.wake_at(shown);
        }
    }
    if let Restart::At { then: due, .. } = restart(round, role, name) {
        then = Some(then.map_or(due, |then| then.max(due)));
    }
    if let Some(then) = then {
        plan.wake_at(then);
        return;
    }
    // Made once and never started: whatever it was made for may have changed since.
    for seen in round.view.named(name).filter(|seen| seen.container.state == ContainerState::Created) {
        let container = &seen.container;
        steps.push(Action::RemoveContainer {
            id: container.id.clone(),
            name: name.to_owned(),
            attempt: container.attempt,
        });
    }
    let attempt = ran.map_or(0, crate::history::Ran::next_attempt);
    steps.push(Action::Start { name: name.to_owned(), role, attempt, target: target(round, name) });
}
