//! What of an object's status the edge owns, and when a report and the cluster say the same.
//!
//! Both sides hash reports with [`report_hash`]; the cloud hashes what it sees in the cluster with [`status_hash`].
//! Equal hashes mean that nobody needs to send or write anything. Only what both sides are sure to spell alike is
//! hashed: no quantities (`1000m` and `1`), no fields that a feature gate may drop, no times of conditions. Fields
//! that are empty, zero, false or null count as absent, since the API server leaves them out.

use serde_json::{Map, Value};

use crate::digest::Version;
use crate::ids::Kind;

/// Types of pod conditions that the edge owns: what it reports of them is written, others of the cluster's are left
/// alone, and one of these that a report leaves out is removed.
pub const POD_CONDITIONS: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready", "skerry.io/FieldsHonoured"];

/// Types of node conditions that the edge owns.
pub const NODE_CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// Fields of a pod's status that the edge owns, besides conditions of [`POD_CONDITIONS`].
pub const POD_FIELDS: [&str; 12] = [
    "phase",
    "message",
    "reason",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "observedGeneration",
];

/// Fields of a node's status that the edge owns, besides conditions of [`NODE_CONDITIONS`]. Not its addresses, though it
/// reports them: those that a Node shows are where its kubelet's API is served, and that is in the cloud.
pub const NODE_FIELDS: [&str; 6] =
    ["capacity", "allocatable", "nodeInfo", "images", "runtimeHandlers", "features"];

/// Owned fields of a pod's status that are hashed.
const POD_HASHED: [&str; 11] = [
    "phase",
    "message",
    "reason",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
];

/// Fields of a container's status that are hashed.
const CONTAINER_HASHED: [&str; 9] =
    ["name", "state", "lastState", "ready", "restartCount", "image", "imageID", "containerID", "started"];

/// Fields of a condition that are hashed.
const CONDITION_HASHED: [&str; 4] = ["type", "status", "reason", "message"];

/// Hash of a report's body, as it stands in a report inventory. A pod of which nothing is left hashes to a value
/// that no status has.
pub fn report_hash(kind: Kind, body: &Value) -> Version {
    if body.get("deleted").and_then(Value::as_bool) == Some(true) {
        return Version::of(b"deleted");
    }
    status_hash(kind, body.get("status").unwrap_or(&Value::Null))
}

/// Hash of what the edge owns of a status in the cluster.
pub fn status_hash(kind: Kind, status: &Value) -> Version {
    let hashed = match kind {
        Kind::Pod => pod(status),
        Kind::Node => node(status),
        Kind::Service | Kind::ServiceAccount | Kind::ConfigMap | Kind::Secret => Map::new(),
    };
    // A map of JSON values always encodes; keys come out sorted.
    Version::of(&serde_json::to_vec(&hashed).unwrap_or_default())
}

fn pod(status: &Value) -> Map<String, Value> {
    let mut hashed = pick(status, &POD_HASHED);
    for key in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
        if let Some(Value::Array(containers)) = hashed.get_mut(key) {
            for container in containers {
                *container = Value::Object(pick(container, &CONTAINER_HASHED));
            }
        }
    }
    put_conditions(&mut hashed, status, &POD_CONDITIONS);
    hashed
}

fn node(status: &Value) -> Map<String, Value> {
    let mut hashed = pick(status, &["nodeInfo"]);
    put_conditions(&mut hashed, status, &NODE_CONDITIONS);
    hashed
}

fn put_conditions(hashed: &mut Map<String, Value>, status: &Value, owned: &[&str]) {
    for condition in conditions(status) {
        if let Some(name) = condition_type(condition).filter(|name| owned.contains(name)) {
            hashed.insert(format!("condition {name}"), Value::Object(pick(condition, &CONDITION_HASHED)));
        }
    }
}

/// The conditions of a status.
pub fn conditions(status: &Value) -> &[Value] {
    status.get("conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The type of a condition.
pub fn condition_type(condition: &Value) -> Option<&str> {
    condition.get("type").and_then(Value::as_str)
}

/// The named fields, without those that count as absent.
fn pick(value: &Value, fields: &[&str]) -> Map<String, Value> {
    fields.iter().filter_map(|&field| Some((field.to_owned(), tidy(value.get(field)?)?))).collect()
}

/// The value without what counts as absent; `None` where nothing is left.
fn tidy(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(Value::Bool(true)),
        Value::Number(number) => (number.as_i64() != Some(0)).then(|| Value::Number(number.clone())),
        Value::String(text) => (!text.is_empty()).then(|| Value::String(text.clone())),
        // Items keep their places: an empty one still counts.
        Value::Array(items) => (!items.is_empty())
            .then(|| items.iter().map(|item| tidy(item).unwrap_or(Value::Null)).collect::<Vec<_>>().into()),
        Value::Object(fields) => {
            let fields: Map<_, _> =
                fields.iter().filter_map(|(key, value)| Some((key.clone(), tidy(value)?))).collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_own_and_how_it_is_spelled_does_not_count() {
        let report = json!({"status": {
            "phase": "Running", "message": null, "podIPs": [{"ip": "10.0.0.2"}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "lastState": {},
                "allocatedResources": {"cpu": "1000m"}, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
        }});
        let cluster = json!({
            "phase": "Running", "qosClass": "BestEffort", "podIPs": [{"ip": "10.0.0.2"}],
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-02T00:00:00Z"}],
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0,
                "allocatedResources": {"cpu": "1"}, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
        });
        assert_eq!(report_hash(Kind::Pod, &report), status_hash(Kind::Pod, &cluster));
    }

    #[test]
    fn what_the_edge_owns_counts() {
        let ready = |status: &str| json!({"conditions": [{"type": "Ready", "status": status}]});
        for kind in [Kind::Pod, Kind::Node] {
            assert_ne!(status_hash(kind, &ready("True")), status_hash(kind, &ready("Unknown")));
            assert_ne!(status_hash(kind, &ready("True")), status_hash(kind, &Value::Null));
        }
        let restarted = |count: u32| json!({"containerStatuses": [{"name": "c", "restartCount": count}]});
        assert_ne!(status_hash(Kind::Pod, &restarted(0)), status_hash(Kind::Pod, &restarted(1)));
    }

    #[test]
    fn a_pod_that_is_gone_equals_no_status() {
        let gone = report_hash(Kind::Pod, &json!({"deleted": true, "status": {"phase": "Failed"}}));
        assert_ne!(gone, status_hash(Kind::Pod, &json!({"phase": "Failed"})));
        assert_ne!(gone, status_hash(Kind::Pod, &Value::Null));
    }
}
