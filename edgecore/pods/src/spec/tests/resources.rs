//! Numbers that upstream's kubelet gives for the same pods.

use super::*;
use serde_json::{Value, json};

const GIB: u64 = 1 << 30;

fn of(resources: &Value) -> Resources {
    let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
    of_first(&pod, 8 * GIB)
}

fn of_first(pod: &Value, capacity: u64) -> Resources {
    let pod: Pod = serde_json::from_str(&pod.to_string()).unwrap();
    let container = pod.spec.as_ref().unwrap().containers[0].clone();
    resources(&pod, &container, capacity).unwrap()
}

#[test]
fn cpu_is_shares_and_quota() {
    for (amounts, shares, quota) in [
        (json!({}), 2, 0),
        (json!({"requests": {"cpu": "1"}}), 1024, 0),
        (json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}), 102, 20_000),
        (json!({"limits": {"cpu": "500m"}}), 512, 50_000),
        (json!({"limits": {"cpu": "1m"}}), 2, 1_000),
        (json!({"requests": {"cpu": "0"}, "limits": {"cpu": "1"}}), 2, 100_000),
        (json!({"requests": {"cpu": "100000"}}), 262_144, 0),
    ] {
        let found = of(&amounts);
        assert_eq!(
            (found.cpu_shares, found.cpu_quota, found.cpu_period),
            (shares, quota, 100_000),
            "{amounts}"
        );
    }
}

#[test]
fn memory_is_a_limit() {
    assert_eq!(of(&json!({"limits": {"memory": "64Mi"}})).memory_limit, 64 << 20);
    assert_eq!(of(&json!({"requests": {"memory": "64Mi"}})).memory_limit, 0);
}

#[test]
fn who_asks_for_more_is_killed_later() {
    let full = json!({"cpu": "1", "memory": "1Gi"});
    for (amounts, score) in [
        (json!({}), 1000),
        (json!({"requests": full, "limits": full}), -997),
        (json!({"requests": {"cpu": "1"}}), 999),
        (json!({"requests": {"memory": "2Gi"}}), 750),
        (json!({"requests": {"memory": "80Gi"}}), 3),
    ] {
        assert_eq!(of(&amounts).oom_score_adj, score, "{amounts}");
    }
    let critical =
        json!({"spec": {"priorityClassName": "system-node-critical", "containers": [{"name": "c"}]}});
    assert_eq!(of_first(&critical, 8 * GIB).oom_score_adj, -997);
    let burstable =
        json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"memory": "1Gi"}}}]}});
    assert_eq!(of_first(&burstable, 0).oom_score_adj, 999);
}

#[test]
fn a_sidecar_outlives_the_containers_it_serves() {
    let pod = json!({"spec": {
        "initContainers": [{"name": "s", "restartPolicy": "Always"}],
        "containers": [
            {"name": "a", "resources": {"requests": {"memory": "4Gi"}}},
            {"name": "b", "resources": {"requests": {"memory": "2Gi"}}},
        ],
    }});
    let pod: Pod = serde_json::from_str(&pod.to_string()).unwrap();
    let sidecar = pod.spec.as_ref().unwrap().init_containers.as_ref().unwrap()[0].clone();
    assert_eq!(resources(&pod, &sidecar, 8 * GIB).unwrap().oom_score_adj, 750);
}

#[test]
fn what_is_no_quantity_is_named() {
    let pod = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "much"}}}]}});
    let pod: Pod = serde_json::from_str(&pod.to_string()).unwrap();
    let container = pod.spec.as_ref().unwrap().containers[0].clone();
    let error = resources(&pod, &container, GIB).unwrap_err();
    assert_eq!(error.message, r#"container c: resources.limits.cpu: "much" is not a quantity"#);
}
