//! Which ConfigMaps, Secrets and ServiceAccounts a pod names.
//!
//! Found by the shape of the field names rather than by a list of paths, so that a reference in a field newer than
//! this release counts too. Naming too much only keeps an object a little longer.

use std::collections::BTreeSet;

use serde_json::Value;
use wire::Kind;

/// The kind and name of everything a pod's body names; of a body that is no JSON nothing.
pub(crate) fn named(pod: &[u8]) -> BTreeSet<(Kind, String)> {
    let mut found = BTreeSet::new();
    if let Ok(pod) = serde_json::from_slice::<Value>(pod) {
        walk(pod.get("spec").unwrap_or(&Value::Null), &mut found);
    }
    found
}

fn walk(value: &Value, found: &mut BTreeSet<(Kind, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Object(fields) => {
            for (field, value) in fields {
                if let Some(kind) = kind_of(field) {
                    note(kind, value, found);
                }
                walk(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The kind that a field of this name refers to: `configMap`, `configMapKeyRef`, `secretName`, `imagePullSecrets` …
fn kind_of(field: &str) -> Option<Kind> {
    let field = field.to_ascii_lowercase();
    if field.starts_with("configmap") {
        Some(Kind::ConfigMap)
    } else if field.contains("secret") {
        Some(Kind::Secret)
    } else if field.starts_with("serviceaccount") {
        Some(Kind::ServiceAccount)
    } else {
        None
    }
}

fn note(kind: Kind, value: &Value, found: &mut BTreeSet<(Kind, String)>) {
    let mut add = |name: &Value| {
        if let Some(name) = name.as_str() {
            found.insert((kind, name.to_owned()));
        }
    };
    add(value);
    let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    for item in items {
        for field in ["name", "secretName"] {
            add(item.get(field).unwrap_or(&Value::Null));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_something_is_found() {
        let pod = serde_json::json!({"spec": {
            "serviceAccountName": "sa",
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"name": "v", "configMap": {"name": "c1"}},
                {"name": "w", "secret": {"secretName": "s1"}},
                {"name": "x", "projected": {"sources": [
                    {"configMap": {"name": "c2"}}, {"secret": {"name": "s2"}}, {"serviceAccountToken": {"path": "t"}}]}},
            ],
            "containers": [{"name": "main",
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c3", "key": "k"}}},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "k"}}}],
                "envFrom": [{"configMapRef": {"name": "c4"}}, {"secretRef": {"name": "s4"}}]}],
        }});
        let found = named(&serde_json::to_vec(&pod).unwrap());
        let names =
            |kind| found.iter().filter(|(k, _)| *k == kind).map(|(_, n)| n.as_str()).collect::<Vec<_>>();
        assert_eq!(names(Kind::ConfigMap), ["c1", "c2", "c3", "c4"]);
        assert_eq!(names(Kind::Secret), ["pull", "s1", "s2", "s3", "s4"]);
        assert_eq!(names(Kind::ServiceAccount), ["sa"]);
        assert!(named(b"no json").is_empty());
    }
}
