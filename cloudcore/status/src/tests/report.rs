//! What may be reported.

use serde_json::json;

use super::incoming;
use crate::report::read;

#[test]
fn a_report_names_what_is_wrong_with_it() {
    let status = json!({"status": {"phase": "Running"}});
    let refused = |report| read("edge-1", report).unwrap_err();
    assert!(refused(incoming("Secret", "default", "s", "u", &status)).contains("\"Secret\""));
    assert!(refused(incoming("Node", "", "edge-2", "u", &status)).contains("edge-2"));
    assert!(refused(incoming("Pod", "default", "web", "", &status)).contains("Pod default/web"));
    assert!(refused(incoming("Pod", "default", "web", "u", &json!({}))).contains("status is missing"));
    let unnamed = json!({"status": {"containerStatuses": [{"ready": true}]}});
    assert!(refused(incoming("Pod", "default", "web", "u", &unnamed)).contains("status.containerStatuses"));
    for phase in [json!("Flying"), json!(3)] {
        let odd = json!({"status": {"phase": phase}});
        assert!(refused(incoming("Pod", "default", "web", "u", &odd)).contains("status.phase"));
    }
    let labels = json!({"status": {}, "labels": {"a": 1}});
    assert!(refused(incoming("Node", "", "edge-1", "", &labels)).contains("labels"));
    let mut damaged = incoming("Pod", "default", "web", "u", &status);
    damaged.body.as_mut().unwrap().length += 1;
    assert!(refused(damaged).contains("Pod default/web"));
    let mut bare = incoming("Pod", "default", "web", "u", &status);
    bare.body = None;
    assert!(refused(bare).contains("no body"));
}

#[test]
fn what_names_an_object_is_bounded() {
    let status = json!({"status": {"phase": "Running"}});
    let (most, long) = ("x".repeat(253), "x".repeat(254));
    assert!(read("edge-1", incoming("Pod", &most, &most, &most, &status)).is_ok());
    for (field, [kind, namespace, name, uid]) in [
        ("kind", [long.as_str(), "default", "web", "u"]),
        ("namespace", ["Pod", &long, "web", "u"]),
        ("name", ["Pod", "default", &long, "u"]),
        ("uid", ["Pod", "default", "web", &long]),
        ("uid", ["Node", "", "edge-1", &long]),
    ] {
        let reason = read("edge-1", incoming(kind, namespace, name, uid, &status)).unwrap_err();
        assert!(reason.starts_with(field) && reason.len() < 100, "{reason}");
    }
}

#[test]
fn only_a_pod_can_be_gone() {
    let body = json!({"deleted": true, "status": {}});
    assert!(read("edge-1", incoming("Pod", "default", "web", "u", &body)).unwrap().deleted);
    assert!(!read("edge-1", incoming("Node", "", "edge-1", "u", &body)).unwrap().deleted);
}
