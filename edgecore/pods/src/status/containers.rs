//! Status of one container.

use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

use crate::desired::Role;
use crate::history::{Ended, Ran, Run};
use crate::memory::PULL_ERROR_SHOWN;
use crate::plan::{Round, restart};
use crate::restart::{Restart, go_duration};
use crate::status::time;

/// What people see of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State<'a> {
    /// It does not run, and should.
    Waiting {
        /// Upstream's reason.
        reason: String,
        /// Message, may be empty.
        message: String,
        /// How its latest run ended.
        last: Option<&'a Ended>,
    },
    /// It runs.
    Running(&'a Run),
    /// It ended.
    Terminated(&'a Ended),
}

/// The state shown of a container.
pub fn state<'a>(round: Round<'a>, role: Role, name: &str) -> State<'a> {
    let ran = round.history.ran(name);
    if let Some(run) = ran.and_then(Ran::running) {
        return State::Running(run);
    }
    let ended = ran.and_then(Ran::ended);
    let over = round.desired.deleting || round.history.verdict.is_some();
    let again = |ended: &Ended| {
        let container = round.desired.container(name);
        container.is_some_and(|(role, container)| round.desired.restarts(role, container, ended.exit_code))
    };
    if let Some(ended) = ended.filter(|ended| over || !again(ended)) {
        return State::Terminated(ended);
    }
    match (why_not(round, role, name), ended) {
        (Some((reason, message)), last) => State::Waiting { reason, message, last },
        (None, Some(ended)) => State::Terminated(ended),
        (None, None) => {
            let first = round.desired.inits().next().is_none();
            let reason = if role == Role::App && !first { "PodInitializing" } else { "ContainerCreating" };
            // Upstream shows init containers that are not their turn in the same way.
            let reason = if role == Role::App || first { reason } else { "PodInitializing" };
            State::Waiting { reason: reason.to_owned(), message: String::new(), last: None }
        }
    }
}

/// Why a container that should run does not start.
fn why_not(round: Round<'_>, role: Role, name: &str) -> Option<(String, String)> {
    if let Some(field) = round.desired.ephemeral(name).and_then(|ephemeral| ephemeral.refused.as_ref()) {
        let message = format!("a field that this node does not support: {field}");
        return Some(("FieldNotSupported".to_owned(), message));
    }
    if let Restart::At { wait, .. } = restart(round, role, name) {
        let wait = go_duration(wait);
        let pod = round.desired.label();
        let message = format!("back-off {wait} restarting failed container={name} pod={pod}");
        return Some(("CrashLoopBackOff".to_owned(), message));
    }
    let retry = round.memory.starts.get(name)?;
    let waits = retry.image && round.now.elapsed >= retry.since.plus(PULL_ERROR_SHOWN);
    if waits && retry.reason == "ErrImagePull" {
        let image = round.desired.container(name).and_then(|(_, c)| c.image.as_deref()).unwrap_or_default();
        let message = format!("Back-off pulling image \"{image}\": {}: {}", retry.reason, retry.message);
        return Some(("ImagePullBackOff".to_owned(), message));
    }
    Some((retry.reason.clone(), retry.message.clone()))
}

/// Whether the container counts as started and as ready.
pub(super) fn started_ready(round: Round<'_>, role: Role, name: &str) -> (bool, bool) {
    let ran = round.history.ran(name);
    match (role, ran.and_then(Ran::running)) {
        (Role::App | Role::Sidecar, Some(run)) => (run.started, run.started && run.ready),
        (Role::Init, None) => (false, ran.and_then(Ran::ended).is_some_and(|ended| ended.exit_code == 0)),
        (Role::Init, Some(run)) => (run.started, false),
        (Role::App | Role::Sidecar, None) | (Role::Ephemeral, _) => (false, false),
    }
}

/// The container's status as the API has it.
pub(super) fn status(round: Round<'_>, role: Role, container: &Container) -> Value {
    let ran = round.history.ran(&container.name);
    let shown = state(round, role, &container.name);
    let last = match &shown {
        State::Waiting { last: Some(last), .. } => Some(*last),
        State::Waiting { last: None, .. } | State::Running(_) | State::Terminated(_) => {
            ran.and_then(|ran| ran.last.as_ref())
        }
    };
    let (started, ready) = started_ready(round, role, &container.name);
    let run = ran.and_then(|ran| ran.current.as_ref());
    let asked = container.image.clone().unwrap_or_default();
    let mut status = json!({
        "name": container.name,
        "image": run.map(|run| run.image.clone()).filter(|image| !image.is_empty()).unwrap_or(asked),
        "imageID": run.map(|run| run.image_ref.clone()).unwrap_or_default(),
        "restartCount": ran.map_or(0, |ran| ran.restarts),
        "ready": ready,
        "state": state_value(&shown),
        "lastState": last.map_or_else(|| json!({}), |ended| json!({"terminated": ended_value(ended)})),
    });
    if let Some(map) = status.as_object_mut() {
        // As upstream: nobody asks an ephemeral container whether it has started.
        if role != Role::Ephemeral {
            map.insert("started".into(), started.into());
        }
        if let Some(run) = run {
            map.insert("containerID".into(), container_id(&run.id).into());
        }
    }
    status
}

fn state_value(state: &State<'_>) -> Value {
    match state {
        State::Waiting { reason, message, .. } if message.is_empty() => {
            json!({"waiting": {"reason": reason}})
        }
        State::Waiting { reason, message, .. } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running(run) => json!({"running": {"startedAt": time(run.started_ms)}}),
        State::Terminated(ended) => json!({"terminated": ended_value(ended)}),
    }
}

fn ended_value(ended: &Ended) -> Value {
    let mut value = json!({
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": time(ended.started_ms),
        "finishedAt": time(ended.finished_ms),
        "containerID": container_id(&ended.id),
    });
    if let (false, Some(map)) = (ended.message.is_empty(), value.as_object_mut()) {
        map.insert("message".into(), ended.message.as_str().into());
    }
    value
}

fn container_id(id: &str) -> String {
    format!("containerd://{id}")
}
