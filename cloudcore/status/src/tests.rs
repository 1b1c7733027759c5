//! The pure parts, by case and by model.

mod compare;
mod event;
mod node;
mod pod;
mod queue;
mod report;

use serde_json::Value;
use wire::{Body, Report};

use crate::report::{Reported, read};

/// A report of node `edge-1` as it comes in.
fn incoming(kind: &str, namespace: &str, name: &str, uid: &str, body: &Value) -> Report {
    let body = Some(Body::pack(&wire::canonical(body).unwrap()).unwrap());
    Report { id: 1, kind: kind.into(), namespace: namespace.into(), name: name.into(), uid: uid.into(), body }
}

/// A report of pod `default/web` with uid `u1`.
fn pod_report(body: &Value) -> Reported {
    read("edge-1", incoming("Pod", "default", "web", "u1", body)).unwrap()
}

/// A report of Node `edge-1`.
fn node_report(uid: &str, body: &Value) -> Reported {
    read("edge-1", incoming("Node", "", "edge-1", uid, body)).unwrap()
}

/// RFC 7396, as the API server applies it.
pub(crate) fn apply(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = target.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            let old = target.get(key).cloned().unwrap_or(Value::Null);
            target.insert(key.clone(), apply(&old, value));
        }
    }
    Value::Object(target)
}

/// The condition of that type.
fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == name)
}
