//! Values of fields and resources.

use super::*;
use serde_json::json;

fn values<T>(ask: impl Fn(&Values<'_>) -> T) -> T {
    let pod = json!({
        "metadata": {
            "name": "p", "namespace": "shop", "uid": "u-1",
            "labels": {"b": "2", "a": "1"},
            "annotations": {"example.com/note": "say \"hi\"\n\\\t\u{1}\u{7f}é\u{200b}☁\u{fe0f}", "Big": "x"},
        },
        "spec": {
            "nodeName": "edge-1", "serviceAccountName": "app",
            "containers": [{"name": "c", "resources": {
                "limits": {"memory": "100Mi", "cpu": "1500m"},
                "requests": {"memory": "64Mi", "cpu": "100m", "ephemeral-storage": "1Gi"},
            }}, {"name": "plain"}],
            "initContainers": [{"name": "init", "resources": {"limits": {"cpu": "0"}}}],
            "ephemeralContainers": [{"name": "beside"}],
        },
    });
    let pod: Pod = serde_json::from_str(&pod.to_string()).unwrap();
    let amount = |text: &str| Quantity::parse(text).unwrap();
    let node = NodeFacts {
        host_ips: vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()],
        allocatable: BTreeMap::from([
            ("cpu".to_owned(), amount("3900m")),
            ("memory".to_owned(), amount("7Gi")),
            ("ephemeral-storage".to_owned(), amount("10Gi")),
        ]),
        ..NodeFacts::default()
    };
    let pod_ips = ["10.1.0.5".to_owned(), "fd00::5".to_owned()];
    ask(&Values { pod: &pod, node: &node, pod_ips: &pod_ips })
}

fn field(path: &str) -> Result<String, String> {
    let field = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    values(|values| values.field(&field))
}

fn resource(container: &str, resource: &str, divisor: &str) -> Result<String, String> {
    let selector = ResourceFieldSelector {
        container_name: Some(container.to_owned()),
        divisor: (!divisor.is_empty()).then(|| ApiQuantity(divisor.to_owned())),
        resource: resource.to_owned(),
    };
    values(|values| values.resource(&selector))
}

#[test]
fn fields_of_the_pod() {
    for (path, value) in [
        ("metadata.name", "p"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels", "a=\"1\"\nb=\"2\""),
        ("metadata.labels['a']", "1"),
        ("metadata.labels['nope']", ""),
        ("metadata.annotations['Big']", "x"),
        ("spec.nodeName", "edge-1"),
        ("spec.serviceAccountName", "app"),
        ("status.hostIP", "192.0.2.1"),
        ("status.hostIPs", "192.0.2.1,2001:db8::1"),
        ("status.podIP", "10.1.0.5"),
        ("status.podIPs", "10.1.0.5,fd00::5"),
    ] {
        assert_eq!(field(path).as_deref(), Ok(value), "{path}");
    }
    assert_eq!(
        field("metadata.annotations").unwrap(),
        "Big=\"x\"\nexample.com/note=\"say \\\"hi\\\"\\n\\\\\\t\\x01\\x7fé\\u200b☁\u{fe0f}\""
    );
}

#[test]
fn fields_that_are_none() {
    assert_eq!(field("spec.priority").unwrap_err(), "unsupported fieldPath: spec.priority");
    assert_eq!(field("spec['x']").unwrap_err(), "field label does not support subscript: spec['x']");
    let old =
        ObjectFieldSelector { api_version: Some("v2".to_owned()), field_path: "metadata.name".to_owned() };
    assert_eq!(values(|values| values.field(&old)).unwrap_err(), "unsupported pod version: v2");
}

#[test]
fn amounts_are_rounded_up_to_parts() {
    for (container, name, divisor, value) in [
        ("c", "limits.cpu", "", "2"),
        ("c", "limits.cpu", "1m", "1500"),
        ("c", "limits.memory", "1Mi", "100"),
        ("c", "limits.memory", "3Mi", "34"),
        ("c", "limits.memory", "0", "104857600"),
        ("c", "requests.ephemeral-storage", "1Gi", "1"),
        ("c", "requests.cpu", "1", "1"),
        ("plain", "requests.memory", "1", "0"),
        // Without a limit: what the node gives.
        ("plain", "limits.cpu", "1m", "3900"),
        ("plain", "limits.memory", "1Gi", "7"),
        ("init", "limits.cpu", "1", "4"),
        ("beside", "requests.cpu", "1", "0"),
        ("beside", "limits.cpu", "1", "4"),
        ("init", "limits.ephemeral-storage", "1Gi", "10"),
    ] {
        assert_eq!(resource(container, name, divisor).as_deref(), Ok(value), "{container} {name} {divisor}");
    }
}

#[test]
fn amounts_that_are_none() {
    assert_eq!(resource("x", "limits.cpu", "").unwrap_err(), "container x not found");
    for bad in ["limits.hugepages-2Mi", "limits", "bounds.cpu", "limits.gpu"] {
        assert_eq!(resource("c", bad, "").unwrap_err(), format!("unsupported container resource : {bad}"));
    }
    assert!(resource("c", "limits.cpu", "much").unwrap_err().contains("much"));
}
