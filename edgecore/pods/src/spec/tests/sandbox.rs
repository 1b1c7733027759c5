//! The sandbox of a pod, field by field.

use super::*;
use crate::runtime::Dns;
use serde_json::{Value, json};

fn node() -> NodeFacts {
    NodeFacts {
        pod_logs_dir: "/var/log/pods/".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        cluster_dns: vec!["10.96.0.10".to_owned()],
        ..NodeFacts::default()
    }
}

fn pod(spec: &Value) -> Pod {
    let pod = json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-1",
            "labels": {"app": "web", "io.kubernetes.pod.uid": "forged"}, "annotations": {"a": "b"},
        },
        "spec": spec,
    });
    serde_json::from_str(&pod.to_string()).unwrap()
}

fn of(spec: &Value) -> SandboxSpec {
    sandbox_spec(&pod(spec), &node(), 3).unwrap().spec
}

#[test]
fn a_plain_pod() {
    let spec = of(&json!({"containers": [{"name": "c"}]}));
    assert_eq!(
        (spec.pod_uid.as_str(), spec.pod_name.as_str(), spec.pod_namespace.as_str()),
        ("u-1", "web", "shop")
    );
    assert_eq!((spec.attempt, spec.hostname.as_str()), (3, "web"));
    assert_eq!(spec.log_directory, "/var/log/pods/shop_web_u-1");
    assert_eq!(spec.cgroup_parent, "/skerry/pods/podu-1");
    let labels: Vec<_> = spec.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        labels,
        [
            "app=web",
            "io.kubernetes.pod.name=web",
            "io.kubernetes.pod.namespace=shop",
            "io.kubernetes.pod.uid=u-1"
        ]
    );
    assert_eq!(spec.annotations["a"], "b");
    assert_eq!(spec.seccomp, Seccomp::RuntimeDefault);
    assert!(!spec.privileged && spec.sysctls.is_empty() && spec.supplemental_groups.is_empty());
    assert!(matches!(spec.dns, Some(Dns { servers, .. }) if servers == ["10.96.0.10"]));
}

#[test]
fn what_the_pod_says_of_security() {
    let spec = of(&json!({
        "securityContext": {
            "runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4],
            "sysctls": [{"name": "net/ipv4/tcp_syncookies", "value": "0"}],
        },
        "initContainers": [{"name": "i", "securityContext": {"privileged": true}}],
        "containers": [{"name": "c"}],
    }));
    assert_eq!((spec.run_as_user, spec.run_as_group), (Some(1), Some(2)));
    assert_eq!(spec.supplemental_groups, [3, 4]);
    assert_eq!(spec.sysctls["net.ipv4.tcp_syncookies"], "0");
    assert!(spec.privileged);
    // The runtime takes a privileged container only with a sandbox that is said to be so.
    let beside = |privileged: bool| {
        let context = json!({"name": "e", "securityContext": {"privileged": privileged}});
        of(&json!({"containers": [{"name": "c"}], "ephemeralContainers": [context]})).privileged
    };
    assert_eq!([true, false].map(beside), [true, false]);
}

#[test]
fn namespaces_are_shared_as_asked() {
    let spec = of(&json!({"hostNetwork": true, "hostPID": true, "hostIPC": true, "containers": [
        {"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]}));
    assert!(spec.namespaces.host_network && spec.namespaces.host_pid && spec.namespaces.host_ipc);
    assert_eq!((spec.hostname.as_str(), spec.ports), ("", Vec::new()));
    assert!(of(&json!({"shareProcessNamespace": true, "containers": []})).namespaces.share_process);
}

#[test]
fn host_ports_of_everything_that_keeps_running_lead_in() {
    let port =
        |container: u16, host: u16| json!({"containerPort": container, "hostPort": host, "protocol": "UDP"});
    let spec = of(&json!({
        "initContainers": [
            {"name": "i", "ports": [port(1, 1)]},
            {"name": "s", "restartPolicy": "Always", "ports": [port(2, 2)]},
        ],
        "containers": [
            {"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081, "hostIP": "127.0.0.1"}]},
            {"name": "b", "ports": [port(2, 2)]},
        ],
    }));
    let ports: Vec<_> = spec
        .ports
        .iter()
        .map(|port| format!("{}:{}->{}/{}", port.host_ip, port.host_port, port.container_port, port.protocol))
        .collect();
    assert_eq!(ports, ["127.0.0.1:8081->81/TCP", ":2->2/UDP"]);
}

#[test]
fn what_cannot_be_is_an_error() {
    let error = |pod: &Pod| sandbox_spec(pod, &node(), 0).unwrap_err();
    assert_eq!(error(&Pod::default()).reason, "CreatePodSandboxError");
    let bad =
        pod(&json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 70000}]}]}));
    assert_eq!(error(&bad).message, "container c: 70000 is no port");
    assert!(
        error(&pod(&json!({"hostname": "A B", "containers": []}))).message.contains("not a valid DNS label")
    );
}
