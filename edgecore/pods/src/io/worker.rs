//! One pod's steps, in order. A worker that hangs holds up nobody but its pod.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::action::{Action, Outcome};
use crate::desired::Desired;
use crate::event::Event;
use crate::io::files::{self, Failure, Waited};
use crate::io::kill::kill;
use crate::io::shared::Shared;
use crate::io::start::{Problem, start};
use crate::runtime::{Runtime, RuntimeError, SandboxId};
use crate::spec::sandbox_spec;

/// A sandbox that containers can be started in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) id: SandboxId,
    pub(super) attempt: u32,
    pub(super) ips: Vec<String>,
}

/// What a worker is given.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) desired: Desired,
    pub(super) actions: Vec<Action>,
    /// The sandbox there is.
    pub(super) home: Option<Home>,
    /// Sandboxes that hold nothing any more.
    pub(super) dead: BTreeSet<SandboxId>,
    /// These very steps were tried so often before, and files were missing for so long: problems that lasted are told.
    pub(super) waited: Waited,
}

/// Tries after which a dead sandbox counts as stopped although its network cannot be given back: a power loss may have
/// torn what the network plugins remember of it, and then no later try does better.
const GIVE_UP_AFTER: u32 = 5;

/// Takes the steps. Ends early at the first that fails.
pub(super) async fn work<R: Runtime>(shared: Arc<Shared<R>>, mut job: Job) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for action in std::mem::take(&mut job.actions) {
        match step(&shared, &mut job, action).await {
            Ok(outcome) => outcomes.extend(outcome),
            Err(Failure { message, expected }) => {
                if expected {
                    tracing::debug!(pod = job.desired.label(), message, "step waits");
                } else {
                    tracing::info!(pod = job.desired.label(), message, "step failed");
                }
                outcomes.push(Outcome::Failed(message));
                break;
            }
        }
    }
    outcomes
}

async fn step<R: Runtime>(
    shared: &Arc<Shared<R>>,
    job: &mut Job,
    action: Action,
) -> Result<Option<Outcome>, Failure> {
    let desired = &job.desired;
    let text = |error: RuntimeError| error.to_string();
    match action {
        Action::Prepare => {
            files::make_log_dir(shared, desired, None)
                .await
                .map_err(|error| format!("log directory: {error}"))?;
            let ips = job.home.as_ref().map(|home| home.ips.clone()).unwrap_or_default();
            files::publish(shared, desired, &ips, job.waited).await?;
            Ok(Some(Outcome::Prepared))
        }
        Action::RunSandbox { attempt } => {
            job.home = Some(run_sandbox(shared, desired, attempt).await?);
            Ok(None)
        }
        Action::StopSandbox(id) => {
            stop_sandbox(shared, job, &id).await.map_err(text)?;
            Ok(Some(Outcome::Stopped(id)))
        }
        Action::RemoveSandbox(id) => {
            shared.runtime.remove_sandbox(&id).await.map_err(text)?;
            Ok(None)
        }
        Action::Start { name, role: _, attempt, target } => {
            let Some(home) = job.home.clone() else {
                return Err(format!("no sandbox to start {name} in").into());
            };
            match start(shared, desired, &home, &name, attempt, target).await {
                Ok(()) => Ok(Some(Outcome::Started(name))),
                Err(Problem { message, gone: true, .. }) => Err(message.into()),
                // One container that does not start does not keep the others from it.
                Err(Problem { reason, message, image, .. }) => {
                    Ok(Some(Outcome::NotStarted { name, reason: reason.to_owned(), message, image }))
                }
            }
        }
        Action::Kill(kills) => {
            kill(shared, desired, job.home.as_ref(), kills).await.map(|()| None).map_err(Failure::from)
        }
        Action::RemoveContainer { id, name, attempt } => {
            shared.runtime.remove_container(&id).await.map_err(text)?;
            let dir = shared.log_dir(desired).join(&name);
            let removed = files::remove_log(dir, attempt, shared.log_links()).await;
            removed.map_err(|error| format!("log of {name}: {error}"))?;
            Ok(None)
        }
        Action::Clear => {
            let logs = shared.log_dir(desired);
            let cleared = files::clear(&shared.dirs, &desired.uid, logs, shared.log_links()).await;
            cleared.map_err(|error| format!("files of the pod: {error}"))?;
            Ok(Some(Outcome::Cleared))
        }
    }
}

async fn stop_sandbox<R: Runtime>(
    shared: &Arc<Shared<R>>,
    job: &Job,
    id: &SandboxId,
) -> Result<(), RuntimeError> {
    match shared.runtime.stop_sandbox(id).await {
        Err(RuntimeError::Failed(message)) if job.dead.contains(id) && job.waited.tries >= GIVE_UP_AFTER => {
            tracing::warn!(sandbox = id.0, message, "a dead sandbox is given up: its address may be lost");
            Ok(())
        }
        other => other,
    }
}

async fn run_sandbox<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    attempt: u32,
) -> Result<Home, String> {
    let made = async {
        let plan = sandbox_spec(&desired.pod, &shared.facts(), attempt).map_err(|error| error.to_string())?;
        for warning in &plan.warnings {
            shared.events.tell(Event::pod(desired, true, warning.reason, warning.message.clone()));
        }
        let id = shared.runtime.run_sandbox(&plan.spec).await.map_err(|error| error.to_string())?;
        let ips = if desired.host_network() {
            Vec::new()
        } else {
            shared.runtime.sandbox_ips(&id).await.map_err(|error| error.to_string())?
        };
        Ok(Home { id, attempt, ips })
    };
    made.await.inspect_err(|message: &String| {
        let note = format!("Failed to create pod sandbox: {message}");
        shared.events.tell(Event::pod(desired, true, "FailedCreatePodSandBox", note));
    })
}
