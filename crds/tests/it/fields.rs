//! Whatever KubeEdge's definitions accept, ours accept: the same fields of the same types.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::schema::{Field, at, committed, kubeedge, paths};

const KINDS: [&str; 3] = ["Device", "DeviceModel", "DeviceStatus"];

/// Fields that KubeEdge does not have, or has no more.
const OURS: [&str; 2] = ["Device .status.lastOnlineTime", "Device .status.state"];

/// What is refused here and not by KubeEdge's definitions: what nobody means (a name twice, a range without a value, a
/// quality of service that MQTT lacks), and models and numbers longer than any that are in use.
const STRICTER: [&str; 10] = [
    "Device .spec.properties x-kubernetes-list-type",
    "Device .spec.properties[].pushMethod.http.port maximum",
    "Device .spec.properties[].pushMethod.http.port minimum",
    "Device .spec.properties[].pushMethod.mqtt.qos maximum",
    "Device .spec.properties[].pushMethod.mqtt.qos minimum",
    "DeviceModel .spec.properties maxItems",
    "DeviceModel .spec.properties x-kubernetes-list-type",
    "DeviceModel .spec.properties[] x-kubernetes-validations",
    "DeviceModel .spec.properties[].maximum maxLength",
    "DeviceModel .spec.properties[].minimum maxLength",
];

/// Keywords that accept no less than a schema without them.
const HARMLESS: [&str; 12] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "properties",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
];

/// What is wrong with the schema of a field of KubeEdge's.
fn complaint(field: &Field, schema: &Value) -> Option<String> {
    let Some((here, parent)) = at(schema, field.path) else { return Some("is missing".to_owned()) };
    let name = field.path.rsplit('.').next().unwrap();
    let required = parent["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
    let words: Option<Vec<Value>> = field.flag("enum").map(|all| all.split(',').map(Value::from).collect());
    let expected = [
        ("type", json!(field.of_type), here["type"].clone()),
        ("required", json!(field.is("required")), json!(required)),
        ("enum", json!(words), here["enum"].clone()),
        ("any fields", json!(field.is("any-fields")), any_fields(here)),
    ];
    let atomic =
        field.is("atomic").then(|| ("atomic", json!("atomic"), here["x-kubernetes-map-type"].clone()));
    // KubeEdge has some integers without a format; ours say of how many bits they are, as Go's are.
    let format = field.flag("format").map(|format| ("format", json!(format), here["format"].clone()));
    let default = field.flag("default").map(|value| ("default", json!(value), here["default"].clone()));
    let mut all = expected.into_iter().chain(atomic).chain(format).chain(default);
    all.find(|(_, theirs, ours)| theirs != ours)
        .map(|(what, theirs, ours)| format!("{what}: {theirs}, ours {ours}"))
}

fn any_fields(schema: &Value) -> Value {
    json!(schema["x-kubernetes-preserve-unknown-fields"] == true)
}

#[test]
fn every_field_of_kubeedges_is_there_with_its_type() {
    let mut complaints = Vec::new();
    for kind in KINDS {
        let schema = committed(kind);
        for field in kubeedge().iter().filter(|field| field.kind == kind) {
            complaints.extend(complaint(field, &schema).map(|what| format!("{kind} {}: {what}", field.path)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn fields_of_ours_are_known() {
    let theirs: BTreeSet<String> = kubeedge().iter().map(|f| format!("{} {}", f.kind, f.path)).collect();
    let mut ours = Vec::new();
    for kind in KINDS {
        let schema = committed(kind);
        ours.extend(paths(&schema).into_iter().map(|(path, _)| format!("{kind} {path}")));
    }
    ours.retain(|path| !theirs.contains(path));
    ours.sort();
    assert_eq!(ours, OURS);
}

#[test]
fn what_is_stricter_than_kubeedges_is_known() {
    let mut stricter = Vec::new();
    for kind in KINDS {
        let schema = committed(kind);
        for (path, here) in paths(&schema) {
            let keywords = here.as_object().unwrap().keys().filter(|name| !HARMLESS.contains(&name.as_str()));
            stricter.extend(keywords.map(|name| format!("{kind} {path} {name}")));
        }
    }
    stricter.sort();
    assert_eq!(stricter, STRICTER);
}
