//! A pod's report becomes a patch of only what the edge owns. Pure.

use serde_json::{Map, Value, json};
use wire::owned::{POD_CONDITIONS, POD_FIELDS, condition_type, conditions};

/// Lists that a strategic merge would merge by key, although the edge owns the whole.
const REPLACED: [&str; 2] = ["podIPs", "hostIPs"];

/// The strategic merge patch of `status`, bound to the pod's UID and, where given, to the resourceVersion it is
/// based on.
///
/// Owned fields that the report leaves out are removed; of the conditions only those the edge owns are touched.
pub fn patch(uid: &str, resource_version: Option<&str>, status: &Value) -> Value {
    let mut patched = Map::new();
    for field in POD_FIELDS {
        let value = status.get(field).cloned().unwrap_or(Value::Null);
        let value = if REPLACED.contains(&field) {
            replace(value.as_array().cloned().unwrap_or_default())
        } else {
            value
        };
        patched.insert(field.to_owned(), value);
    }
    patched.insert("conditions".to_owned(), merged_conditions(status));
    let mut metadata = json!({"uid": uid});
    if let Some(version) = resource_version {
        metadata["resourceVersion"] = Value::from(version);
    }
    json!({"metadata": metadata, "status": patched})
}

/// DeleteOptions that finish a deletion: only this pod, not a successor of its name.
pub fn delete_options(uid: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": uid},
    })
}

/// A list that replaces what is there.
pub(crate) fn replace(items: Vec<Value>) -> Value {
    let mut list = vec![json!({"$patch": "replace"})];
    list.extend(items);
    Value::Array(list)
}

fn merged_conditions(status: &Value) -> Value {
    let reported = conditions(status);
    let owned = POD_CONDITIONS.iter().map(|name| {
        reported
            .iter()
            .find(|condition| condition_type(condition) == Some(name))
            .map_or_else(|| json!({"type": name, "$patch": "delete"}), whole)
    });
    owned.collect()
}

/// A condition with every field said, so that nothing of an older one stays.
fn whole(condition: &Value) -> Value {
    let mut whole = condition.clone();
    if let Some(fields) = whole.as_object_mut() {
        for field in ["reason", "message", "lastProbeTime"] {
            fields.entry(field).or_insert(Value::Null);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_removed_and_what_others_own_is_not_touched() {
        let status = json!({
            "phase": "Running", "podIPs": [{"ip": "10.0.0.2"}], "qosClass": "BestEffort",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "PodScheduled", "status": "False"}],
        });
        let patch = patch("u", Some("7"), &status);
        assert_eq!(patch["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
        let patched = &patch["status"];
        assert_eq!(patched["phase"], "Running");
        assert_eq!(patched["message"], Value::Null);
        assert_eq!(patched["podIPs"], json!([{"$patch": "replace"}, {"ip": "10.0.0.2"}]));
        assert_eq!(patched["hostIPs"], json!([{"$patch": "replace"}]));
        assert_eq!(patched.get("qosClass"), None);
        let conditions = patched["conditions"].as_array().unwrap();
        assert!(conditions.iter().all(|condition| condition["type"] != "PodScheduled"));
        assert!(conditions.contains(&json!({"type": "Initialized", "$patch": "delete"})));
        assert!(
            conditions.iter().any(|condition| condition["status"] == "True" && condition["reason"].is_null())
        );
    }
}
