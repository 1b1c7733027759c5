//! What the edge should hold, by the simulation's own reading of the API's objects: written anew and on purpose, so
//! that the product's projection is not judged by itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wire::Kind;

use crate::api::{Key, uid};

/// The node that everything is about.
pub(crate) const NODE: &str = "edge-1";

/// Plural of a kind.
pub(crate) const fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Node => "nodes",
        Kind::Service => "services",
        Kind::ServiceAccount => "serviceaccounts",
        Kind::ConfigMap => "configmaps",
        Kind::Secret => "secrets",
        Kind::Pod => "pods",
    }
}

/// ConfigMaps and Secrets that a pod of the simulation names: as volumes.
pub(crate) fn names(pod: &Value) -> Vec<(Kind, String)> {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |volume: &Value, pointer: &str| Some(volume.pointer(pointer)?.as_str()?.to_owned());
    let config_maps =
        volumes.iter().filter_map(|volume| Some((Kind::ConfigMap, name(volume, "/configMap/name")?)));
    let secrets =
        volumes.iter().filter_map(|volume| Some((Kind::Secret, name(volume, "/secret/secretName")?)));
    config_maps.chain(secrets).collect()
}

/// What a journal entry of the simulation says.
pub(crate) fn note(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.get("note")?.as_str()?.to_owned())
}

/// Everything the edge should hold: by kind and UID, as it should read.
pub(crate) fn wanted(objects: &BTreeMap<Key, Value>) -> BTreeMap<(String, String), Value> {
    let mut wanted = BTreeMap::new();
    let mut want = |kind: Kind, namespace: &str, name: &str| {
        let key = (plural(kind).to_owned(), namespace.to_owned(), name.to_owned());
        if let Some(object) = objects.get(&key) {
            wanted.insert((kind.name().to_owned(), uid(object).to_owned()), reads(kind, object));
        }
    };
    want(Kind::Node, "", NODE);
    want(Kind::Service, "default", "kubernetes");
    for ((plural, namespace, name), pod) in objects {
        if plural != "pods" || pod.pointer("/spec/nodeName").and_then(Value::as_str) != Some(NODE) {
            continue;
        }
        want(Kind::Pod, namespace, name);
        want(Kind::ServiceAccount, namespace, "default");
        for (kind, name) in names(pod) {
            want(kind, namespace, &name);
        }
        for (_, of, service) in objects.keys().filter(|key| key.0 == "services") {
            if of == namespace {
                want(Kind::Service, of, service);
            }
        }
    }
    wanted
}

/// An object without what no edge acts on.
fn reads(kind: Kind, object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        fields.insert("apiVersion".to_owned(), json!("v1"));
        fields.insert("kind".to_owned(), json!(kind.name()));
        if kind == Kind::ServiceAccount {
            fields.remove("secrets");
        }
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    object
}
