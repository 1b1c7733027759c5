//! What containers find mounted.

use super::*;
use edgecore_volumes::BoundMount;
use serde_json::{Value, json};

fn container(mounts: &Value, rest: &Value) -> Container {
    let mut container = rest.clone();
    container["name"] = json!("c");
    container["volumeMounts"] = mounts.clone();
    serde_json::from_str(&container.to_string()).unwrap()
}

fn sub_paths(mounts: &Value) -> Result<Vec<String>, String> {
    let environment = [("POD".to_owned(), "web-0".to_owned()), ("EMPTY".to_owned(), String::new())];
    mount_requests(&container(mounts, &json!({})), &environment)
        .map(|requests| requests.into_iter().map(|request| request.sub_path).collect())
        .map_err(|error| error.message)
}

fn found(mounts: &Value, rest: &Value, bound: &[BoundMount], hosts: Option<&str>) -> Vec<String> {
    let paths = Paths { volumes: bound, etc_hosts: hosts, termination_log: "/state/log" };
    super::mounts(&Pod::default(), &container(mounts, rest), &paths)
        .unwrap()
        .into_iter()
        .map(|mount| {
            let mode = if mount.readonly { "ro" } else { "rw" };
            format!("{} {} {mode} {:?}", mount.host_path, mount.container_path, mount.propagation)
        })
        .collect()
}

fn bound(index: usize, readonly: bool) -> BoundMount {
    BoundMount { index, host_path: format!("/host/{index}"), readonly }
}

#[test]
fn expressions_are_made_out_against_the_environment() {
    assert_eq!(
        sub_paths(&json!([
            {"name": "a", "mountPath": "/a"},
            {"name": "b", "mountPath": "/b", "subPath": "fixed/$(POD)"},
            {"name": "c", "mountPath": "/c", "subPathExpr": "logs/$(POD)/$$(POD)"},
        ]))
        .unwrap(),
        ["", "fixed/$(POD)", "logs/web-0/$(POD)"]
    );
    let missing =
        sub_paths(&json!([{"name": "c", "mountPath": "/c", "subPathExpr": "$(NOPE)/$(EMPTY)/$(NOPE)"}]));
    assert_eq!(missing.unwrap_err(), "missing value for EMPTY, NOPE");
}

#[test]
fn volumes_keep_their_place_mode_and_propagation() {
    let mounts = json!([
        {"name": "a", "mountPath": "/a", "readOnly": true},
        {"name": "b", "mountPath": "b", "mountPropagation": "HostToContainer"},
        {"name": "c", "mountPath": "/c", "mountPropagation": "Bidirectional"},
    ]);
    assert_eq!(
        found(&mounts, &json!({}), &[bound(0, false), bound(1, true), bound(2, false)], Some("/state/hosts")),
        [
            "/host/0 /a ro Private",
            "/host/1 /b ro HostToContainer",
            "/host/2 /c rw Bidirectional",
            "/state/hosts /etc/hosts rw Private",
            "/state/log /dev/termination-log rw Private",
        ]
    );
}

#[test]
fn a_container_may_bring_its_own_names_and_last_words() {
    let mounts = json!([{"name": "a", "mountPath": "/etc/hosts"}]);
    let rest = json!({"terminationMessagePath": "/tmp/end"});
    assert_eq!(
        found(&mounts, &rest, &[bound(0, false)], Some("/state/hosts")),
        ["/host/0 /etc/hosts rw Private", "/state/log /tmp/end rw Private"]
    );
    assert_eq!(found(&json!([]), &json!({"terminationMessagePath": ""}), &[], None), Vec::<String>::new());
}

#[test]
fn an_unknown_propagation_is_an_error() {
    let container =
        container(&json!([{"name": "a", "mountPath": "/a", "mountPropagation": "Sideways"}]), &json!({}));
    let paths = Paths { volumes: &[bound(0, false)], etc_hosts: None, termination_log: "/state/log" };
    assert!(mounts(&Pod::default(), &container, &paths).unwrap_err().message.contains("Sideways"));
}

#[test]
fn only_what_is_the_pods_alone_is_relabelled() {
    let pod = json!({"spec": {"containers": [], "volumes": [
        {"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/b"}}]}});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let wanted = json!([{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]);
    let volumes = [bound(0, false), bound(1, false)];
    let paths = Paths { volumes: &volumes, etc_hosts: Some("/state/hosts"), termination_log: "/state/log" };
    let found = mounts(&pod, &container(&wanted, &json!({})), &paths).unwrap();
    let relabelled: Vec<_> =
        found.iter().filter(|mount| mount.relabel).map(|mount| &*mount.container_path).collect();
    assert_eq!(relabelled, ["/a", "/etc/hosts", "/dev/termination-log"]);
}
