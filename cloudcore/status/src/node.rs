//! A node's report becomes a Node, or patches of it. Pure.

use kit::WallTime;
use serde_json::{Map, Value, json};
use wire::owned::{NODE_CONDITIONS, NODE_FIELDS, condition_type, conditions};

use crate::pod::replace;

/// By what an edge is told from other nodes. No node may set it on itself, so cloudcore does.
pub const EDGE_LABEL: &str = "node-role.kubernetes.io/edge";

/// Labels of Kubernetes' own domains that a node may set on itself, as NodeRestriction has it.
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
];

/// Whether a node may set this label on itself.
pub fn may_label(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return true };
    let within =
        |parent: &str| domain == parent || domain.strip_suffix(parent).is_some_and(|sub| sub.ends_with('.'));
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    OWN_LABELS.contains(&key) || within("kubelet.kubernetes.io") || within("node.kubernetes.io")
}

/// What a node reports.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    status: Value,
    /// Labels that no node may set on itself, left out.
    pub refused_labels: Vec<String>,
}

impl Report {
    /// Reads a report's body. The error says what in it is wrong.
    pub fn read(body: &Value) -> Result<Self, String> {
        let strings = |field: &str| match body.get(field) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(map)) if map.values().all(Value::is_string) => Ok(map.clone()),
            Some(_) => Err(format!("{field} is no map of strings")),
        };
        let mut labels = strings("labels")?;
        let refused_labels: Vec<_> = labels.keys().filter(|key| !may_label(key)).cloned().collect();
        labels.retain(|key, _| may_label(key));
        let status = body.get("status").filter(|status| status.is_object()).ok_or("status is no object")?;
        Ok(Self { labels, annotations: strings("annotations")?, status: status.clone(), refused_labels })
    }

    /// The Node, where there is none.
    pub fn create(&self, name: &str, now: WallTime) -> Value {
        let mut status = self.owned();
        status.insert("conditions".to_owned(), self.conditions(&Value::Null, now));
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": self.labels, "annotations": self.annotations},
            "status": status,
        })
    }

    /// The merge patch of labels and annotations; `None` where they are as reported.
    pub fn metadata_patch(&self, node: &Value) -> Option<Value> {
        let mut metadata = Map::new();
        for (field, reported) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            let there = node.pointer(&format!("/metadata/{field}"));
            let differs: Map<_, _> = reported
                .iter()
                .filter(|(key, value)| there.and_then(|there| there.get(key.as_str())) != Some(value))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            if !differs.is_empty() {
                metadata.insert(field.to_owned(), Value::Object(differs));
            }
        }
        (!metadata.is_empty()).then(|| json!({"metadata": metadata}))
    }

    /// The strategic merge patch of `status`; `None` where it is as reported.
    pub fn status_patch(&self, node: &Value, now: WallTime) -> Option<Value> {
        let there = node.get("status").unwrap_or(&Value::Null);
        let mut status = self.owned();
        let same_fields =
            status.iter().all(|(field, value)| there.get(field).is_some_and(|there| covers(there, value)));
        let conditions = self.conditions(there, now);
        let same_conditions =
            wire::owned::conditions(&json!({"conditions": conditions})).iter().all(|condition| {
                find(there, condition_type(condition).unwrap_or_default()).is_some_and(|there| {
                    ["status", "reason", "message"].iter().all(|field| same(there, condition, field))
                })
            });
        if same_fields && same_conditions {
            return None;
        }
        if let Some(Value::Array(addresses)) = status.get("addresses").cloned() {
            status.insert("addresses".to_owned(), replace(addresses));
        }
        status.insert("conditions".to_owned(), conditions);
        let mut metadata = Map::new();
        for field in ["uid", "resourceVersion"] {
            if let Some(value) = node.pointer(&format!("/metadata/{field}")) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        Some(json!({"metadata": metadata, "status": status}))
    }

    fn owned(&self) -> Map<String, Value> {
        let fields = NODE_FIELDS.iter().filter_map(|field| Some((*field, self.status.get(*field)?)));
        fields
            .filter(|(_, value)| !value.is_null())
            .map(|(field, value)| (field.to_owned(), value.clone()))
            .collect()
    }

    /// Owned conditions with their times as upstream keeps them: the heartbeat is now, the transition where the
    /// status changed.
    fn conditions(&self, there: &Value, now: WallTime) -> Value {
        let now = now.rfc3339();
        let reported = conditions(&self.status).iter().filter(|condition| {
            condition_type(condition).is_some_and(|name| NODE_CONDITIONS.contains(&name))
        });
        let timed = reported.map(|condition| {
            let before = find(there, condition_type(condition).unwrap_or_default());
            let kept = before
                .filter(|before| same(before, condition, "status"))
                .and_then(|before| before.get("lastTransitionTime")?.as_str());
            json!({
                "type": condition["type"],
                "status": condition["status"],
                "reason": condition["reason"],
                "message": condition["message"],
                "lastHeartbeatTime": now,
                "lastTransitionTime": kept.unwrap_or(&now),
            })
        });
        timed.collect()
    }
}

/// Whether a Node carries the edge's label.
pub fn has_edge_label(node: &Value) -> bool {
    node.pointer("/metadata/labels").is_some_and(|labels| labels.get(EDGE_LABEL).is_some())
}

fn find<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    conditions(status).iter().find(|condition| condition_type(condition) == Some(name))
}

/// Equal fields, where absent, null and empty are one.
fn same(left: &Value, right: &Value, field: &str) -> bool {
    let text = |value: &Value| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    text(left) == text(right)
}

/// Whether everything in `value` is in `there` too.
fn covers(there: &Value, value: &Value) -> bool {
    match (there, value) {
        (Value::Object(there), Value::Object(value)) => {
            value.iter().all(|(key, value)| there.get(key).is_some_and(|there| covers(there, value)))
        }
        (there, value) => there == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::read(&json!({
            "labels": {"kubernetes.io/hostname": "e", "mine": "x", "node-role.kubernetes.io/edge": ""},
            "status": {
                "capacity": {"cpu": "2"},
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn labels_are_those_a_node_may_set() {
        assert!(may_label("mine") && may_label("example.com/x") && may_label("x.node.kubernetes.io/y"));
        assert!(
            !may_label(EDGE_LABEL)
                && !may_label("node-restriction.kubernetes.io/x")
                && !may_label("a.k8s.io/x")
        );
        assert!(may_label("xkubernetes.io/x"));
        let report = report();
        assert_eq!(report.refused_labels, [EDGE_LABEL]);
        assert_eq!(
            report.create("e", WallTime(0))["metadata"]["labels"],
            json!({"kubernetes.io/hostname": "e", "mine": "x"})
        );
    }

    #[test]
    fn a_node_that_is_as_reported_is_not_written() {
        let mut node = report().create("e", WallTime(0));
        assert_eq!(report().metadata_patch(&node), None);
        assert_eq!(report().status_patch(&node, WallTime(60_000)), None);
        node["metadata"]["labels"]["mine"] = json!("y");
        assert_eq!(report().metadata_patch(&node).unwrap(), json!({"metadata": {"labels": {"mine": "x"}}}));
    }

    #[test]
    fn a_node_that_was_called_unknown_is_put_right() {
        let mut node = report().create("e", WallTime(0));
        node["metadata"]["resourceVersion"] = json!("7");
        node["status"]["conditions"][0]["status"] = json!("Unknown");
        let patch = report().status_patch(&node, WallTime(60_000)).unwrap();
        let ready = &patch["status"]["conditions"][0];
        assert_eq!(
            (ready["status"].as_str(), ready["lastTransitionTime"].as_str()),
            (Some("True"), Some("1970-01-01T00:01:00Z"))
        );
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        node["status"]["conditions"][0] = json!({"type": "Ready", "status": "True", "reason": "x", "lastTransitionTime": "1970-01-01T00:00:01Z"});
        let patch = report().status_patch(&node, WallTime(60_000)).unwrap();
        assert_eq!(patch["status"]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:01Z");
    }
}
