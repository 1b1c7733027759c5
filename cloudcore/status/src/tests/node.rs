//! Plans for Nodes.

use kit::WallTime;
use serde_json::{Value, json};

use super::{apply, condition, node_report};
use crate::plan::{Step, Write, plan};
use crate::report::Reported;

const NOW: WallTime = WallTime(1_000_000);

fn step(current: Option<&Value>, reported: &Reported, done: &[Write]) -> Step {
    plan("edge-1", current, reported, done, NOW)
}

fn ready(status: &str) -> Value {
    json!({"type": "Ready", "status": status, "reason": "KubeletReady"})
}

fn shown(status: &Value) -> Value {
    json!({
        "metadata": {"name": "edge-1", "uid": "n1", "resourceVersion": "7",
            "labels": {"node-role.kubernetes.io/edge": ""}},
        "status": status,
    })
}

#[test]
fn a_node_that_is_not_there_is_registered_with_what_it_may_say_of_itself() {
    let reported = node_report(
        "",
        &json!({
            "labels": {
                "kubernetes.io/hostname": "edge-1", "node-role.kubernetes.io/edge": "", "site": "north",
                "node-restriction.kubernetes.io/x": "y", "topology.kubernetes.io/zone": "z",
                "node.kubernetes.io/speed": "fast", "evil.k8s.io/x": "y", "notk8s.io/x": "y",
            },
            "annotations": {"skerry.io/version": "1"},
            "status": {"conditions": [ready("True")], "capacity": {"cpu": "2"}},
        }),
    );
    let Step::Write(Write::Create, node) = step(None, &reported, &[]) else { panic!() };
    let labels: Vec<&String> = node["metadata"]["labels"].as_object().unwrap().keys().collect();
    let allowed = [
        "kubernetes.io/hostname",
        "node.kubernetes.io/speed",
        "notk8s.io/x",
        "site",
        "topology.kubernetes.io/zone",
    ];
    assert_eq!(labels, allowed);
    assert_eq!(node["metadata"]["annotations"]["skerry.io/version"], "1");
    assert_eq!(node["status"]["capacity"]["cpu"], "2");
    let condition = condition(&node, "Ready").unwrap();
    assert_eq!(condition["lastTransitionTime"], NOW.rfc3339());
    assert_eq!(condition["lastHeartbeatTime"], NOW.rfc3339());
    // As the API server shows it then: the role is missing, and only that.
    let mut made = node;
    made["metadata"]["uid"] = json!("n1");
    let Step::Write(Write::Role, patch) = step(Some(&made), &reported, &[Write::Create]) else { panic!() };
    assert_eq!(step(Some(&apply(&made, &patch)), &reported, &[Write::Create]), Step::Done);
}

#[test]
fn a_node_that_was_deleted_is_not_made_again_by_an_old_report() {
    let reported = node_report("n1", &json!({"status": {}}));
    assert!(matches!(step(None, &reported, &[]), Step::Refuse(reason) if reason.contains("n1")));
    let mut successor = shown(&json!({}));
    successor["metadata"]["uid"] = json!("n2");
    assert!(matches!(step(Some(&successor), &reported, &[]), Step::Refuse(reason) if reason.contains("n2")));
}

#[test]
fn what_node_lifecycle_said_in_the_silence_is_put_right() {
    let current = shown(&json!({"conditions": [
        {"type": "NetworkUnavailable", "status": "False"},
        {"type": "skerry.io/Connected", "status": "False"},
        {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped",
            "lastHeartbeatTime": "1970-01-01T00:01:00Z", "lastTransitionTime": "1970-01-01T00:02:00Z"},
        {"type": "DiskPressure", "status": "False",
            "lastHeartbeatTime": "1970-01-01T00:01:00Z", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}));
    let disk = json!({"type": "DiskPressure", "status": "False"});
    let reported = node_report("n1", &json!({"status": {"conditions": [ready("True"), disk]}}));
    let Step::Write(Write::Status, patch) = step(Some(&current), &reported, &[]) else { panic!() };
    assert_eq!(patch["metadata"], json!({"uid": "n1", "resourceVersion": "7"}));
    let after = apply(&current, &patch);
    let ready = condition(&after, "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!("KubeletReady")));
    assert_eq!(ready["lastTransitionTime"], NOW.rfc3339());
    assert_eq!(ready.get("message"), None);
    let disk = condition(&after, "DiskPressure").unwrap();
    assert_eq!(disk["lastTransitionTime"], "1970-01-01T00:00:00Z", "its status did not change");
    assert_eq!(disk["lastHeartbeatTime"], NOW.rfc3339());
    assert!(condition(&after, "NetworkUnavailable").is_some());
    assert!(condition(&after, "skerry.io/Connected").is_some(), "whose it is puts it right");
    let later = plan("edge-1", Some(&after), &reported, &[], NOW.plus_millis(60_000));
    assert_eq!(later, Step::Done, "time alone writes nothing");
}

#[test]
fn resources_that_others_advertise_stay() {
    let current = shown(&json!({"capacity": {"cpu": "2", "example.com/dongle": "1", "old": "1"}}));
    let reported = node_report("n1", &json!({"status": {"capacity": {"cpu": "4"}}}));
    let Step::Write(Write::Status, patch) = step(Some(&current), &reported, &[]) else { panic!() };
    assert_eq!(apply(&current, &patch)["status"]["capacity"], json!({"cpu": "4", "example.com/dongle": "1"}));
}

#[test]
fn labels_of_people_stay_and_those_of_the_edge_are_set() {
    let mut current = shown(&json!({}));
    current["metadata"]["labels"]["mine"] = json!("x");
    let reported = node_report("n1", &json!({"labels": {"site": "north"}, "status": {}}));
    let Step::Write(Write::Metadata, patch) = step(Some(&current), &reported, &[]) else { panic!() };
    let metadata = json!({"uid": "n1", "resourceVersion": "7", "labels": {"site": "north"}});
    assert_eq!(patch, json!({ "metadata": metadata }));
    let after = apply(&current, &patch);
    assert_eq!(after["metadata"]["labels"]["mine"], "x");
    assert_eq!(step(Some(&after), &reported, &[]), Step::Done);
}
