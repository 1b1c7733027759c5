//! Pure: what is reported of a pod, as upstream's kubelet would show it.
//!
//! Only what the node owns is in it: the scheduler's `PodScheduled` and conditions of others are not.

mod conditions;
mod containers;

use serde_json::{Map, Value, json};

use crate::desired::Role;
use crate::history::History;
use crate::plan::Round;

pub use conditions::{settle, values};
pub use containers::{State, state};

/// The node, as far as a pod's status shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// The node's addresses.
    pub ips: Vec<String>,
}

/// Phase of the pod in upstream's words.
pub fn phase(round: Round<'_>) -> &'static str {
    let over = !round.view.anything_alive();
    if let Some(verdict) = round.history.verdict.as_ref().filter(|_| over) {
        return if verdict.succeeded { "Succeeded" } else { "Failed" };
    }
    if round.desired.deleting && over {
        let good = |container: &k8s_openapi::api::core::v1::Container| {
            let ended = round.history.ran(&container.name).and_then(crate::history::Ran::ended);
            ended.is_some_and(|ended| ended.exit_code == 0)
        };
        return if round.desired.apps().all(good) { "Succeeded" } else { "Failed" };
    }
    let (mut waiting, mut running, mut stopped, mut again, mut succeeded) = (0, 0, 0, 0, 0);
    for container in round.desired.apps() {
        match state(round, Role::App, &container.name) {
            State::Waiting { last: None, .. } => waiting += 1,
            State::Waiting { last: Some(_), .. } => {
                stopped += 1;
                again += 1;
            }
            State::Running(_) => running += 1,
            State::Terminated(ended) => {
                stopped += 1;
                again += usize::from(round.desired.restarts(Role::App, container, ended.exit_code));
                succeeded += usize::from(ended.exit_code == 0);
            }
        }
    }
    if !conditions::initialized(round) || waiting > 0 {
        return "Pending";
    }
    match (running, stopped) {
        (1.., _) => "Running",
        // Some run again; or sidecars still end: what ended for good frees its resources, so that is told when nothing
        // runs.
        (0, 1..) if again > 0 || !over => "Running",
        (0, 1..) if stopped == succeeded => "Succeeded",
        (0, 1..) => "Failed",
        _ => "Pending",
    }
}

/// The pod's status. Its conditions' times are those that [`settle`] put into the history.
pub fn status(round: Round<'_>, host: &Host) -> Value {
    let mut status = Map::new();
    let phase = phase(round);
    status.insert("phase".into(), phase.into());
    // While containers still end, the phase is the old one, and so is the rest of the story.
    let told = matches!(phase, "Succeeded" | "Failed");
    if let Some(verdict) = round.history.verdict.as_ref().filter(|_| told) {
        insert_text(&mut status, "reason", &verdict.reason);
        insert_text(&mut status, "message", &verdict.message);
    }
    status.insert("conditions".into(), conditions::list(round));
    let list = |role: Role| match role {
        Role::Init | Role::Sidecar => "initContainerStatuses",
        Role::App => "containerStatuses",
        Role::Ephemeral => "ephemeralContainerStatuses",
    };
    for (role, container) in round.desired.containers() {
        let listed = status.entry(list(role)).or_insert_with(|| json!([]));
        if let Some(listed) = listed.as_array_mut() {
            listed.push(containers::status(round, role, container));
        }
    }
    addresses(round, host, &mut status);
    if let Some(taken) = &round.history.taken {
        status.insert("startTime".into(), time(taken.wall_ms));
    }
    status.insert("qosClass".into(), qos(round).into());
    if let Some(generation) = round.desired.pod.metadata.generation {
        status.insert("observedGeneration".into(), generation.into());
    }
    Value::Object(status)
}

/// The report's body, canonical. `deleted`: nothing of the pod is left on the node.
pub fn report(status: &Value, deleted: bool) -> Vec<u8> {
    let body = if deleted { json!({"deleted": true, "status": status}) } else { json!({"status": status}) };
    // An object always has a canonical form.
    wire::canonical(&body).unwrap_or_default()
}

/// What is reported of a pod whose body cannot be parsed: it is refused by name.
pub fn unparsable(history: &History, message: &str) -> Value {
    let since = history.taken.as_ref().map_or(0, |taken| taken.wall_ms);
    json!({"phase": "Pending", "conditions": [{
        "type": conditions::FIELDS_HONOURED, "status": "False", "reason": "FieldNotSupported",
        "message": message, "lastTransitionTime": time(since),
    }]})
}

fn addresses(round: Round<'_>, host: &Host, status: &mut Map<String, Value>) {
    let list = |ips: &[String]| ips.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>();
    if let Some(first) = host.ips.first() {
        status.insert("hostIP".into(), first.as_str().into());
        status.insert("hostIPs".into(), list(&host.ips).into());
    }
    let has_sandbox = round.history.next_sandbox > 0;
    let own = if round.desired.host_network() && has_sandbox { &host.ips } else { &round.history.ips };
    if let Some(first) = own.first() {
        status.insert("podIP".into(), first.as_str().into());
        status.insert("podIPs".into(), list(own).into());
    }
}

/// The class that the API server computed at creation, where the body carries it; else computed the same way.
fn qos(round: Round<'_>) -> String {
    let recorded = round.desired.pod.status.as_ref().and_then(|status| status.qos_class.clone());
    recorded.unwrap_or_else(|| crate::qos::class(&round.desired.pod).to_owned())
}

fn insert_text(map: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.into(), text.into());
    }
}

/// A time as the API writes it.
fn time(ms: i64) -> Value {
    kit::WallTime(ms).rfc3339().into()
}
