//! A container, whole.

use super::*;
use crate::runtime::Image;
use crate::spec::context::NodeFacts;
use edgecore_volumes::Sources;
use serde_json::json;

fn made() -> ContainerSpec {
    let pod = json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "deletionGracePeriodSeconds": 5},
        "spec": {"terminationGracePeriodSeconds": 30, "hostPID": true, "containers": [{
            "name": "c", "image": "busybox:1", "command": ["/bin/sh", "-c"], "args": ["echo $(A) $(B) $$(A)"],
            "workingDir": "/w", "stdin": true, "stdinOnce": true, "tty": true,
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}],
            "lifecycle": {"preStop": {"exec": {"command": ["sync"]}}},
            "resources": {"limits": {"memory": "64Mi"}},
        }]},
    });
    let pod: Pod = serde_json::from_str(&pod.to_string()).unwrap();
    let container = pod.spec.as_ref().unwrap().containers[0].clone();
    let image = Image {
        id: "sha256:1".to_owned(),
        names: Vec::new(),
        uid: Some(7),
        username: String::new(),
        size: 1,
    };
    let node = NodeFacts { memory_capacity: 1 << 30, ..NodeFacts::default() };
    let sources = Sources::default();
    let context = ContainerContext {
        node: &node,
        sources: &sources,
        services: &[],
        pod_ips: &[],
        image: &image,
        attempt: 2,
    };
    let paths = Paths { volumes: &[], etc_hosts: Some("/state/hosts"), termination_log: "/state/log" };
    let environment = vec![("A".to_owned(), "1".to_owned())];
    container_spec(&pod, &container, &context, environment, &paths).unwrap()
}

#[test]
fn everything_finds_its_place() {
    let spec = made();
    assert_eq!((spec.name.as_str(), spec.attempt), ("c", 2));
    assert_eq!((spec.image.as_str(), spec.user_image.as_str()), ("sha256:1", "busybox:1"));
    assert_eq!(spec.command, ["/bin/sh", "-c"]);
    assert_eq!(spec.args, ["echo 1 $(B) $(A)"]);
    assert_eq!((spec.working_dir.as_str(), spec.log_path.as_str()), ("/w", "c/2.log"));
    assert_eq!(spec.env, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(spec.mounts.len(), 2);
    assert!(spec.stdin && spec.stdin_once && spec.tty && spec.namespaces.host_pid);
    assert_eq!(spec.resources.memory_limit, 64 << 20);
    assert_eq!(spec.security.run_as_user, Some(7));
}

#[test]
fn labels_and_annotations_are_upstreams() {
    let spec = made();
    let labels: Vec<_> = spec.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        labels,
        [
            "io.kubernetes.container.name=c",
            "io.kubernetes.pod.name=web",
            "io.kubernetes.pod.namespace=shop",
            "io.kubernetes.pod.uid=u-1"
        ]
    );
    let expected = [
        ("container.preStopHandler", r#"{"exec":{"command":["sync"]}}"#),
        ("container.ports", r#"[{"containerPort":80,"name":"http","protocol":"TCP"}]"#),
        ("container.restartCount", "2"),
        ("container.terminationMessagePath", "/dev/termination-log"),
        ("container.terminationMessagePolicy", "File"),
        ("pod.deletionGracePeriod", "5"),
        ("pod.terminationGracePeriod", "30"),
    ];
    for (name, value) in expected {
        assert_eq!(spec.annotations[&format!("io.kubernetes.{name}")], value);
    }
    assert_eq!(spec.annotations.len(), expected.len() + 1);
    assert!(spec.annotations.contains_key(ANNOTATION_HASH));
}
