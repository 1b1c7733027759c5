//! What is documented and drawn of metrics is what is registered.

use std::collections::BTreeSet;
use std::fs;

use crate::tidy::source::{files, none};
use crate::tree::root;

/// Where metrics are named for people.
const NAMED: [&str; 2] = ["docs/dashboards/skerry.json", "docs/metrics.md"];

/// What Prometheus adds to the name of a counter or histogram.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// Every word that begins as our metrics do.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("skerry_"))
        .map(|word| SUFFIXES.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word))
        .collect()
}

/// Names in the crates that ship: each stands as a whole string where it is registered.
fn registered() -> BTreeSet<String> {
    let ships = |path: &str| ["libs/", "edgecore/", "cloudcore/"].iter().any(|top| path.starts_with(top));
    let metrics = files().into_iter().filter(|file| ships(&file.path) && file.path.ends_with("metrics.rs"));
    let quoted = metrics.flat_map(|file| file.text.split('"').map(str::to_owned).collect::<Vec<_>>());
    let plain = |text: &String| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    quoted.filter(|text| text.starts_with("skerry_") && plain(text)).collect()
}

#[test]
fn the_dashboard_and_the_documentation_name_what_there_is() {
    let registered = registered();
    assert!(registered.len() > 20, "the metrics were not found");
    let mut complaints = Vec::new();
    for path in NAMED {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let unknown = named(&text).into_iter().filter(|name| !registered.contains(*name));
        complaints.extend(unknown.map(|name| format!("{path}: {name} is not registered")));
    }
    none("A dashboard shows metrics that exist", &complaints);
}

#[test]
fn every_metric_is_documented() {
    let text = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let documented = named(&text);
    let missing = registered().into_iter().filter(|name| !documented.contains(name.as_str()));
    none("docs/metrics.md tells what each metric is", &missing.collect::<Vec<_>>());
}

#[test]
fn the_dashboard_is_json() {
    let text = fs::read_to_string(root().join("docs/dashboards/skerry.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let drawn = panels.iter().filter(|panel| panel["type"] != "row");
    let empty = drawn.filter(|panel| panel["targets"].as_array().is_none_or(Vec::is_empty));
    none("A panel shows something", &empty.map(|panel| panel["title"].to_string()).collect::<Vec<_>>());
}
