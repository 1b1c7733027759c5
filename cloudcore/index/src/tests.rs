//! Tests of the index as a whole: it is fed with objects as the API server writes them.

mod absence;
mod bodies;
mod model;
mod projection;

use cloudcore_kube::watch::Observer;
use serde_json::{Value, json};
use wire::Kind;

use crate::Index;

/// Feeds an object.
fn apply(index: &Index, kind: Kind, object: &Value) {
    index.observer(kind).applied(object.to_string().as_bytes()).unwrap();
}

/// A pod that names a ConfigMap and a Secret.
fn pod(name: &str, uid: &str, node: &str, config_map: &str, secret: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1"},
        "spec": {
            "nodeName": node,
            "serviceAccountName": "default",
            "containers": [{"name": "c", "image": "i", "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]}],
            "volumes": [{"name": "v", "configMap": {"name": config_map}}],
        },
    })
}

/// An object of a kind that is only named.
fn plain(name: &str, uid: &str, data: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1"},
        "data": {"k": data},
    })
}

/// A node.
fn node(name: &str, uid: &str) -> Value {
    json!({"metadata": {"name": name, "uid": uid, "resourceVersion": "1"}, "spec": {}})
}
