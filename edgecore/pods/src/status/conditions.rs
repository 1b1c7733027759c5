//! Conditions of a pod.

use serde_json::{Value, json};

use crate::desired::Role;
use crate::history::{History, Since};
use crate::plan::Round;
use crate::restart::Now;
use crate::status::{containers, phase, time};

/// Our own: whether every field of the pod is honoured. Absent where all are.
pub(super) const FIELDS_HONOURED: &str = "skerry.io/FieldsHonoured";

/// A condition as it is now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Condition {
    kind: &'static str,
    on: bool,
    reason: &'static str,
    message: String,
}

/// Keeps since when each condition has its value. Times change only with values.
pub fn settle(history: &mut History, conditions: &[(&'static str, bool)], now: &Now) {
    history.conditions.retain(|kind, _| conditions.iter().any(|(other, _)| other == kind));
    for (kind, on) in conditions {
        let changed = history.conditions.get(*kind).is_none_or(|since| since.on != *on);
        if changed {
            history.conditions.insert((*kind).to_owned(), Since { on: *on, at: now.mark() });
        }
    }
}

/// Values of all conditions.
pub fn values(round: Round<'_>) -> Vec<(&'static str, bool)> {
    now(round).into_iter().map(|condition| (condition.kind, condition.on)).collect()
}

/// Init containers are through (sidecars up), or the pod's containers have run in this sandbox.
pub(super) fn initialized(round: Round<'_>) -> bool {
    not_initialized(round).is_empty()
}

/// Conditions for the API.
pub(super) fn list(round: Round<'_>) -> Value {
    let generation = round.desired.pod.metadata.generation;
    now(round)
        .into_iter()
        .map(|condition| {
            let since = round
                .history
                .conditions
                .get(condition.kind)
                .map_or(round.now.wall.0, |since| since.at.wall_ms);
            let mut value = json!({
                "type": condition.kind,
                "status": if condition.on { "True" } else { "False" },
                "lastTransitionTime": time(since),
            });
            if let Some(map) = value.as_object_mut() {
                if !condition.reason.is_empty() {
                    map.insert("reason".into(), condition.reason.into());
                }
                if !condition.message.is_empty() {
                    map.insert("message".into(), condition.message.into());
                }
                if let Some(generation) = generation {
                    map.insert("observedGeneration".into(), generation.into());
                }
            }
            value
        })
        .collect()
}

fn now(round: Round<'_>) -> Vec<Condition> {
    let containers = containers_ready(round);
    let ready = ready(round, &containers);
    let mut all = vec![sandbox(round), init(round), containers, ready];
    if !round.desired.refused.is_empty() {
        let message = round.desired.refused.join(", ");
        all.push(condition(FIELDS_HONOURED, false, "FieldNotSupported", message));
    }
    all
}

const fn condition(kind: &'static str, on: bool, reason: &'static str, message: String) -> Condition {
    Condition { kind, on, reason, message }
}

fn sandbox(round: Round<'_>) -> Condition {
    let up =
        round.view.sandbox().is_some_and(|sandbox| round.desired.host_network() || !sandbox.ips.is_empty());
    condition("PodReadyToStartContainers", up, "", String::new())
}

fn init(round: Round<'_>) -> Condition {
    let kind = "Initialized";
    if phase(round) == "Succeeded" {
        return condition(kind, true, "PodCompleted", String::new());
    }
    let waiting = not_initialized(round);
    if waiting.is_empty() {
        return condition(kind, true, "", String::new());
    }
    let message = format!("containers with incomplete status: [{}]", waiting.join(" "));
    condition(kind, false, "ContainersNotInitialized", message)
}

fn not_initialized(round: Round<'_>) -> Vec<&str> {
    let sandbox = round.view.sandboxes.first().map(|sandbox| sandbox.id.0.as_str());
    let here = |name: &str| {
        let run = round.history.ran(name)?.current.as_ref()?;
        // Where the sandboxes are gone (the pod is over) the last runs tell.
        sandbox.is_none_or(|sandbox| run.sandbox == sandbox).then_some(run)
    };
    if round.desired.apps().any(|container| here(&container.name).is_some()) {
        return Vec::new();
    }
    let through = |role: Role, name: &str| match (role, here(name)) {
        (Role::Sidecar, Some(run)) => run.started,
        (_, Some(run)) => run.ended.as_ref().is_some_and(|ended| ended.exit_code == 0),
        (_, None) => false,
    };
    let waiting = round.desired.inits().filter(|(role, container)| !through(*role, &container.name));
    waiting.map(|(_, container)| container.name.as_str()).collect()
}

fn containers_ready(round: Round<'_>) -> Condition {
    let kind = "ContainersReady";
    match phase(round) {
        "Succeeded" => return condition(kind, false, "PodCompleted", String::new()),
        "Failed" => return condition(kind, false, "PodFailed", String::new()),
        _ => {}
    }
    let unready: Vec<&str> = round
        .desired
        .counted()
        .filter(|(role, container)| !containers::started_ready(round, *role, &container.name).1)
        .map(|(_, container)| container.name.as_str())
        .collect();
    if unready.is_empty() {
        return condition(kind, true, "", String::new());
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    condition(kind, false, "ContainersNotReady", message)
}

fn ready(round: Round<'_>, containers: &Condition) -> Condition {
    let kind = "Ready";
    if !containers.on {
        return condition(kind, false, containers.reason, containers.message.clone());
    }
    let gates = round.desired.spec().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let problems: Vec<String> = gates.iter().filter_map(|gate| closed(round, &gate.condition_type)).collect();
    if problems.is_empty() {
        return condition(kind, true, "", String::new());
    }
    condition(kind, false, "ReadinessGatesNotReady", problems.join(", "))
}

/// Why a readiness gate is closed; its condition is somebody else's, and comes with the pod where the cloud sends it.
fn closed(round: Round<'_>, gate: &str) -> Option<String> {
    let given = round.desired.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    match given.into_iter().flatten().find(|condition| condition.type_ == gate) {
        None => Some(format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.")),
        Some(condition) if condition.status == "True" => None,
        Some(condition) => Some(format!(
            "the status of pod readiness gate \"{gate}\" is not \"True\", but {}",
            condition.status
        )),
    }
}
