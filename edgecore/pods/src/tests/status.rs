//! What people see.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tests::kit::{Sim, pod, pod_of};

fn container(status: &Value) -> &Value {
    &status["containerStatuses"][0]
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn crash(policy: &str) -> Sim {
    Sim::new(pod(&json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]})))
}

#[test]
fn before_anything_happened() {
    let mut sim = crash("Always");
    sim.look();
    let status = sim.status();
    assert_eq!(status["phase"], "Pending");
    assert_eq!(container(&status)["state"], json!({"waiting": {"reason": "ContainerCreating"}}));
    assert_eq!(condition(&status, "PodReadyToStartContainers")["status"], "False");
    assert_eq!(condition(&status, "Initialized")["status"], "True");
    let ready = condition(&status, "Ready");
    assert_eq!(ready["reason"], "ContainersNotReady");
    assert_eq!(ready["message"], "containers with unready status: [c]");
    assert_eq!(condition(&status, "PodScheduled"), &Value::Null);
    assert_eq!(status["hostIP"], "192.0.2.1");
    assert_eq!(status["startTime"], "2023-11-14T22:13:20Z");
    assert_eq!(status["qosClass"], "BestEffort");
}

#[test]
fn running_and_ready() {
    let mut sim = crash("Always");
    sim.settle();
    let status = sim.status();
    assert_eq!(status["phase"], "Running");
    assert_eq!(condition(&status, "Ready")["status"], "True");
    assert_eq!(condition(&status, "PodReadyToStartContainers")["status"], "True");
    assert_eq!(status["podIPs"], json!([{"ip": "10.0.0.1"}]));
    let c = container(&status);
    assert_eq!((&c["ready"], &c["started"], &c["restartCount"]), (&json!(true), &json!(true), &json!(0)));
    assert_eq!(c["containerID"], "containerd://c2");
    assert_eq!(c["imageID"], "sha256:image");
    assert!(c["state"]["running"]["startedAt"].is_string());
}

#[test]
fn nothing_changes_while_nothing_happens() {
    let mut sim = crash("Always");
    sim.settle();
    let (status, stored) = (sim.status(), sim.stored.clone());
    sim.pass(Duration::from_hours(24));
    sim.settle();
    assert_eq!(sim.status(), status);
    assert_eq!(sim.stored, stored);
    // Nor over a restart of the process.
    sim.crash();
    sim.settle();
    assert_eq!(sim.status(), status);
    assert_eq!(sim.stored, stored);
}

#[test]
fn a_crash_loop_in_upstreams_words() {
    let mut sim = crash("Always");
    sim.settle();
    sim.exit("c", 3);
    sim.settle();
    sim.exit("c", 4);
    sim.settle();
    let status = sim.status();
    let c = container(&status);
    assert_eq!(
        c["state"],
        json!({"waiting": {"reason": "CrashLoopBackOff",
            "message": "back-off 10s restarting failed container=c pod=p_n(u1)"}})
    );
    assert_eq!(c["lastState"]["terminated"]["exitCode"], 4);
    assert_eq!(c["lastState"]["terminated"]["reason"], "Error");
    assert_eq!(c["restartCount"], 1);
    assert_eq!(status["phase"], "Running");
    sim.pass(Duration::from_secs(10));
    sim.settle();
    let status = sim.status();
    assert_eq!(container(&status)["restartCount"], 2);
    assert_eq!(container(&status)["lastState"]["terminated"]["exitCode"], 4);
}

#[test]
fn ends_of_jobs() {
    let check = |code: i32, phase: &str, reason: &str| {
        let mut sim = crash("Never");
        sim.settle();
        sim.exit("c", code);
        sim.settle();
        let status = sim.status();
        assert_eq!(status["phase"], phase);
        assert_eq!(condition(&status, "Ready")["reason"], reason);
        assert_eq!(container(&status)["state"]["terminated"]["exitCode"], code);
        // The address stays on record.
        assert_eq!(status["podIP"], "10.0.0.1");
    };
    check(0, "Succeeded", "PodCompleted");
    check(2, "Failed", "PodFailed");
}

#[test]
fn a_job_is_over_when_its_sidecars_are() {
    for (code, phase) in [(0, "Succeeded"), (2, "Failed")] {
        let mut sim = Sim::new(pod(&json!({"restartPolicy": "Never",
            "initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "c"}]})));
        sim.settle();
        sim.exit("c", code);
        sim.look();
        assert!(sim.history.verdict.is_some());
        assert_eq!(sim.status()["phase"], "Running");
        sim.settle();
        assert_eq!(sim.status()["phase"], phase);
    }
}

#[test]
fn a_lost_container_is_told_by_upstreams_name() {
    let mut sim = crash("Never");
    sim.settle();
    sim.world.containers.clear();
    sim.settle();
    let status = sim.status();
    let ended = &container(&status)["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(137), &json!("ContainerStatusUnknown")));
}

#[test]
fn init_containers_hold_the_others_back() {
    let mut sim = Sim::new(pod(&json!({"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]})));
    sim.settle();
    let status = sim.status();
    assert_eq!(status["phase"], "Pending");
    assert_eq!(container(&status)["state"], json!({"waiting": {"reason": "PodInitializing"}}));
    let init = condition(&status, "Initialized");
    assert_eq!(init["reason"], "ContainersNotInitialized");
    assert_eq!(init["message"], "containers with incomplete status: [i]");
    sim.exit("i", 1);
    sim.settle();
    sim.exit("i", 1);
    sim.settle();
    let status = sim.status();
    assert_eq!(status["initContainerStatuses"][0]["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(status["phase"], "Pending");
}

#[test]
fn images_that_do_not_come() {
    let mut sim = crash("Always");
    sim.broken.insert("c".into(), ("ErrImagePull".into(), true));
    sim.settle();
    let status = sim.status();
    assert_eq!(container(&status)["state"], json!({"waiting": {"reason": "ErrImagePull", "message": "why"}}));
    assert_eq!(status["phase"], "Pending");
    sim.pass(Duration::from_secs(6));
    sim.settle();
    let status = sim.status();
    assert_eq!(
        container(&status)["state"]["waiting"],
        json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"i\": ErrImagePull: why"})
    );
}

#[test]
fn refused_fields_are_named() {
    let mut sim = crash("Always");
    sim.desired.refused = ["spec.a".to_owned(), "spec.b".to_owned()].into();
    sim.settle();
    let status = sim.status();
    assert_eq!(status["phase"], "Pending");
    let honoured = condition(&status, "skerry.io/FieldsHonoured");
    assert_eq!(
        (&honoured["status"], &honoured["reason"], &honoured["message"]),
        (&json!("False"), &json!("FieldNotSupported"), &json!("spec.a, spec.b"))
    );
}

#[test]
fn readiness_gates_are_others_to_open() {
    let check = |conditions: Value, want: &str| {
        let mut sim = Sim::new(pod_of(&json!({
            "spec": {"readinessGates": [{"conditionType": "g"}], "containers": [{"name": "c"}]},
            "status": {"conditions": conditions},
        })));
        sim.settle();
        let status = sim.status();
        assert_eq!(condition(&status, "ContainersReady")["status"], "True");
        assert_eq!(condition(&status, "Ready")["status"], want);
    };
    check(json!([]), "False");
    check(json!([{"type": "g", "status": "False"}]), "False");
    check(json!([{"type": "g", "status": "True"}]), "True");
}

#[test]
fn probes_decide_about_ready_and_survive_a_restart_of_the_process() {
    let mut sim =
        Sim::new(pod(&json!({"containers": [{"name": "c", "readinessProbe": {"tcpSocket": {"port": 1}}}]})));
    sim.settle();
    assert_eq!(condition(&sim.status(), "Ready")["status"], "False");
    sim.history.containers.get_mut("c").unwrap().current.as_mut().unwrap().ready = true;
    sim.pass(Duration::from_secs(5));
    sim.settle();
    let status = sim.status();
    assert_eq!(condition(&status, "Ready")["status"], "True");
    assert_eq!(condition(&status, "Ready")["lastTransitionTime"], "2023-11-14T22:13:25Z");
    sim.crash();
    sim.settle();
    assert_eq!(sim.status(), status);
}

#[test]
fn a_deleted_pod_ends_as_upstreams_does() {
    let mut sim = crash("Always");
    sim.settle();
    sim.delete();
    sim.look();
    assert_eq!(sim.status()["phase"], "Running");
    sim.settle();
    let status = sim.status();
    assert_eq!(status["phase"], "Failed");
    assert_eq!(container(&status)["state"]["terminated"]["exitCode"], 143);
    // The same words after everything was forgotten but what is on the disk.
    sim.crash();
    sim.settle();
    assert_eq!(sim.status(), status);
}

#[test]
fn times_of_a_wrong_clock_are_put_right_once_the_cloud_told() {
    let mut sim = crash("Always");
    sim.now.trusted = false;
    sim.settle();
    sim.pass(Duration::from_mins(1));
    sim.settle();
    assert_eq!(sim.status()["startTime"], "2023-11-14T22:13:20Z");
    // The machine's clock was a day behind; the runtime goes on reading it.
    let day = 86_400_000;
    sim.now.trusted = true;
    sim.now.offset_ms = day;
    sim.now.wall = sim.now.wall.plus_millis(day);
    sim.look();
    let status = sim.status();
    assert_eq!(status["startTime"], "2023-11-15T22:13:20Z");
    assert_eq!(condition(&status, "Ready")["lastTransitionTime"], "2023-11-15T22:13:20Z");
    assert_eq!(container(&status)["state"]["running"]["startedAt"], "2023-11-15T22:13:20Z");
    // A little later the cloud says it a little otherwise: nothing wavers.
    sim.now.offset_ms = day + 1500;
    sim.look();
    assert_eq!(sim.status(), status);
}
