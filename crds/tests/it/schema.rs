//! Finds the way through the committed definitions and through KubeEdge's fields.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A field that KubeEdge's definitions have; see `kubeedge-v1beta1.txt`.
pub(crate) struct Field {
    pub(crate) kind: &'static str,
    pub(crate) path: &'static str,
    pub(crate) of_type: &'static str,
    pub(crate) flags: Vec<&'static str>,
}

impl Field {
    /// Whether a flag without a value is there.
    pub(crate) fn is(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// What stands behind a flag's `=`.
    pub(crate) fn flag(&self, name: &str) -> Option<&'static str> {
        self.flags.iter().find_map(|flag| flag.strip_prefix(name)?.strip_prefix('='))
    }
}

pub(crate) fn kubeedge() -> Vec<Field> {
    let lines = include_str!("kubeedge-v1beta1.txt").lines().filter(|line| !line.starts_with('#'));
    let field = |line: &'static str| {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        Field { kind: word(), path: word(), of_type: word(), flags: words.collect() }
    };
    let fields: Vec<Field> = lines.map(field).collect();
    assert!(fields.len() > 100, "the list was not found");
    fields
}

/// The committed schema of a kind; `xtask check` keeps it what the types say.
pub(crate) fn committed(kind: &str) -> Value {
    let plural = match kind {
        "DeviceStatus" => "devicestatuses".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("devices.kubeedge.io_{plural}.yaml"));
    let definition: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// A step of a path: a field by its name, `[]` for items of a list, `{*}` for values of a map.
pub(crate) fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    for part in path.split('.').skip(1) {
        let name = part.trim_end_matches("[]").trim_end_matches("{*}");
        steps.push(name);
        steps.extend(["[]", "{*}"].iter().filter(|end| part.ends_with(*end)));
    }
    steps
}

/// The schema of what is at a path, with the schema that it is a field of.
pub(crate) fn at<'a>(schema: &'a Value, path: &str) -> Option<(&'a Value, &'a Value)> {
    let (mut parent, mut here) = (schema, schema);
    for step in steps(path) {
        let below = match step {
            "[]" => here.get("items"),
            "{*}" => here.get("additionalProperties"),
            name => here.get("properties").and_then(|all| all.get(name)),
        };
        (parent, here) = (here, below?);
    }
    Some((here, parent))
}

/// Every path below `spec` and `status`, with its schema.
pub(crate) fn paths(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for top in ["spec", "status"] {
        if let Some(below) = schema["properties"].get(top) {
            collect(format!(".{top}"), below, &mut found);
        }
    }
    found
}

fn collect<'a>(path: String, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        collect(format!("{path}.{name}"), below, found);
    }
    for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{*}")] {
        if let Some(below) = schema.get(keyword) {
            collect(format!("{path}{mark}"), below, found);
        }
    }
    found.push((path, schema));
}
