//! Events.

use kit::WallTime;
use serde_json::{Value, json};
use wire::{Body, Entry, Rejected};

use crate::event::{Draft, entry, rejected};

fn packed(body: &Value) -> Body {
    Body::pack(body.to_string().as_bytes()).unwrap()
}

fn of(seq: u64, body: &Value) -> Result<Draft, String> {
    let body = Some(packed(body));
    let from =
        Entry { seq, stream: "events".into(), time_ms: 1_001_000, priority: 5, expires_after_ms: 0, body };
    entry("edge-1", "store-a", &from)
}

fn started() -> Value {
    json!({
        "regarding": {"kind": "Pod", "namespace": "shop", "name": "web", "uid": "u1", "fieldPath": "spec.containers{c}"},
        "reason": "Started", "note": "Started container c", "type": "Normal",
    })
}

#[test]
fn an_entry_becomes_an_event_of_the_object() {
    let draft = of(7, &started()).unwrap();
    assert_eq!((draft.namespace.as_str(), draft.about.as_str()), ("shop", "u1"));
    assert_eq!(draft.body["involvedObject"]["fieldPath"], "spec.containers{c}");
    assert_eq!(draft.body["message"], "Started container c");
    assert_eq!(draft.body["lastTimestamp"], "1970-01-01T00:16:41Z");
    assert_eq!(draft.body["source"]["host"], "edge-1");
    assert!(draft.body["metadata"]["name"].as_str().unwrap().starts_with("web."));
}

#[test]
fn sent_twice_it_is_the_same_event_and_never_another_ones() {
    let name = |seq| of(seq, &started()).unwrap().body["metadata"]["name"].clone();
    assert_eq!(name(7), name(7));
    assert_ne!(name(7), name(8));
    let other = Entry { seq: 7, body: Some(packed(&started())), ..Entry::default() };
    let other = entry("edge-1", "store-b", &other).unwrap();
    assert_ne!(other.body["metadata"]["name"], name(7), "another store counts for itself");
}

#[test]
fn an_event_of_the_node_lives_in_the_namespace_default() {
    let mut body = started();
    body["regarding"] = json!({"kind": "Node", "name": "edge-1", "uid": "n1", "namespace": "kube-system"});
    let draft = of(1, &body).unwrap();
    assert_eq!(draft.namespace, "default");
    assert_eq!(draft.body["involvedObject"].get("namespace"), None);
}

#[test]
fn what_is_no_event_is_refused_by_field() {
    let with = |pointer: &str, value: Value| {
        let mut body = started();
        *body.pointer_mut(pointer).unwrap() = value;
        of(9, &body).unwrap_err()
    };
    assert!(with("/regarding", json!(7)).contains("entry 9: regarding"));
    assert!(with("/regarding/kind", json!("Secret")).contains("regarding.kind"));
    assert!(with("/regarding/uid", json!("")).contains("uid"));
    assert!(with("/reason", json!("x".repeat(129))).contains("reason"));
    assert!(with("/type", json!("Loud")).contains("type"));
    let mut body = started();
    body["regarding"] = json!({"kind": "Node", "name": "edge-2"});
    assert!(of(9, &body).unwrap_err().contains("regarding.name"));
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let mut body = started();
    body["note"] = json!("ä".repeat(1000));
    body["regarding"]["name"] = json!("n".repeat(253));
    let draft = of(1, &body).unwrap();
    assert_eq!(draft.body["message"].as_str().unwrap().len(), 1024);
    assert!(draft.body["metadata"]["name"].as_str().unwrap().len() <= 253);
}

#[test]
fn the_same_rejection_is_told_once() {
    let refused = Rejected {
        kind: "Pod".into(),
        namespace: "shop".into(),
        name: "web".into(),
        uid: "u1".into(),
        reason: "spec.hostUsers is not honoured".into(),
    };
    let (first, second) =
        (rejected("edge-1", &refused, WallTime(0)), rejected("edge-1", &refused, WallTime(9000)));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.body["metadata"], second.body["metadata"]);
    assert!(first.body["message"].as_str().unwrap().contains("spec.hostUsers"));
    let other = rejected("edge-2", &refused, WallTime(0)).unwrap();
    assert_ne!(other.body["metadata"], first.body["metadata"]);
}
