//! Schemas come out as the API server takes them, and fail loudly where they would not.

use serde_json::json;

use super::{definitions, structural};

#[test]
fn null_is_absence_and_nothing_more() {
    let schema = json!({
        "type": "object",
        "title": "Thing",
        "properties": {
            "size": { "type": ["integer", "null"], "format": "int64", "default": null },
            "colour": { "type": ["string", "null"], "enum": ["red", "blue", null] },
            "part": { "type": ["object", "null"], "default": {}, "properties": { "name": { "type": "string" } } },
        },
    });
    let expected = json!({
        "type": "object",
        "properties": {
            "size": { "type": "integer", "format": "int64" },
            "colour": { "type": "string", "enum": ["red", "blue"] },
            "part": { "type": "object", "properties": { "name": { "type": "string" } } },
        },
    });
    assert_eq!(structural::of(&schema).unwrap(), expected);
}

#[test]
fn described_words_become_one_list_and_the_fields_description_stays() {
    let words = json!({
        "description": "of the type",
        "oneOf": [{ "const": "INT", "description": "whole" }, { "type": "string", "enum": ["FLOAT", "DOUBLE"] }],
    });
    let schema = json!({ "description": "of the\nfield\n\nmore", "anyOf": [words, { "type": "null" }] });
    let expected = json!({
        "description": "of the field\n\nmore",
        "type": "string",
        "enum": ["INT", "FLOAT", "DOUBLE"],
    });
    assert_eq!(structural::of(&schema).unwrap(), expected);
}

#[test]
fn what_has_no_counterpart_is_named_with_its_place() {
    let inner = json!({ "type": "object", "properties": { "b": { "$ref": "#/$defs/B" } } });
    let schema = json!({ "type": "object", "properties": { "a": { "type": "array", "items": inner } } });
    let error = structural::of(&schema).unwrap_err();
    assert_eq!(error.to_string(), ".properties.a.items.properties.b: `$ref` has no counterpart");
    assert!(structural::of(&json!({ "type": ["string", "integer"] })).is_err());
    assert!(structural::of(&json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] })).is_err());
    assert!(structural::of(&json!({ "oneOf": [{ "type": "string" }] })).is_err());
    assert!(structural::of(&json!(true)).is_err());
}

#[test]
fn nobody_loses_a_status_to_a_subresource() {
    for definition in definitions().unwrap() {
        let version = &definition.object["spec"]["versions"][0];
        assert!(version.get("subresources").is_none(), "{}", definition.name);
    }
}
