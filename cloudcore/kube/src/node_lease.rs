//! What stands in a Node's Lease besides what upstream's kubelet writes there: the number and the owner of the session.

use serde_json::Value;

/// Namespace of node Leases.
pub const NAMESPACE: &str = "kube-node-lease";
/// Annotation: number of the session.
pub const EPOCH: &str = "skerry.io/epoch";
/// Annotation: replica that holds the session.
pub const REPLICA: &str = "skerry.io/replica";

/// An annotation of a Lease; empty where there is none.
pub fn annotation<'a>(lease: &'a Value, key: &str) -> &'a str {
    lease
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations")?.get(key)?.as_str())
        .unwrap_or_default()
}

/// Number of the session that holds the node; 0 where there never was one.
pub fn epoch(lease: &Value) -> u64 {
    annotation(lease, EPOCH).parse().unwrap_or(0)
}

/// When it was last renewed, as it stands there; empty where it never was.
pub fn renewed(lease: &Value) -> &str {
    lease.pointer("/spec/renewTime").and_then(Value::as_str).unwrap_or_default()
}
