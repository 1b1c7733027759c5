//! Nodes: registration, status, labels.

use kit::WallTime;
use serde_json::{Map, Value, json};
use wire::owned::{NODE_CONDITIONS, NODE_FIELDS};

use super::{Step, Write, merge, status_patch, uid};
use crate::report::Reported;

/// By what an edge is told from other nodes.
const EDGE_LABEL: &str = "node-role.kubernetes.io/edge";

/// Labels of Kubernetes' own domains that a node may set on itself (the kubelet's well-known ones).
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
];

/// The next step for the node that reports.
pub(super) fn plan(current: Option<&Value>, reported: &Reported, done: &[Write], now: WallTime) -> Step {
    let Some(current) = current else {
        // Whoever deleted the Node meant it: only an edge that never had one, or gave it up, makes it anew.
        return if reported.uid.is_empty() {
            Step::Write(Write::Create, create(reported, now))
        } else {
            Step::Refuse(format!("{} with uid {} does not exist", reported.object, reported.uid))
        };
    };
    if !reported.uid.is_empty() && uid(current) != &*reported.uid {
        let reason = format!("{} has uid {}, not {}", reported.object, uid(current), reported.uid);
        return Step::Refuse(reason);
    }
    let open = |write: Write| !done.contains(&write);
    if let Some(patch) =
        status_patch(current, &status(current, reported.status(), now)).filter(|_| open(Write::Status))
    {
        return Step::Write(Write::Status, patch);
    }
    if let Some(patch) = metadata_patch(current, reported).filter(|_| open(Write::Metadata)) {
        return Step::Write(Write::Metadata, patch);
    }
    if label(current, EDGE_LABEL).is_none() && open(Write::Role) {
        let labels = json!({(EDGE_LABEL): ""});
        return Step::Write(Write::Role, json!({"metadata": {"uid": uid(current), "labels": labels}}));
    }
    Step::Done
}

fn label<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get("metadata")?.get("labels")?.get(name)
}

/// Whether NodeRestriction lets a node set this label on itself.
fn is_own(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return true };
    let within = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    OWN_LABELS.contains(&label) || within("kubelet.kubernetes.io") || within("node.kubernetes.io")
}

/// Labels and annotations of the report, as far as a node may set them.
fn metadata(reported: &Reported) -> [(&'static str, Map<String, Value>); 2] {
    let of = |field: &str| reported.body.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut labels = of("labels");
    labels.retain(|label, _| is_own(label));
    [("labels", labels), ("annotations", of("annotations"))]
}

/// Sets what the report says and the Node lacks. What others set beside it stays.
fn metadata_patch(current: &Value, reported: &Reported) -> Option<Value> {
    let mut change = Map::new();
    for (field, mut wanted) in metadata(reported) {
        let shown = current.get("metadata").and_then(|metadata| metadata.get(field));
        wanted.retain(|key, value| shown.and_then(|shown| shown.get(key)) != Some(value));
        if !wanted.is_empty() {
            change.insert(field.to_owned(), Value::Object(wanted));
        }
    }
    if change.is_empty() {
        return None;
    }
    change.insert("uid".to_owned(), Value::from(uid(current)));
    let version = current.pointer("/metadata/resourceVersion").cloned().unwrap_or(Value::Null);
    change.insert("resourceVersion".to_owned(), version);
    Some(json!({"metadata": change}))
}

fn create(reported: &Reported, now: WallTime) -> Value {
    let mut object = json!({"name": reported.object.name});
    if let Some(object) = object.as_object_mut() {
        let filled = metadata(reported).into_iter().filter(|(_, map)| !map.is_empty());
        object.extend(filled.map(|(field, map)| (field.to_owned(), Value::Object(map))));
    }
    let status = status(&json!({}), reported.status(), now);
    json!({"apiVersion": "v1", "kind": "Node", "metadata": object, "status": status})
}

/// The status to be shown. Heartbeat times move only where something else does: the Lease is the heartbeat.
fn status(current: &Value, report: &Value, now: WallTime) -> Map<String, Value> {
    let shown = current.get("status").and_then(Value::as_object).cloned().unwrap_or_default();
    let quiet = joined(&shown, report, None, now);
    if merge::same(&Value::Object(quiet.clone()), &Value::Object(shown.clone())) {
        return quiet;
    }
    joined(&shown, report, Some(now), now)
}

/// The report put into the status; conditions beat at `beat`, or keep the beat shown.
fn joined(
    shown: &Map<String, Value>,
    report: &Value,
    beat: Option<WallTime>,
    now: WallTime,
) -> Map<String, Value> {
    let mut status = shown.clone();
    merge::fields(&mut status, report, &NODE_FIELDS);
    for field in ["capacity", "allocatable"] {
        keep_extended(&mut status, shown, field);
    }
    merge::conditions(&mut status, report, &NODE_CONDITIONS, |told, shown| {
        let mut condition = told.as_object().cloned().unwrap_or_default();
        let unchanged = shown.filter(|shown| merge::text(shown, "status") == merge::text(told, "status"));
        let since = match unchanged.map(|shown| merge::text(shown, "lastTransitionTime")) {
            Some(since) if !since.is_empty() => since.to_owned(),
            _ => now.rfc3339(),
        };
        let before = shown.map(|shown| merge::text(shown, "lastHeartbeatTime")).unwrap_or_default();
        let heartbeat = beat.map_or_else(|| before.to_owned(), WallTime::rfc3339);
        condition.insert("lastTransitionTime".to_owned(), Value::from(since));
        condition.insert("lastHeartbeatTime".to_owned(), Value::from(heartbeat));
        Value::Object(condition)
    });
    status
}

/// Extended resources (`example.com/dongle`) that others advertise on the Node stay: no edge knows of them.
fn keep_extended(status: &mut Map<String, Value>, shown: &Map<String, Value>, field: &str) {
    let Some(Value::Object(shown)) = shown.get(field) else { return };
    let Some(Value::Object(resources)) = status.get_mut(field) else { return };
    for (name, amount) in shown.iter().filter(|(name, _)| name.contains('/')) {
        resources.entry(name.clone()).or_insert_with(|| amount.clone());
    }
}
