//! Environments, and what is said where one cannot be made.

use super::*;
use crate::runtime::Image;
use crate::spec::context::NodeFacts;
use edgecore_volumes::Sources;
use k8s_openapi::api::core::v1::Service;
use kit::Masked;
use serde_json::{Value, json};

fn image() -> Image {
    Image { id: "sha256:1".to_owned(), names: Vec::new(), uid: None, username: String::new(), size: 1 }
}

fn sources() -> Sources {
    let mut sources = Sources::default();
    let config = json!({"data": {"a": "1", "b": "2"}, "binaryData": {"raw": "AP8="}});
    let secret = json!({"data": {"password": "aHVudGVyMg==", "raw": "/w=="}});
    sources.config_maps.insert("config".to_owned(), serde_json::from_str(&config.to_string()).unwrap());
    sources.secrets.insert("secret".to_owned(), Masked(serde_json::from_str(&secret.to_string()).unwrap()));
    sources
}

fn made(container: &Value, links: bool) -> Result<Vec<(String, String)>, SpecError> {
    let mut container = container.clone();
    container["name"] = json!("c");
    let pod = json!({
        "metadata": {"name": "p", "namespace": "shop", "uid": "u"},
        "spec": {"containers": [container], "enableServiceLinks": links, "nodeName": "edge-1"},
    });
    let pod: Pod = serde_json::from_str(&pod.to_string()).unwrap_or_default();
    let service = json!({
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.9", "ports": [{"port": 1}]},
    });
    let services: Vec<Service> = serde_json::from_str(&format!("[{service}]")).unwrap_or_default();
    let (node, sources, image) = (NodeFacts::default(), sources(), image());
    let context = ContainerContext {
        node: &node,
        sources: &sources,
        services: &services,
        pod_ips: &["10.1.0.5".to_owned()],
        image: &image,
        attempt: 0,
    };
    environment(&pod, &pod.spec.as_ref().map(|spec| spec.containers[0].clone()).unwrap_or_default(), &context)
}

fn lines(container: &Value) -> Vec<String> {
    made(container, false).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn message(container: &Value) -> String {
    let error = made(container, false).unwrap_err();
    assert_eq!(error.reason, "CreateContainerConfigError");
    error.message
}

#[test]
fn values_come_in_order_and_refer_to_what_stands_before() {
    assert_eq!(
        lines(&json!({"env": [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$(C)"},
            {"name": "C", "value": "$(B)/$$(A)"},
            {"name": "A", "value": "again"},
            {"name": "EMPTY"},
        ]})),
        ["A=again", "B=1-$(C)", "C=1-$(C)/$(A)", "EMPTY="]
    );
}

#[test]
fn all_sources_of_a_value() {
    assert_eq!(
        lines(&json!({"env": [
            {"name": "CONFIG", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "a"}}},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "password"}}},
            {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
            {"name": "URL", "value": "http://$(IP)/$(SECRET)"},
        ], "resources": {"requests": {"cpu": "250m"}}})),
        [
            "CONFIG=1",
            "SECRET=hunter2",
            "WHERE=edge-1",
            "IP=10.1.0.5",
            "CPU=250",
            "URL=http://10.1.0.5/hunter2"
        ]
    );
}

#[test]
fn whole_objects_give_their_keys_and_env_wins() {
    assert_eq!(
        lines(&json!({
            "envFrom": [
                {"configMapRef": {"name": "config"}, "prefix": "P_"},
                {"configMapRef": {"name": "nope", "optional": true}},
                {"secretRef": {"name": "secret"}},
                {"secretRef": {"name": "nope", "optional": true}},
            ],
            "env": [{"name": "P_a", "value": "own $(password)"}],
        })),
        ["P_a=own hunter2", "P_b=2", "password=hunter2", "raw=\u{fffd}"]
    );
}

#[test]
fn services_come_last_and_hide_nothing() {
    let container = json!({"env": [
        {"name": "DB_SERVICE_PORT", "value": "own"},
        {"name": "DB", "value": "$(DB_SERVICE_HOST):$(DB_SERVICE_PORT)"},
    ]});
    let found = made(&container, true).unwrap();
    assert_eq!(found[0], ("DB_SERVICE_PORT".to_owned(), "own".to_owned()));
    assert_eq!(found[1], ("DB".to_owned(), "10.0.0.9:own".to_owned()));
    assert!(found[2..].contains(&("DB_SERVICE_HOST".to_owned(), "10.0.0.9".to_owned())));
    assert_eq!(found.iter().filter(|(name, _)| name == "DB_SERVICE_PORT").count(), 1);
    assert_eq!(made(&container, false).unwrap()[1].1, "$(DB_SERVICE_HOST):own");
}

#[test]
fn what_is_optional_and_missing_is_no_variable() {
    assert_eq!(
        lines(&json!({"env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "nope", "key": "k", "optional": true}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "nope", "optional": true}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "nope", "optional": true}}},
            {"name": "D", "value": "$(A)"},
        ]})),
        ["D=$(A)"]
    );
}

#[test]
fn what_is_missing_is_named_in_upstreams_words() {
    let value = |from: Value| json!({"env": [{"name": "A", "valueFrom": from}]});
    for (container, text) in [
        (value(json!({"configMapKeyRef": {"name": "x", "key": "k"}})), r#"configmap "x" not found"#),
        (value(json!({"secretKeyRef": {"name": "x", "key": "k"}})), r#"secret "x" not found"#),
        (
            value(json!({"configMapKeyRef": {"name": "config", "key": "k"}})),
            "couldn't find key k in ConfigMap shop/config",
        ),
        // Binary data is no text: upstream does not look there either.
        (
            value(json!({"configMapKeyRef": {"name": "config", "key": "raw"}})),
            "couldn't find key raw in ConfigMap shop/config",
        ),
        (
            value(json!({"secretKeyRef": {"name": "secret", "key": "k"}})),
            "couldn't find key k in Secret shop/secret",
        ),
        (value(json!({"fieldRef": {"fieldPath": "spec.hostname"}})), "unsupported fieldPath: spec.hostname"),
        (
            value(json!({"resourceFieldRef": {"resource": "limits.cpu", "containerName": "x"}})),
            "container x not found",
        ),
        (json!({"envFrom": [{"configMapRef": {"name": "x"}}]}), r#"configmap "x" not found"#),
        (json!({"envFrom": [{"secretRef": {"name": "x"}}]}), r#"secret "x" not found"#),
    ] {
        assert_eq!(message(&container), text);
    }
}
