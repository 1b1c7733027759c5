//! Init containers: one after the other, again in every new sandbox; sidecars among them stay up.

use crate::desired::Role;
use crate::history::Run;
use crate::plan::Round;

/// How far the init containers are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// One runs, or is not up yet.
    Wait,
    /// These start (several only where sidecars before the next one ended).
    Start(Vec<(Role, String)>),
    /// All are through; sidecars that ended start again.
    Done(Vec<String>),
}

/// The next step in this sandbox (`None`: one still to be made).
pub(super) fn next(round: Round<'_>, sandbox: Option<&str>) -> Next {
    let run = |name: &str| -> Option<&Run> {
        let run = round.history.ran(name)?.current.as_ref()?;
        (Some(run.sandbox.as_str()) == sandbox).then_some(run)
    };
    let through = round.desired.apps().any(|container| run(&container.name).is_some());
    let mut ended = Vec::new();
    for (role, container) in round.desired.inits() {
        let name = &container.name;
        match (role, run(name)) {
            (Role::Sidecar, Some(run)) if run.ended.is_some() => ended.push(name.clone()),
            (Role::Sidecar, None) if through => ended.push(name.clone()),
            (Role::Sidecar, Some(run)) if run.started || through => {}
            (Role::Sidecar, Some(_)) => return started(ended, None),
            (_, _) if through => {}
            (_, Some(run)) => match &run.ended {
                None => return started(ended, None),
                Some(end) if end.exit_code == 0 => {}
                Some(_) => return started(ended, Some((role, name.clone()))),
            },
            (_, None) => return started(ended, Some((role, name.clone()))),
        }
    }
    if through || ended.is_empty() {
        return Next::Done(ended);
    }
    started(ended, None)
}

/// Sidecars that ended come first; then the next one in line.
fn started(ended: Vec<String>, next: Option<(Role, String)>) -> Next {
    let names: Vec<_> = ended.into_iter().map(|name| (Role::Sidecar, name)).chain(next).collect();
    if names.is_empty() { Next::Wait } else { Next::Start(names) }
}
