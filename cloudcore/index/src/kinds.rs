//! The kinds, one file each: what of an object the edge acts on, and what the index must know of it.

mod config_map;
mod node;
pub(crate) mod pod;
mod secret;
mod service;
mod service_account;

use cloudcore_kube::path;
use cloudcore_kube::watch::Source;
use serde_json::Value;
use wire::Kind;

use crate::object::{Detail, Fields};

/// Holds a whole copy of the object as it was applied: no edge acts on it, and it changes with every apply.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Where a kind is watched. Kinds whose objects may be large come in small pages.
pub const fn source(kind: Kind) -> Source {
    let (collection, page) = match kind {
        Kind::Node => (path::NODES, 200),
        Kind::Service => (path::SERVICES, 500),
        Kind::ServiceAccount => (path::SERVICE_ACCOUNTS, 500),
        Kind::ConfigMap => (path::CONFIG_MAPS, 100),
        Kind::Secret => (path::SECRETS, 100),
        Kind::Pod => (path::PODS, 250),
    };
    Source { kind: kind.name(), collection, field_selector: "", page }
}

/// Takes out of the metadata what no edge acts on.
///
/// A pod keeps all its annotations, since it can read them through the downward API, and its generation, which its
/// status reports.
pub(crate) fn strip(kind: Kind, metadata: &mut Fields) -> Result<(), String> {
    for field in ["managedFields", "resourceVersion", "selfLink"] {
        metadata.remove(field);
    }
    if kind == Kind::Pod {
        return Ok(());
    }
    metadata.remove("generation");
    if metadata.contains_key("annotations") {
        let annotations = object_mut(metadata, "annotations").map_err(|error| format!("metadata.{error}"))?;
        annotations.remove(LAST_APPLIED);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    Ok(())
}

/// Projects the rest, and reads what the index must know. `object` comes without its status.
pub(crate) fn project(kind: Kind, object: &mut Fields, status: &Value) -> Result<Detail, String> {
    match kind {
        Kind::Node => node::project(object, status),
        Kind::Service => service::project(object),
        Kind::ServiceAccount => service_account::project(object),
        Kind::ConfigMap => config_map::project(object),
        Kind::Secret => secret::project(object),
        Kind::Pod => pod::project(object, status),
    }
}

/// A field that must be an object.
pub(crate) fn object_mut<'a>(fields: &'a mut Fields, field: &str) -> Result<&'a mut Fields, String> {
    match fields.get_mut(field) {
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(format!("{field} is no object")),
        None => Err(format!("{field} is missing")),
    }
}

/// A field that is an object or absent.
pub(crate) fn object<'a>(fields: &'a Fields, at: &str, field: &str) -> Result<Option<&'a Fields>, String> {
    match fields.get(field) {
        Some(Value::Object(object)) => Ok(Some(object)),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err(format!("{at}.{field} is no object")),
    }
}

/// The items of a field that is a list of objects or absent.
pub(crate) fn items<'a>(fields: &'a Fields, at: &str, field: &str) -> Result<Vec<&'a Fields>, String> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(n, item)| item.as_object().ok_or_else(|| format!("{at}.{field}[{n}] is no object")))
            .collect(),
        Some(_) => Err(format!("{at}.{field} is no list")),
    }
}

/// A field that is a string or absent; absent reads as empty.
pub(crate) fn text<'a>(fields: &'a Fields, at: &str, field: &str) -> Result<&'a str, String> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("{at}.{field} is no string")),
    }
}

/// A field that must be a string that is not empty.
pub(crate) fn required<'a>(fields: &'a Fields, at: &str, field: &str) -> Result<&'a str, String> {
    let text = text(fields, at, field)?;
    if text.is_empty() { Err(format!("{at}.{field} is missing")) } else { Ok(text) }
}

/// A field whose values must all be strings, where it is there: what would fail on the edge fails here, by name.
pub(crate) fn string_map(fields: &Fields, field: &str) -> Result<(), String> {
    let Some(map) = object(fields, "", field).map_err(|error| error.trim_start_matches('.').to_owned())?
    else {
        return Ok(());
    };
    match map.iter().find(|(_, value)| !value.is_string()) {
        Some((key, _)) => Err(format!("{field}.{key} is no string")),
        None => Ok(()),
    }
}
