//! Events about annotations that say nothing that can be understood. Pure.

use kit::WallTime;
use serde_json::{Value, json};
use wire::Version;

use crate::policy::Level;

/// Where Events of cluster-wide objects live.
const CLUSTER_WIDE: &str = "default";

/// The object that bears the annotation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct About {
    pub(crate) level: Level,
    /// Of a pod; empty for others.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// The Event, with its namespace. The same complaint about the same object has the same name, so that it is made once.
pub(crate) fn event(about: &About, why: &str, now: WallTime) -> (String, Value) {
    let namespace = if about.namespace.is_empty() { CLUSTER_WIDE } else { &about.namespace };
    let hash = Version::of(format!("{}/{why}", about.uid).as_bytes()).to_string();
    let kind = match about.level {
        Level::Pod => "Pod",
        Level::Namespace => "Namespace",
        Level::Node => "Node",
    };
    let mut involved = json!({"apiVersion": "v1", "kind": kind, "name": about.name, "uid": about.uid});
    if let (Level::Pod, Some(involved)) = (about.level, involved.as_object_mut()) {
        involved.insert("namespace".to_owned(), Value::from(namespace));
    }
    let short: String = hash.chars().take(16).collect();
    // Names of all three are at most 253 characters, of which an Event's may have 236 beside the hash.
    let name: String = about.name.chars().take(230).collect();
    let body = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.{short}", name.trim_end_matches(['.', '-'])), "namespace": namespace},
        "involvedObject": involved,
        "reason": "InvalidAutonomy",
        "message": format!("{why}; what is more general counts"),
        "type": "Warning",
        "count": 1,
        "firstTimestamp": now.rfc3339(),
        "lastTimestamp": now.rfc3339(),
        "source": {"component": "skerry.io/cloudcore"},
        "reportingComponent": "skerry.io/cloudcore",
        "reportingInstance": "cloudcore",
    });
    (namespace.to_owned(), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_complaint_is_one_event_on_the_object_itself() {
        let about = About { level: Level::Pod, namespace: "a".into(), name: "p".into(), uid: "u".into() };
        let (namespace, first) = event(&about, "wrong", WallTime(0));
        let (_, later) = event(&about, "wrong", WallTime(60_000));
        assert_eq!((namespace.as_str(), &first["metadata"]), ("a", &later["metadata"]));
        assert_eq!(
            first["involvedObject"],
            json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "namespace": "a"})
        );
        assert_ne!(first["metadata"], event(&about, "else", WallTime(0)).1["metadata"]);
        let node = About { level: Level::Node, namespace: String::new(), ..about };
        let (namespace, event) = event(&node, "wrong", WallTime(0));
        assert_eq!((namespace.as_str(), event["involvedObject"].get("namespace")), ("default", None));
    }
}
