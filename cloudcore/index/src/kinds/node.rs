//! Nodes: labels, annotations, podCIDR, cordon, and the taints that people set.

use serde_json::Value;
use wire::{Kind, owned};

use crate::kinds;
use crate::object::{Detail, Fields, NodeDetail};

/// Taints that the node-lifecycle controller derives from conditions. They come and go with every cut of the link
/// and are none of the edge's business.
const LIFECYCLE_TAINTS: [&str; 7] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/unschedulable",
];

/// By what an edge is told from other nodes.
const EDGE_LABEL: &str = "node-role.kubernetes.io/edge";

/// The lifecycle's taints are left out.
pub(super) fn project(object: &mut Fields, status: &Value) -> Result<Detail, String> {
    let metadata = kinds::object_mut(object, "metadata")?;
    let edge =
        kinds::object(metadata, "metadata", "labels")?.is_some_and(|labels| labels.contains_key(EDGE_LABEL));
    // A Node without a spec exists: nothing is set on it.
    if object.contains_key("spec") {
        let spec = kinds::object_mut(object, "spec")?;
        kinds::items(spec, "spec", "taints")?;
        if let Some(Value::Array(taints)) = spec.get_mut("taints") {
            taints.retain(|taint| {
                !taint.get("key").and_then(Value::as_str).is_some_and(|key| LIFECYCLE_TAINTS.contains(&key))
            });
            if taints.is_empty() {
                spec.remove("taints");
            }
        }
    }
    Ok(Detail::Node(NodeDetail { status_hash: owned::status_hash(Kind::Node, status), edge }))
}
