//! Journal entries, and what an edge could not apply, as Events of the cluster.
//!
//! Written in the core/v1 form, which every reader of Events knows. The name is made of what the Event is about and
//! a hash of its identity, so that sending it twice creates it once.

use kit::WallTime;
use serde_json::{Map, Value, json};
use wire::{Entry, Rejected, Version};

/// Longest message, in bytes, as the API has it for new Events.
const MAX_MESSAGE: usize = 1024;
/// Longest reason.
const MAX_REASON: usize = 128;
/// Longest part of a name that is the object's.
const MAX_NAME: usize = 230;
/// Where Events of cluster-wide objects live.
const CLUSTER_WIDE: &str = "default";

/// An Event to be created.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    /// Its namespace.
    pub(crate) namespace: String,
    /// UID of the object it is about.
    pub(crate) about: String,
    /// The whole Event.
    pub(crate) body: Value,
}

/// The Event of a journal entry. The error is the reason of the refusal.
pub(crate) fn entry(node: &str, store_id: &str, entry: &Entry) -> Result<Draft, String> {
    let wrong = |reason: &str| format!("entry {}: {reason}", entry.seq);
    let text = entry.body.as_ref().ok_or_else(|| wrong("no body"))?;
    let text = text.unpack().map_err(|error| wrong(&kit::errors::chain(&error)))?;
    let event: Value = serde_json::from_slice(&text).map_err(|error| wrong(&error.to_string()))?;
    let regarding = event.get("regarding").and_then(Value::as_object);
    let regarding = regarding.ok_or_else(|| wrong("regarding is missing"))?;
    let about = involved(node, regarding).map_err(|reason| wrong(&reason))?;
    let reason = text_of(&event, "reason");
    if reason.is_empty() || reason.len() > MAX_REASON {
        return Err(wrong(&format!("reason is missing or longer than {MAX_REASON} bytes")));
    }
    let kind = match text_of(&event, "type") {
        "" => "Normal",
        kind @ ("Normal" | "Warning") => kind,
        other => return Err(wrong(&format!("type {other:?} is neither Normal nor Warning"))),
    };
    let component = match text_of(&event, "reportingController") {
        "" => "skerry.io/edgecore",
        name => name,
    };
    let identity = format!("{store_id}/{}", entry.seq);
    let said = Said { kind, reason, message: text_of(&event, "note"), component, node };
    let mut draft = draft(&about, &identity, &said, WallTime(entry.time_ms));
    for field in ["action", "related"] {
        if let (Some(value), Some(body)) =
            (event.get(field).filter(|value| !value.is_null()), draft.body.as_object_mut())
        {
            body.insert(field.to_owned(), value.clone());
        }
    }
    Ok(draft)
}

/// The Event of an object that an edge cannot apply. The same refusal of the same object makes the same Event.
pub(crate) fn rejected(node: &str, rejected: &Rejected, now: WallTime) -> Option<Draft> {
    if rejected.name.is_empty() || rejected.uid.is_empty() {
        return None;
    }
    let mut about = json!({
        "apiVersion": "v1", "kind": rejected.kind, "name": rejected.name, "uid": rejected.uid,
    });
    if let (false, Some(about)) = (rejected.namespace.is_empty(), about.as_object_mut()) {
        about.insert("namespace".to_owned(), Value::from(rejected.namespace.as_str()));
    }
    let message = format!("node {node} cannot apply this object: {}", rejected.reason);
    let said = Said {
        kind: "Warning",
        reason: "RejectedByEdge",
        message: &message,
        component: "skerry.io/cloudcore",
        node,
    };
    let identity = format!("{node}/{}/{}", rejected.uid, rejected.reason);
    Some(draft(&about, &identity, &said, now))
}

/// What an Event says.
struct Said<'a> {
    kind: &'a str,
    reason: &'a str,
    message: &'a str,
    component: &'a str,
    node: &'a str,
}

/// The object that an edge tells of: one of its pods, or its Node.
fn involved(node: &str, regarding: &Map<String, Value>) -> Result<Value, String> {
    let field = |name: &str| regarding.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace, name) = (field("kind"), field("namespace"), field("name"));
    match kind {
        "Node" if name != node => return Err(format!("regarding.name {name:?} is not the node, {node}")),
        "Pod" if namespace.is_empty() || name.is_empty() || field("uid").is_empty() => {
            return Err("regarding lacks namespace, name or uid".to_owned());
        }
        "Pod" | "Node" => {}
        _ => return Err(format!("regarding.kind {kind:?} is neither Pod nor Node")),
    }
    let mut about = json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": field("uid")});
    if let Some(about) = about.as_object_mut() {
        for key in ["namespace", "fieldPath"] {
            let value = if kind == "Node" { "" } else { field(key) };
            if !value.is_empty() {
                about.insert(key.to_owned(), Value::from(value));
            }
        }
    }
    Ok(about)
}

fn draft(about: &Value, identity: &str, said: &Said<'_>, at: WallTime) -> Draft {
    let namespace = match text_of(about, "namespace") {
        "" => CLUSTER_WIDE,
        namespace => namespace,
    };
    let namespace = namespace.to_owned();
    let hash = Version::of(identity.as_bytes()).to_string();
    let name = cut(text_of(about, "name"), MAX_NAME).trim_end_matches(['.', '-']);
    let name = format!("{name}.{}", cut(&hash, 16));
    let about_uid = text_of(about, "uid").to_owned();
    let body = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": about,
        "reason": said.reason,
        "message": cut(said.message, MAX_MESSAGE),
        "type": said.kind,
        "count": 1,
        "firstTimestamp": at.rfc3339(),
        "lastTimestamp": at.rfc3339(),
        "source": {"component": said.component, "host": said.node},
        "reportingComponent": said.component,
        "reportingInstance": said.node,
    });
    Draft { namespace, about: about_uid, body }
}

fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The text, cut at a character's border.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}
