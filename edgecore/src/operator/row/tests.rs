//! Pods in the states that kubectl has words for.

use super::*;
use serde_json::json;

/// 2026-11-29T01:00:00Z.
const NOW: WallTime = WallTime(1_795_914_000_000);

/// A pod of two containers and an init container, with this status.
fn with(status: &Value) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": "p", "creationTimestamp": "2026-11-29T00:00:00Z"},
        "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]},
        "status": status,
    })
}

fn container(name: &str, state: &Value) -> Value {
    let ready = state.get("running").is_some();
    json!({"name": name, "ready": ready, "restartCount": 0, "state": state})
}

fn runs() -> Value {
    json!({"running": {}})
}

fn waits(reason: &str) -> Value {
    json!({"waiting": {"reason": reason}})
}

fn ends(code: i64, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason}})
}

/// Its init container through, and these its containers.
fn of(phase: &str, states: [&Value; 2], ready: bool) -> Value {
    let [a, b] = states;
    with(&json!({
        "phase": phase,
        "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        "initContainerStatuses": [container("i", &ends(0, "Completed"))],
        "containerStatuses": [container("a", a), container("b", b)],
    }))
}

fn init(state: &Value) -> Value {
    let waiting = waits("PodInitializing");
    with(&json!({
        "phase": "Pending",
        "initContainerStatuses": [container("i", state)],
        "containerStatuses": [container("a", &waiting), container("b", &waiting)],
    }))
}

fn shown(pod: &Value) -> (String, String) {
    let row = row(pod, NOW);
    (row.ready, row.status)
}

#[test]
fn states_have_kubectls_words() {
    let signalled = json!({"terminated": {"exitCode": 137, "signal": 9}});
    let bare = json!({"terminated": {"exitCode": 3}});
    for (pod, ready, status) in [
        (with(&json!({})), "0/2", "Pending"),
        (with(&json!({"phase": "Pending"})), "0/2", "Pending"),
        (with(&json!({"phase": "Failed", "reason": "Evicted"})), "0/2", "Evicted"),
        (of("Running", [&runs(), &runs()], true), "2/2", "Running"),
        (of("Running", [&waits("CrashLoopBackOff"), &runs()], false), "1/2", "CrashLoopBackOff"),
        (
            of("Pending", [&waits("ImagePullBackOff"), &waits("ErrImagePull")], false),
            "0/2",
            "ImagePullBackOff",
        ),
        (of("Succeeded", [&ends(0, "Completed"), &ends(0, "Completed")], false), "0/2", "Completed"),
        (of("Failed", [&ends(0, "Completed"), &ends(1, "Error")], false), "0/2", "Error"),
        (of("Failed", [&signalled, &bare], false), "0/2", "Signal:9"),
        (of("Failed", [&bare, &signalled], false), "0/2", "ExitCode:3"),
        (of("Running", [&ends(0, "Completed"), &runs()], true), "1/2", "Running"),
        (of("Running", [&ends(0, "Completed"), &runs()], false), "1/2", "NotReady"),
        (init(&runs()), "0/2", "Init:0/1"),
        (init(&waits("PodInitializing")), "0/2", "Init:0/1"),
        (init(&waits("CrashLoopBackOff")), "0/2", "Init:CrashLoopBackOff"),
        (init(&ends(1, "Error")), "0/2", "Init:Error"),
        (init(&bare), "0/2", "Init:ExitCode:3"),
        (init(&signalled), "0/2", "Init:Signal:9"),
        (init(&ends(0, "Completed")), "0/2", "PodInitializing"),
    ] {
        assert_eq!(shown(&pod), (ready.to_owned(), status.to_owned()), "{pod}");
    }
}

#[test]
fn a_pod_that_is_deleted_terminates_until_it_has_ended() {
    let mut pod = of("Running", [&runs(), &runs()], true);
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-29T00:30:00Z");
    assert_eq!(shown(&pod), ("2/2".to_owned(), "Terminating".to_owned()));
    pod["status"]["reason"] = json!("NodeLost");
    assert_eq!(row(&pod, NOW).status, "Unknown");
    let mut ended = of("Succeeded", [&ends(0, "Completed"), &ends(0, "Completed")], false);
    ended["metadata"]["deletionTimestamp"] = json!("2026-11-29T00:30:00Z");
    assert_eq!(row(&ended, NOW).status, "Completed");
}

#[test]
fn sidecars_count_and_init_containers_stop_counting() {
    let mut pod = of("Running", [&runs(), &runs()], true);
    pod["spec"]["initContainers"] = json!([{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]);
    let mut side = container("s", &runs());
    side["started"] = json!(true);
    side["restartCount"] = json!(2);
    side["lastState"] = json!({"terminated": {"exitCode": 1, "finishedAt": "2026-11-29T00:55:00Z"}});
    let mut through = container("i", &ends(0, "Completed"));
    through["restartCount"] = json!(5);
    through["lastState"] = json!({"terminated": {"exitCode": 1, "finishedAt": "2026-11-29T00:59:00Z"}});
    pod["status"]["initContainerStatuses"] = json!([side, through]);
    let line = row(&pod, NOW);
    assert_eq!((line.ready.as_str(), line.restarts.as_str()), ("3/3", "2 (5m ago)"));
    // As long as they are not through, they do.
    pod["status"]["initContainerStatuses"][1]["state"] = waits("CrashLoopBackOff");
    let line = row(&pod, NOW);
    assert_eq!((line.status.as_str(), line.restarts.as_str()), ("Init:CrashLoopBackOff", "7 (60s ago)"));
}

#[test]
fn age_address_and_reason() {
    let mut pod = of("Running", [&runs(), &waits("CrashLoopBackOff")], false);
    let line = row(&pod, NOW);
    assert_eq!((line.namespace.as_str(), line.name.as_str(), line.age.as_str()), ("n", "p", "60m"));
    assert_eq!((line.restarts.as_str(), line.ip.as_str(), line.reason.as_str()), ("0", NONE, NONE));
    pod["status"]["podIPs"] = json!([{"ip": "10.0.0.7"}]);
    pod["status"]["containerStatuses"][1]["lastState"] = ends(2, "Error");
    let line = row(&pod, NOW);
    assert_eq!((line.ip.as_str(), line.reason.as_str()), ("10.0.0.7", "b ended: Error, exit code 2"));
    pod["status"]["containerStatuses"][1]["state"]["waiting"]["message"] = json!("back-off\n 40s");
    assert_eq!(row(&pod, NOW).reason, "back-off 40s");
    let refused = json!({"type": "skerry.io/FieldsHonoured", "status": "False", "message": "é".repeat(300)});
    pod["status"]["conditions"] = json!([refused]);
    assert_eq!(row(&pod, NOW).reason, format!("{}…", "é".repeat(LONGEST_REASON)));
    pod["metadata"]["creationTimestamp"] = Value::Null;
    assert_eq!(row(&pod, NOW).age, "<unknown>");
}
