//! Journal entries and refusals become Events. Pure.

use kit::WallTime;
use serde_json::{Map, Value, json};
use wire::{Kind, Version};

/// Longest note, in bytes, as the API has it.
const MAX_NOTE: usize = 1024;
/// Longest reason and action.
const MAX_WORD: usize = 128;
/// What reports as long as the edge says nothing else.
const CONTROLLER: &str = "skerry.io/edgecore";

/// An Event, ready to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Namespace it is created in.
    pub namespace: String,
    /// The object.
    pub object: Value,
}

/// Of what an Event is, for the check that the node may speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regarding {
    /// Kind; only `Pod` and `Node` may be spoken of.
    pub kind: Kind,
    /// Name.
    pub name: String,
    /// UID; empty where the edge does not know it.
    pub uid: String,
}

/// Reads an entry of the stream `events`. The name is made of the store's id and the sequence number, so that an
/// entry sent twice makes one Event.
pub fn of_entry(
    body: &Value,
    node: &str,
    store_id: &str,
    seq: u64,
    time_ms: i64,
) -> Result<(Event, Regarding), String> {
    let text =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let about = body.get("regarding").filter(|about| about.is_object()).ok_or("regarding is no object")?;
    let kind = match text(about, "kind").as_str() {
        "Pod" => Kind::Pod,
        "Node" => Kind::Node,
        other => {
            return Err(format!("regarding.kind is {other:?}, and a node speaks of Pods and its Node only"));
        }
    };
    let regarding = Regarding { kind, name: text(about, "name"), uid: text(about, "uid") };
    let namespace = text(about, "namespace");
    let reason = text(body, "reason");
    if regarding.name.is_empty() || reason.is_empty() {
        return Err("regarding.name or reason is missing".to_owned());
    }
    if (kind == Kind::Node) != namespace.is_empty() {
        return Err(format!("regarding.namespace is {namespace:?}, which does not fit a {kind}"));
    }
    let or = |value: String, other: &str| if value.is_empty() { other.to_owned() } else { value };
    let mut object = Map::new();
    object.insert("regarding".to_owned(), about.clone());
    if let Some(related) = body.get("related").filter(|related| related.is_object()) {
        object.insert("related".to_owned(), related.clone());
    }
    let kind_of_event = if text(body, "type") == "Warning" { "Warning" } else { "Normal" };
    object.insert("type".to_owned(), Value::from(kind_of_event));
    object.insert("action".to_owned(), Value::from(cut(&or(text(body, "action"), &reason), MAX_WORD)));
    object.insert("reason".to_owned(), Value::from(cut(&reason, MAX_WORD)));
    object.insert("note".to_owned(), Value::from(cut(&text(body, "note"), MAX_NOTE)));
    object.insert(
        "reportingController".to_owned(),
        Value::from(or(text(body, "reportingController"), CONTROLLER)),
    );
    let id = format!("{store_id}/{seq}");
    Ok((finish(object, &regarding.name, &namespace, &id, node, WallTime(time_ms)), regarding))
}

/// The Event that says that an edge cannot apply an object.
pub fn of_rejection(rejected: &wire::Rejected, node: &str, now: WallTime) -> Event {
    let mut object = Map::new();
    let mut about =
        json!({"apiVersion": "v1", "kind": rejected.kind, "name": rejected.name, "uid": rejected.uid});
    if !rejected.namespace.is_empty() {
        about["namespace"] = Value::from(rejected.namespace.as_str());
    }
    let note = format!("node {node} cannot apply this {}: {}", rejected.kind, rejected.reason);
    object.insert("regarding".to_owned(), about);
    object.insert("type".to_owned(), Value::from("Warning"));
    object.insert("action".to_owned(), Value::from("Apply"));
    object.insert("reason".to_owned(), Value::from("RejectedByEdge"));
    object.insert("note".to_owned(), Value::from(cut(&note, MAX_NOTE)));
    object.insert("reportingController".to_owned(), Value::from(CONTROLLER));
    let id = format!("{node}/{}/{}/{}", rejected.kind, rejected.uid, now.0);
    finish(object, &rejected.name, &rejected.namespace, &id, node, now)
}

fn finish(
    mut object: Map<String, Value>,
    about: &str,
    namespace: &str,
    id: &str,
    node: &str,
    time: WallTime,
) -> Event {
    // Events of what has no namespace live in `default`.
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    let hash = Version::of(id.as_bytes()).to_string();
    let name = format!("{}.{}", cut(about, 200), cut(&hash, 16));
    object.insert("apiVersion".to_owned(), Value::from("events.k8s.io/v1"));
    object.insert("kind".to_owned(), Value::from("Event"));
    object.insert("metadata".to_owned(), json!({"name": name, "namespace": namespace}));
    object.insert("reportingInstance".to_owned(), Value::from(cut(node, MAX_WORD)));
    let seconds = time.rfc3339();
    let micros = time.0.rem_euclid(1000) * 1000;
    object.insert(
        "eventTime".to_owned(),
        Value::from(format!("{}.{micros:06}Z", seconds.trim_end_matches('Z'))),
    );
    Event { namespace: namespace.to_owned(), object: Value::Object(object) }
}

/// At most so many bytes, never half a character.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_sent_twice_has_one_name() {
        let body = json!({"regarding": {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u"},
            "reason": "Started", "note": "ä".repeat(2000), "type": "Odd"});
        let (first, regarding) = of_entry(&body, "n", "store", 7, 1_500).unwrap();
        let (second, _) = of_entry(&body, "n", "store", 7, 1_500).unwrap();
        assert_eq!(first, second);
        assert_ne!(first, of_entry(&body, "n", "store", 8, 1_500).unwrap().0);
        assert_eq!((first.namespace.as_str(), regarding.uid.as_str()), ("ns", "u"));
        assert_eq!(first.object["eventTime"], "1970-01-01T00:00:01.500000Z");
        assert_eq!(
            (first.object["type"].as_str(), first.object["action"].as_str()),
            (Some("Normal"), Some("Started"))
        );
        assert_eq!(first.object["note"].as_str().map(str::len), Some(1024));
    }

    #[test]
    fn a_node_speaks_of_pods_and_nodes_only() {
        for about in [
            json!({"kind": "Secret", "namespace": "n", "name": "s"}),
            json!({"kind": "Pod", "name": "p"}),
            json!({"kind": "Node", "namespace": "x", "name": "n"}),
            json!(7),
        ] {
            assert!(of_entry(&json!({"regarding": about, "reason": "R"}), "n", "s", 1, 0).is_err());
        }
    }
}
