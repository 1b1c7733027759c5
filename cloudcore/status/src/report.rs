//! What an edge may report.

use std::sync::Arc;

use serde_json::Value;
use wire::{Kind, ObjectKey, Report, Version, owned};

/// Kind and UID; the UID of a Node that does not exist yet is empty.
pub(crate) type Key = (Kind, Arc<str>);

/// Longest name, namespace or UID taken from an edge, in bytes.
pub(crate) const MAX_TEXT: usize = 253;

/// What a pod's phase may be (`PodPhase` of the Kubernetes API).
const PHASES: [&str; 5] = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

/// A report that was read.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    /// Ids it stands for: its own, and those of reports it took the place of.
    pub(crate) ids: Vec<u64>,
    /// What it is about.
    pub(crate) object: ObjectKey,
    /// UID of that object.
    pub(crate) uid: Arc<str>,
    /// Hash of what is owned of it.
    pub(crate) hash: Version,
    /// Nothing is left of the pod on the edge.
    pub(crate) deleted: bool,
    /// The body: `status` and, of a Node, `labels` and `annotations`.
    pub(crate) body: Value,
}

impl Reported {
    /// Kind and UID.
    pub(crate) fn key(&self) -> Key {
        (self.object.kind, Arc::clone(&self.uid))
    }

    /// The reported status.
    pub(crate) fn status(&self) -> &Value {
        self.body.get("status").unwrap_or(&Value::Null)
    }
}

/// Reads a report of a node. The error is the reason of the refusal.
pub(crate) fn read(node: &str, report: Report) -> Result<Reported, String> {
    let Report { id, kind: kind_name, namespace, name, uid, body } = report;
    let texts = [("kind", &kind_name), ("namespace", &namespace), ("name", &name), ("uid", &uid)];
    if let Some((field, _)) = texts.into_iter().find(|(_, text)| text.len() > MAX_TEXT) {
        return Err(format!("{field} of the reported object is longer than {MAX_TEXT} bytes"));
    }
    let Some(kind @ (Kind::Pod | Kind::Node)) = Kind::parse(&kind_name) else {
        return Err(format!("{kind_name:?} is no kind that an edge reports on"));
    };
    let object = ObjectKey::new(kind, namespace, name);
    if kind == Kind::Node && (object.name != node || !object.namespace.is_empty()) {
        return Err(format!("{object} is not the node that reports, {node}"));
    }
    if kind == Kind::Pod && (uid.is_empty() || object.namespace.is_empty() || object.name.is_empty()) {
        return Err(format!("{object}: a pod is reported with namespace, name and uid"));
    }
    let wrong = |reason: &str| format!("{object}: {reason}");
    let text = body.ok_or_else(|| wrong("the report has no body"))?;
    let text = text.unpack().map_err(|error| wrong(&kit::errors::chain(&error)))?;
    let body: Value = serde_json::from_slice(&text).map_err(|error| wrong(&error.to_string()))?;
    if !body.get("status").is_some_and(Value::is_object) {
        return Err(wrong("status is missing or no object"));
    }
    for field in ["labels", "annotations"] {
        let map = body.get(field).filter(|value| !value.is_null());
        if map.is_some_and(|map| map.as_object().is_none_or(|map| !map.values().all(Value::is_string))) {
            return Err(wrong(&format!("{field} is no map of strings")));
        }
    }
    if let Some(field) = misplaced(&body) {
        return Err(wrong(&format!("status.{field} is no list of objects with what tells them apart")));
    }
    if let Some(phase) = phase(kind, &body).filter(|phase| !PHASES.contains(phase)) {
        // The API server takes whatever it is told here.
        return Err(wrong(&format!("status.phase {phase:?} is none of {}", PHASES.join(", "))));
    }
    let hash = owned::report_hash(kind, &body);
    let deleted = kind == Kind::Pod && body.get("deleted").and_then(Value::as_bool) == Some(true);
    Ok(Reported { ids: vec![id], object, uid: uid.into(), hash, deleted, body })
}

/// The phase of a pod that is reported; none where the report says none.
fn phase(kind: Kind, body: &Value) -> Option<&str> {
    let phase = body.get("status").filter(|_| kind == Kind::Pod)?.get("phase")?;
    Some(phase.as_str().unwrap_or("that is no text")).filter(|phase| !phase.is_empty())
}

/// The first list whose items cannot be told apart, which would make a merge lose something.
fn misplaced(body: &Value) -> Option<&'static str> {
    let lists = [
        ("conditions", "type"),
        ("initContainerStatuses", "name"),
        ("containerStatuses", "name"),
        ("ephemeralContainerStatuses", "name"),
    ];
    lists.into_iter().find_map(|(field, by)| {
        let list = body.get("status")?.get(field).filter(|list| !list.is_null())?;
        let told_apart = |item: &Value| item.get(by).is_some_and(Value::is_string);
        (!list.as_array().is_some_and(|items| items.iter().all(told_apart))).then_some(field)
    })
}
