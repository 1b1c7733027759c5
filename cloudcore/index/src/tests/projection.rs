//! What changes a version, and what does not.

use serde_json::{Value, json};
use wire::Kind;

use super::{node, plain, pod};
use crate::object::Draft;

fn version(kind: Kind, object: &Value) -> wire::Version {
    Draft::read(kind, object.to_string().as_bytes()).unwrap().version
}

fn body(kind: Kind, object: &Value) -> Value {
    let body = Draft::read(kind, object.to_string().as_bytes()).unwrap().pack(None).unwrap();
    serde_json::from_slice(&body.unpack().unwrap()).unwrap()
}

#[test]
fn a_status_changes_no_version() {
    let mut pod = pod("p", "u", "n", "c", "s");
    let before = version(Kind::Pod, &pod);
    pod["status"] = json!({"phase": "Running", "podIP": "10.0.0.1"});
    pod["metadata"]["resourceVersion"] = json!("99");
    pod["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    assert_eq!(version(Kind::Pod, &pod), before);
    pod["spec"]["containers"][0]["image"] = json!("j");
    assert_ne!(version(Kind::Pod, &pod), before);
}

#[test]
fn an_ephemeral_container_makes_a_new_version_and_what_it_names_is_needed() {
    let mut pod = pod("p", "u", "n", "c", "s");
    let before = version(Kind::Pod, &pod);
    let from = json!([{"configMapRef": {"name": "beside"}}]);
    let beside = json!([{"name": "e", "image": "i", "envFrom": from, "targetContainerName": "c"}]);
    pod["spec"]["ephemeralContainers"] = beside.clone();
    assert_ne!(version(Kind::Pod, &pod), before);
    assert_eq!(body(Kind::Pod, &pod)["spec"]["ephemeralContainers"], beside);
    let object = Draft::read(Kind::Pod, pod.to_string().as_bytes()).unwrap().finish(None);
    assert!(object.pod().unwrap().config_maps.contains("beside"));
}

#[test]
fn conditions_of_the_cloud_s_own_are_none_of_the_edge_s_business() {
    let mut node = node("n", "u");
    let hashes = |node: &Value| {
        let draft = Draft::read(Kind::Node, node.to_string().as_bytes()).unwrap();
        (draft.version, draft.finish(None).status_hash())
    };
    let before = hashes(&node);
    node["status"] =
        json!({"conditions": [{"type": "skerry.io/Connected", "status": "False", "reason": "Silent"}]});
    assert_eq!(hashes(&node), before, "neither sent down, nor asked for again");
}

#[test]
fn an_end_that_is_final_is_kept() {
    let mut pod = pod("p", "u", "n", "c", "s");
    pod["status"] = json!({"phase": "Failed", "reason": "Evicted"});
    assert_eq!(body(Kind::Pod, &pod)["status"], json!({"phase": "Failed"}));
    pod["status"]["phase"] = json!("Running");
    assert_eq!(body(Kind::Pod, &pod).get("status"), None);
}

#[test]
fn what_readiness_gates_wait_for_is_kept_and_nothing_else_of_the_conditions() {
    let mut pod = pod("p", "u", "n", "c", "s");
    pod["spec"]["readinessGates"] = json!([{"conditionType": "up"}, {"conditionType": "Ready"}]);
    let before = version(Kind::Pod, &pod);
    let condition = |kind: &str, status: &str, time: &str| json!({"type": kind, "status": status, "lastTransitionTime": time});
    pod["status"] = json!({"conditions": [condition("Ready", "True", "a"), condition("other", "True", "a")]});
    assert_eq!(version(Kind::Pod, &pod), before, "the edge's own, and what no gate names");
    pod["status"] = json!({"conditions": [condition("up", "True", "a")]});
    let up = version(Kind::Pod, &pod);
    assert_eq!(body(Kind::Pod, &pod)["status"], json!({"conditions": [{"type": "up", "status": "True"}]}));
    pod["status"] = json!({"conditions": [condition("up", "True", "b")]});
    assert_eq!(version(Kind::Pod, &pod), up, "when it changed is nobody's business");
    pod["status"] = json!({"phase": "Failed", "conditions": [condition("up", "False", "b")]});
    let kept = json!({"phase": "Failed", "conditions": [{"type": "up", "status": "False"}]});
    assert_eq!(body(Kind::Pod, &pod)["status"], kept);
    pod["spec"]["readinessGates"] = json!([{}]);
    let error = Draft::read(Kind::Pod, pod.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, "spec.readinessGates.conditionType is missing");
}

#[test]
fn the_lifecycle_s_taints_are_left_out() {
    let mut node = node("n", "u");
    let before = version(Kind::Node, &node);
    node["spec"]["taints"] = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]);
    assert_eq!(version(Kind::Node, &node), before);
    node["spec"]["taints"] = json!([{"key": "mine", "effect": "NoSchedule"}]);
    assert_ne!(version(Kind::Node, &node), before);
}

#[test]
fn the_applied_copy_is_left_out_but_for_pods() {
    let copy = json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    let mut map = plain("m", "u", "d");
    let before = version(Kind::ConfigMap, &map);
    map["metadata"]["annotations"] = copy.clone();
    assert_eq!(version(Kind::ConfigMap, &map), before);
    let mut pod = pod("p", "u", "n", "c", "s");
    let before = version(Kind::Pod, &pod);
    pod["metadata"]["annotations"] = copy;
    assert_ne!(version(Kind::Pod, &pod), before);
}

#[test]
fn wrong_types_are_named() {
    let wrong = |change: fn(&mut Value)| {
        let mut pod = pod("p", "u", "n", "c", "s");
        change(&mut pod);
        Draft::read(Kind::Pod, pod.to_string().as_bytes()).unwrap_err()
    };
    assert_eq!(wrong(|pod| pod["metadata"] = json!(["p"])), "metadata is no object");
    assert_eq!(wrong(|pod| pod["metadata"]["uid"] = json!(7)), "metadata.uid is no string");
    assert_eq!(wrong(|pod| pod["spec"]["containers"] = json!({})), "spec.containers is no list");
    assert_eq!(wrong(|pod| pod["spec"]["volumes"] = json!(["v"])), "spec.volumes[0] is no object");
    assert_eq!(wrong(|pod| *pod = json!(7)), "is no object");
    let data = json!({"metadata": {"name": "m", "namespace": "n", "uid": "u", "resourceVersion": "1"}, "data": {"k": 7}});
    assert_eq!(Draft::read(Kind::ConfigMap, data.to_string().as_bytes()).unwrap_err(), "data.k is no string");
}
