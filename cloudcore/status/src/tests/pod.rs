//! Plans for pods.

use kit::WallTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::owned::POD_FIELDS;

use super::{apply, condition, pod_report};
use crate::plan::{Step, Write, plan};
use crate::report::Reported;

fn shown(status: &Value) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u1", "resourceVersion": "7"},
        "spec": {"nodeName": "edge-1"},
        "status": status,
    })
}

fn step(current: Option<&Value>, reported: &Reported, done: &[Write]) -> Step {
    plan("edge-1", current, reported, done, WallTime(0))
}

/// The status patch that must be next, applied.
fn patched(current: &Value, reported: &Reported) -> Value {
    let next = step(Some(current), reported, &[]);
    let Step::Write(Write::Status, patch) = next else { panic!("{next:?}") };
    assert_eq!(patch["metadata"], json!({"uid": "u1", "resourceVersion": "7"}));
    apply(current, &patch)
}

#[test]
fn what_the_edge_owns_is_replaced_and_the_rest_stays() {
    let current = shown(&json!({
        "phase": "Pending", "qosClass": "Burstable", "reason": "Waiting", "nominatedNodeName": "x",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "lastProbeTime": null, "reason": "ContainersNotReady"},
            {"type": "example.com/gate", "status": "True"},
            {"type": "Initialized", "status": "True"}],
        "containerStatuses": [{"name": "a"}, {"name": "b"}],
    }));
    let reported = pod_report(&json!({"status": {
        "phase": "Running", "qosClass": "Guaranteed",
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "PodScheduled", "status": "False"}],
        "containerStatuses": [{"name": "a", "ready": true}],
    }}));
    let after = patched(&current, &reported);
    assert_eq!(after["status"]["phase"], "Running");
    assert_eq!(after["status"]["qosClass"], "Burstable");
    assert_eq!(after["status"]["nominatedNodeName"], "x");
    assert_eq!(after["status"].get("reason"), None, "what is left out is removed");
    assert_eq!(after["status"]["containerStatuses"], json!([{"name": "a", "ready": true}]));
    assert_eq!(condition(&after, "PodScheduled").unwrap()["status"], "True");
    assert_eq!(condition(&after, "example.com/gate").unwrap()["status"], "True");
    assert_eq!(condition(&after, "Initialized"), None);
    let ready = condition(&after, "Ready").unwrap();
    assert_eq!(ready["status"], "True");
    assert_eq!(ready["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(ready.get("reason"), None);
    assert_eq!(step(Some(&after), &reported, &[]), Step::Done);
}

#[test]
fn an_end_is_final_whoever_said_so() {
    let current = shown(&json!({"phase": "Failed", "reason": "NodeLost", "message": "gone for long"}));
    let reported = pod_report(&json!({"status": {"phase": "Running", "podIP": "10.0.0.1"}}));
    let after = patched(&current, &reported);
    assert_eq!(
        (&after["status"]["phase"], &after["status"]["reason"]),
        (&json!("Failed"), &json!("NodeLost"))
    );
    assert_eq!(after["status"]["podIP"], "10.0.0.1");
}

#[test]
fn a_pod_of_another_node_or_uid_is_refused() {
    let reported = pod_report(&json!({"status": {"phase": "Running"}}));
    let mut elsewhere = shown(&json!({}));
    elsewhere["spec"]["nodeName"] = json!("edge-2");
    assert!(
        matches!(step(Some(&elsewhere), &reported, &[]), Step::Refuse(reason) if reason.contains("spec.nodeName"))
    );
    let mut successor = shown(&json!({}));
    successor["metadata"]["uid"] = json!("u2");
    assert!(matches!(step(Some(&successor), &reported, &[]), Step::Refuse(reason) if reason.contains("u1")));
    assert!(matches!(step(None, &reported, &[]), Step::Refuse(_)));
    let phaseless = pod_report(&json!({"status": {}}));
    assert!(
        matches!(step(Some(&shown(&json!({}))), &phaseless, &[]), Step::Refuse(reason) if reason.contains("phase"))
    );
}

#[test]
fn a_deletion_ends_after_the_last_status_was_shown() {
    let gone = pod_report(&json!({"deleted": true, "status": {"phase": "Failed"}}));
    let mut current = shown(&json!({"phase": "Running"}));
    let after = patched(&current, &gone);
    assert!(
        matches!(step(Some(&after), &gone, &[]), Step::Refuse(reason) if reason.contains("not being deleted"))
    );
    current["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let after = patched(&current, &gone);
    let Step::Write(Write::Delete, options) = step(Some(&after), &gone, &[Write::Status]) else { panic!() };
    assert_eq!(options["gracePeriodSeconds"], 0);
    assert_eq!(options["preconditions"], json!({"uid": "u1"}));
    assert_eq!(step(Some(&after), &gone, &[Write::Status, Write::Delete]), Step::Gone);
    // Already gone, or a successor of the same name: never delete that one.
    assert_eq!(step(None, &gone, &[]), Step::Gone);
    let mut successor = after;
    successor["metadata"]["uid"] = json!("u2");
    assert_eq!(step(Some(&successor), &gone, &[]), Step::Gone);
    // The edge never ran it.
    let never = pod_report(&json!({"deleted": true, "status": {}}));
    assert!(matches!(step(Some(&current), &never, &[]), Step::Write(Write::Delete, _)));
}

fn conditions(types: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let one = (proptest::sample::select(types), any::<bool>(), 0_u8..3);
    proptest::collection::vec(one, 0..5).prop_map(|list| {
        let item = |(name, on, at): (&str, bool, u8)| {
            json!({"type": name, "status": if on { "True" } else { "False" },
                "lastTransitionTime": format!("2026-01-01T00:00:0{at}Z")})
        };
        let mut seen = std::collections::BTreeSet::new();
        list.into_iter().filter(|(name, ..)| seen.insert(*name)).map(item).collect()
    })
}

fn status() -> impl Strategy<Value = Value> {
    const TYPES: &[&str] = &["Ready", "Initialized", "PodScheduled", "example.com/gate"];
    let phase = proptest::sample::select(vec!["Pending", "Running", "Succeeded", "Failed"]);
    let containers = proptest::collection::vec(("[ab]", any::<bool>()), 0..3).prop_map(|list| {
        list.into_iter().map(|(name, ready)| json!({"name": name, "ready": ready})).collect::<Value>()
    });
    (phase, conditions(TYPES), containers, proptest::option::of("10\\.0\\.0\\.[1-3]"), any::<bool>())
        .prop_map(|(phase, conditions, containers, ip, foreign)| {
            let mut status =
                json!({"phase": phase, "conditions": conditions, "containerStatuses": containers});
            if let Some(ip) = ip {
                status["podIP"] = json!(ip);
            }
            if foreign {
                status["qosClass"] = json!("Burstable");
            }
            status
        })
}

proptest! {
    #[test]
    fn one_patch_shows_the_report_and_touches_nothing_of_others(cluster in status(), told in status()) {
        let current = shown(&cluster);
        let reported = pod_report(&json!({"status": told}));
        let next = step(Some(&current), &reported, &[]);
        let after = if let Step::Write(Write::Status, patch) = &next {
            apply(&current, patch)
        } else {
            prop_assert_eq!(next, Step::Done);
            current.clone()
        };
        prop_assert_eq!(step(Some(&after), &reported, &[]), Step::Done);
        for name in ["PodScheduled", "example.com/gate"] {
            prop_assert_eq!(condition(&after, name), condition(&current, name));
        }
        prop_assert_eq!(after["status"].get("qosClass"), current["status"].get("qosClass"));
        let ended = matches!(cluster["phase"].as_str(), Some("Succeeded" | "Failed"));
        prop_assert_eq!(&after["status"]["phase"], if ended { &cluster["phase"] } else { &told["phase"] });
        if !ended || cluster["phase"] == told["phase"] {
            // Both sides agree that nothing is left to be written.
            let hash = wire::owned::status_hash(wire::Kind::Pod, &after["status"]);
            prop_assert_eq!(hash, reported.hash);
        }
        let known: Vec<&str> = POD_FIELDS.iter().chain(&["conditions", "qosClass"]).copied().collect();
        prop_assert!(after["status"].as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
    }
}
