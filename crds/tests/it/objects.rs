//! Objects go through the types and come out as they went in.

use std::fs;
use std::path::Path;

use crds::devices::{Device, DeviceModel, DeviceStatus, device_model};
use k8s_openapi::{Metadata, Resource};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::schema::{Field, kubeedge, steps};

/// Reads an object as its kind and writes it again.
fn through(object: &Value) -> Result<Value, serde_json::Error> {
    fn one<K: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, serde_json::Error> {
        // By way of text, as objects arrive.
        serde_json::to_value(serde_json::from_str::<K>(&object.to_string())?)
    }
    match object["kind"].as_str() {
        Some("Device") => one::<Device>(object),
        Some("DeviceModel") => one::<DeviceModel>(object),
        Some("DeviceStatus") => one::<DeviceStatus>(object),
        other => panic!("no such kind: {other:?}"),
    }
}

/// A value for a field: one that says something, or the one that a lazy writer would leave out.
fn value(field: &Field, zero: bool) -> Value {
    let word = field.flag("enum").and_then(|words| words.split(',').next());
    match field.of_type {
        "string" => word.map_or_else(|| json!(if zero { "" } else { "grün" }), Value::from),
        "integer" => json!(if zero { 0 } else { i32::MAX }),
        "boolean" => json!(!zero),
        "array" => json!([]),
        "object" if field.is("any-fields") && !zero => json!({ "n": 1.5, "list": [1, null, { "a": "b" }] }),
        _ => json!({}),
    }
}

/// An object of a kind that sets every field of KubeEdge's.
fn full(kind: &str, zero: bool) -> Value {
    let mut object = json!({
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": kind,
        "metadata": { "name": "full" },
    });
    for field in kubeedge().iter().filter(|field| field.kind == kind) {
        let place = steps(field.path).into_iter().fold(&mut object, |here, step| match step {
            "[]" => {
                let items = here.as_array_mut().unwrap();
                items.extend(items.is_empty().then(|| json!({})));
                &mut items[0]
            }
            "{*}" => &mut here["key"],
            name => &mut here[name],
        });
        *place = value(field, zero);
    }
    object
}

#[test]
fn every_field_comes_back() {
    for kind in ["Device", "DeviceModel", "DeviceStatus"] {
        for zero in [false, true] {
            let object = full(kind, zero);
            assert_eq!(through(&object).unwrap(), object, "{kind}");
        }
    }
}

#[test]
fn a_bare_object_gains_nothing() {
    for kind in ["Device", "DeviceModel", "DeviceStatus"] {
        let object = json!({
            "apiVersion": "devices.kubeedge.io/v1beta1",
            "kind": kind,
            "metadata": { "name": "bare" },
        });
        assert_eq!(through(&object).unwrap(), object);
    }
}

#[test]
fn samples_come_back() {
    let mut seen = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).unwrap();
            assert_eq!(through(&object).unwrap(), object);
            seen += 1;
        }
    }
    assert!(seen > 5, "the samples were not found");
}

#[test]
fn numbers_keep_every_digit() {
    let text = r#"{"a":9007199254740993,"b":-9223372036854775808,"c":18446744073709551615,"d":0.1,"e":5e-324,"f":16777217,"g":1.7976931348623157e+308,"h":0.30000000000000004}"#;
    let data: Map<String, Value> = serde_json::from_str(text).unwrap();
    let mut object = full("Device", false);
    object["spec"]["protocol"]["configData"] = Value::Object(data.clone());
    object["spec"]["properties"][0]["visitors"]["configData"] = Value::Object(data.clone());
    // What is beside the known fields of a status goes another way through serde.
    object["status"]["twins"] = Value::Object(data);
    let device: Device = serde_json::from_str(&object.to_string()).unwrap();
    let written = serde_json::to_string(&device).unwrap();
    assert_eq!(written.matches(text.trim_matches(['{', '}'])).count(), 3, "{written}");
}

#[test]
fn another_version_or_kind_is_refused_by_name() {
    let old = json!({ "apiVersion": "devices.kubeedge.io/v1alpha2", "kind": "Device", "metadata": {} });
    let error = through(&old).unwrap_err().to_string();
    assert!(error.contains("unknown variant `devices.kubeedge.io/v1alpha2`"), "{error}");
    let model = full("DeviceModel", false).to_string();
    let error = serde_json::from_str::<Device>(&model).unwrap_err().to_string();
    assert!(error.contains("unknown variant `DeviceModel`"), "{error}");
}

#[test]
fn a_word_from_a_later_version_is_kept_as_it_is() {
    let mut object = full("DeviceModel", false);
    object["spec"]["properties"][0]["type"] = json!("MATRIX");
    object["spec"]["properties"][0]["accessMode"] = json!("WriteOnly");
    let model: DeviceModel = serde_json::from_value(object.clone()).unwrap();
    let property = &model.spec.as_ref().unwrap().properties.as_ref().unwrap()[0];
    assert_eq!(property.data_type, Some(device_model::DataType::Other("MATRIX".to_owned())));
    assert_eq!(property.access_mode, Some(device_model::AccessMode::Other("WriteOnly".to_owned())));
    assert_eq!(serde_json::to_value(&model).unwrap(), object);
}

#[test]
fn clients_find_the_kinds_where_they_are() {
    fn one<K: Resource + Metadata + DeserializeOwned + Serialize>(plural: &str) {
        let object = full(K::KIND, false);
        let kind: K = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(K::API_VERSION, object["apiVersion"]);
        assert_eq!(K::API_VERSION, format!("{}/{}", K::GROUP, K::VERSION));
        assert_eq!(K::URL_PATH_SEGMENT, plural);
        drop(kind);
    }
    one::<Device>("devices");
    one::<DeviceModel>("devicemodels");
    one::<DeviceStatus>("devicestatuses");
}
