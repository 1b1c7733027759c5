//! What is refused, and that nothing else is.

use super::*;
use serde_json::json;

/// A pod with something in every field that the API of Kubernetes 1.37 has (`core/v1.Pod`, filled by reflection:
/// every text is `x`, every number 1, every flag true, every list and map has one element).
const FULL: &str = include_str!("full_pod.json");

/// Refused in it: all fields that are not honoured, and all whose only honoured values are not `x`.
const FULL_REFUSED: &str = include_str!("full_pod.refused");

fn spec(spec: &Value) -> Vec<String> {
    refused(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}))
}

fn container(fields: &Value) -> Vec<String> {
    spec(&json!({"containers": [fields]}))
}

#[test]
fn every_field_of_the_api_is_honoured_or_refused_by_name() {
    let mut found = Vec::new();
    walk(&serde_json::from_str(FULL).unwrap(), table::POD, "", &mut found);
    let expected: Vec<_> = FULL_REFUSED.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_pod_of_a_deployment_is_taken_as_the_api_server_defaults_it() {
    let pod: Value = serde_json::from_str(include_str!("defaulted_pod.json")).unwrap();
    assert_eq!(refused(&pod), Vec::<String>::new());
}

#[test]
fn refused_fields_are_named_by_their_path() {
    let plain = json!([{"name": "c"}]);
    for (fields, path) in [
        (json!({"runtimeClassName": "gvisor"}), "spec.runtimeClassName"),
        (json!({"overhead": {"cpu": "1"}}), "spec.overhead"),
        (json!({"hostUsers": false}), "spec.hostUsers=false"),
        (json!({"resources": {"limits": {"cpu": "1"}}}), "spec.resources"),
        (
            json!({"ephemeralContainers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 1}]}]}),
            "spec.ephemeralContainers[1].ports",
        ),
        (
            json!({"ephemeralContainers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}),
            "spec.ephemeralContainers[0].resources.limits",
        ),
        (
            json!({"ephemeralContainers": [{"name": "a", "restartPolicy": "Never"}]}),
            "spec.ephemeralContainers[0].restartPolicy",
        ),
        (
            json!({"ephemeralContainers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}]}]}),
            "spec.ephemeralContainers[0].volumeMounts[0].subPath",
        ),
        (json!({"resourceClaims": [{"name": "gpu"}]}), "spec.resourceClaims"),
        (json!({"fieldOfTomorrow": {}}), "spec.fieldOfTomorrow"),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "nfs": {"server": "s", "path": "/"}}]}),
            "spec.volumes[1].nfs",
        ),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {"medium": "HugePages"}}]}),
            "spec.volumes[0].emptyDir.medium=HugePages",
        ),
        (
            json!({"volumes": [{"name": "a", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}}]}),
            "spec.volumes[0].projected.sources[0].clusterTrustBundle",
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"level": "s0", "range": "x"}}}),
            "spec.securityContext.seLinuxOptions.range",
        ),
        (
            json!({"initContainers": [{"name": "i", "restartPolicy": "Sometimes"}]}),
            "spec.initContainers[0].restartPolicy=Sometimes",
        ),
    ] {
        let mut fields = fields;
        fields["containers"] = plain.clone();
        assert_eq!(spec(&fields), [path]);
    }
}

#[test]
fn refused_fields_of_containers_are_named_by_their_path() {
    for (fields, path) in [
        (json!({"livenessProbe": {"grpc": {"port": 1, "mode": "TLS"}}}), "livenessProbe.grpc.mode=TLS"),
        (json!({"lifecycle": {"preStop": {"grpc": {"port": 1}}}}), "lifecycle.preStop.grpc"),
        (json!({"restartPolicy": "Sometimes"}), "restartPolicy=Sometimes"),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "RestartAllContainers"}]}),
            "restartPolicyRules[0].action=RestartAllContainers",
        ),
        (
            json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "Like"}}]}),
            "restartPolicyRules[0].exitCodes.operator=Like",
        ),
        (json!({"restartPolicyRules": [{"signals": [9]}]}), "restartPolicyRules[0].signals"),
        (json!({"volumeDevices": [{"name": "d"}]}), "volumeDevices"),
        (json!({"resources": {"claims": [{"name": "gpu"}]}}), "resources.claims"),
        (
            json!({"resources": {"requests": {"cpu": "1", "example.com/gpu": "1"}}}),
            r#"resources.requests["example.com/gpu"]"#,
        ),
        (json!({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}), "resources.limits.hugepages-2Mi"),
        (
            json!({"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}),
            "resizePolicy[0].restartPolicy=RestartContainer",
        ),
        (json!({"lifecycle": {"stopSignal": "SIGUSR1"}}), "lifecycle.stopSignal"),
        (json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 1}}}}), "lifecycle.preStop.tcpSocket"),
        (
            json!({"env": [{"name": "A"}, {"name": "B", "valueFrom": {"fileKeyRef": {}}}]}),
            "env[1].valueFrom.fileKeyRef",
        ),
        (
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"}]}),
            "volumeMounts[0].recursiveReadOnly=Enabled",
        ),
        (json!({"securityContext": {"procMount": "Unmasked"}}), "securityContext.procMount=Unmasked"),
        (json!({"securityContext": {"windowsOptions": {}}}), "securityContext.windowsOptions"),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}, "seccompProfile": {"type": "Localhost"}}}),
            "securityContext.seccompProfile.type=Localhost",
        ),
    ] {
        assert_eq!(container(&fields), [format!("spec.containers[0].{path}")]);
    }
}

#[test]
fn restart_policies_and_rules_of_containers_are_honoured() {
    let rules = |operator: &str| json!([{"action": "Restart", "exitCodes": {"operator": operator, "values": [1, 42]}}]);
    let (one, other) = (
        json!({"name": "a", "restartPolicy": "Never", "restartPolicyRules": rules("In")}),
        json!({"name": "b", "restartPolicy": "OnFailure", "restartPolicyRules": rules("NotIn")}),
    );
    let sidecar = json!({"name": "s", "restartPolicy": "Always", "restartPolicyRules": rules("In")});
    assert_eq!(spec(&json!({"initContainers": [one, sidecar], "containers": [other]})), Vec::<String>::new());
}

#[test]
fn grpc_is_honoured_in_every_probe() {
    let grpc = json!({"grpc": {"mode": "Plaintext", "port": 1, "service": ""}});
    let probes = json!({"livenessProbe": grpc, "readinessProbe": grpc, "startupProbe": grpc});
    assert_eq!(container(&probes), Vec::<String>::new());
}

#[test]
fn what_is_said_to_be_absent_is_absent() {
    assert_eq!(
        spec(&json!({"containers": [{"name": "c", "volumeDevices": []}], "ephemeralContainers": null})),
        Vec::<String>::new()
    );
}

#[test]
fn what_has_the_wrong_shape_is_refused() {
    assert_eq!(spec(&json!({"containers": "none"})), ["spec.containers"]);
    assert_eq!(spec(&json!({"containers": ["c"]})), ["spec.containers[0]"]);
    assert_eq!(container(&json!({"resources": {"limits": 5}})), ["spec.containers[0].resources.limits"]);
    assert_eq!(refused(&json!([1])), [""]);
}

#[test]
fn an_old_annotation_for_apparmor_is_seen() {
    let pod = |value: &str| {
        let name = format!("{APPARMOR}c");
        refused(&json!({"metadata": {"annotations": {name: value, "other": "x"}}}))
    };
    assert_eq!(pod("runtime/default"), Vec::<String>::new());
    assert_eq!(
        pod("localhost/mine"),
        [r#"metadata.annotations["container.apparmor.security.beta.kubernetes.io/c"]=localhost/mine"#]
    );
}

#[test]
fn hostile_pods_do_not_make_hostile_messages() {
    let fields: serde_json::Map<_, _> = (0..1000).map(|n| (format!("field{n:04}"), json!(1))).collect();
    let found = refused(&json!({"spec": fields}));
    assert_eq!(found.len(), MOST + 1);
    assert_eq!(found[MOST], "and 950 more");
    let long = "x".repeat(10_000);
    assert!(
        refused(&json!({"spec": {long.clone(): 1, "dnsPolicy": long}})).iter().all(|path| path.len() < 200)
    );
}

#[test]
fn what_nothing_enforces_is_no_limit() {
    let pod = |resources: Value| json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
    let asked = pod(json!({"requests": {"ephemeral-storage": "1Gi"}, "limits": {"memory": "1Mi"}}));
    assert_eq!(refused(&asked), Vec::<String>::new());
    let limited = pod(json!({"limits": {"ephemeral-storage": "1Gi"}}));
    assert_eq!(refused(&limited), ["spec.containers[0].resources.limits.ephemeral-storage"]);
}
