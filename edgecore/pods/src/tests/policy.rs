//! Who runs again: policies of pods, policies and rules of containers, and what follows for the pod.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tests::kit::{Sim, pod};

/// Exit codes, out of 0, 1 and 42, after which the container runs again.
fn codes(policy: &str, list: &str, container: &Value) -> Vec<i32> {
    let mut container = container.clone();
    container["name"] = json!("c");
    let mut spec = json!({"restartPolicy": policy, "containers": [{"name": "other"}]});
    spec[list] = json!([container]);
    let desired = pod(&spec);
    let (role, container) = desired.container("c").unwrap();
    [0, 1, 42].into_iter().filter(|code| desired.restarts(role, container, *code)).collect()
}

fn app(policy: &str, container: &Value) -> Vec<i32> {
    codes(policy, "containers", container)
}

fn rule(action: &str, operator: &str, values: &Value) -> Value {
    json!({"action": action, "exitCodes": {"operator": operator, "values": values}})
}

#[test]
fn a_containers_own_policy_stands_above_the_pods() {
    let all = [("Always", vec![0, 1, 42]), ("OnFailure", vec![1, 42]), ("Never", vec![])];
    for (pods, by_pod) in &all {
        assert_eq!(app(pods, &json!({})), *by_pod, "{pods}");
        for (own, by_own) in &all {
            assert_eq!(app(pods, &json!({"restartPolicy": own})), *by_own, "{pods} {own}");
        }
    }
    assert_eq!(app("Never", &json!({"restartPolicy": "Sometimes"})), [0_i32; 0]);
}

#[test]
fn the_first_rule_that_takes_the_exit_code_decides() {
    let by = |own: &str, rules: &[Value]| {
        app("Never", &json!({"restartPolicy": own, "restartPolicyRules": rules}))
    };
    let none: [i32; 0] = [];
    assert_eq!(by("Never", &[rule("Restart", "In", &json!([42, 0]))]), [0, 42]);
    assert_eq!(by("Never", &[rule("Restart", "NotIn", &json!([42]))]), [0, 1]);
    assert_eq!(by("OnFailure", &[rule("Restart", "In", &json!([0, 7]))]), [0, 1, 42]);
    assert_eq!(by("Never", &[rule("Restart", "In", &json!([]))]), none);
    assert_eq!(by("Never", &[rule("Restart", "NotIn", &json!([]))]), [0, 1, 42]);
    assert_eq!(by("Never", &[rule("Restart", "Like", &json!([42]))]), none);
    assert_eq!(by("Never", &[json!({"action": "Restart"})]), none);
    // One that does something else keeps later ones from having their say; the policy has it.
    let first = rule("Other", "In", &json!([42]));
    let rules = [first, rule("Restart", "NotIn", &json!([0]))];
    assert_eq!(by("Never", &rules), [1]);
    assert_eq!(by("OnFailure", &rules), [1, 42]);
    // Without a policy beside them they do not count, as upstream.
    let bare = json!({"restartPolicyRules": [rule("Restart", "In", &json!([42]))]});
    assert_eq!(app("Never", &bare), none);
    assert_eq!(app("OnFailure", &bare), [1, 42]);
}

#[test]
fn an_init_container_that_succeeded_is_through() {
    let init = |policy: &str, container: &Value| codes(policy, "initContainers", container);
    let none: [i32; 0] = [];
    assert_eq!(init("Always", &json!({})), [1, 42]);
    assert_eq!(init("Never", &json!({})), none);
    assert_eq!(init("Never", &json!({"restartPolicy": "OnFailure"})), [1, 42]);
    assert_eq!(init("Always", &json!({"restartPolicy": "Never"})), none);
    let rules = [rule("Restart", "In", &json!([0, 42]))];
    let never = json!({"restartPolicy": "Never", "restartPolicyRules": rules});
    assert_eq!(init("Always", &never), [42]);
    // A sidecar runs on, whatever it and its rules say.
    let sidecar = json!({"restartPolicy": "Always", "restartPolicyRules": rules});
    assert_eq!(init("Never", &sidecar), [0, 1, 42]);
}

#[test]
fn who_runs_once() {
    let once = |policy: &str, container: &Value| {
        let mut container = container.clone();
        container["name"] = json!("c");
        pod(&json!({"restartPolicy": policy, "containers": [{"name": "a"}, container]})).runs_once()
    };
    assert!(once("Never", &json!({})));
    assert!(once("Never", &json!({"restartPolicy": "Never"})));
    assert!(!once("Never", &json!({"restartPolicy": "OnFailure"})));
    assert!(!once("Never", &json!({"restartPolicy": "Always"})));
    let rules = json!([rule("Restart", "In", &json!([42]))]);
    assert!(!once("Never", &json!({"restartPolicy": "Never", "restartPolicyRules": rules})));
    assert!(!once("Always", &json!({"restartPolicy": "Never"})));
}

/// A pod of one container.
fn one(policy: &str, container: &Value) -> Sim {
    let mut container = container.clone();
    container["name"] = json!("c");
    Sim::new(pod(&json!({"restartPolicy": policy, "containers": [container]})))
}

/// Runs again after 42 alone.
fn after_42() -> Value {
    json!({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", "In", &json!([42]))]})
}

fn phase(sim: &Sim) -> Value {
    sim.status()["phase"].clone()
}

/// What the first container is waiting for.
fn waiting(sim: &Sim) -> Value {
    sim.status()["containerStatuses"][0]["state"]["waiting"]["reason"].clone()
}

fn verdict(sim: &Sim) -> Option<bool> {
    sim.history.verdict.as_ref().map(|verdict| verdict.succeeded)
}

#[test]
fn what_a_container_says_itself_decides() {
    let check = |policy: &str, container: &Value, code: i32, over: Option<bool>| {
        let mut sim = one(policy, container);
        sim.settle();
        sim.exit("c", code);
        sim.settle();
        assert_eq!(verdict(&sim), over, "{policy} {container} {code}");
        assert_eq!(sim.running("c").is_some(), over.is_none(), "{policy} {container} {code}");
        let want = match over {
            None => "Running",
            Some(true) => "Succeeded",
            Some(false) => "Failed",
        };
        assert_eq!(phase(&sim), want, "{policy} {container} {code}");
    };
    check("Never", &json!({"restartPolicy": "Always"}), 0, None);
    check("Never", &json!({"restartPolicy": "OnFailure"}), 1, None);
    check("Never", &json!({"restartPolicy": "OnFailure"}), 0, Some(true));
    check("Always", &json!({"restartPolicy": "Never"}), 1, Some(false));
    check("Always", &json!({"restartPolicy": "Never"}), 0, Some(true));
    check("Always", &json!({"restartPolicy": "OnFailure"}), 0, Some(true));
    check("Never", &after_42(), 42, None);
    check("Never", &after_42(), 1, Some(false));
    check("Always", &after_42(), 0, Some(true));
}

#[test]
fn a_pod_that_never_restarts_is_running_while_a_rule_has_its_container_wait() {
    let mut sim = one("Never", &after_42());
    sim.settle();
    sim.exit("c", 42);
    sim.look();
    assert_eq!((verdict(&sim), phase(&sim)), (None, json!("Running")));
    sim.settle();
    sim.exit("c", 42);
    sim.settle();
    assert_eq!((waiting(&sim), phase(&sim)), (json!("CrashLoopBackOff"), json!("Running")));
    assert!(sim.running("c").is_none());
    // Over a restart of the process it goes on waiting.
    sim.crash();
    sim.settle();
    assert_eq!((waiting(&sim), verdict(&sim)), (json!("CrashLoopBackOff"), None));
    sim.pass(Duration::from_secs(10));
    sim.settle();
    assert!(sim.running("c").is_some());
    assert_eq!(sim.history.ran("c").unwrap().restarts, 2);
    sim.exit("c", 0);
    sim.settle();
    assert_eq!((verdict(&sim), phase(&sim)), (Some(true), json!("Succeeded")));
}

#[test]
fn a_pod_is_over_when_none_of_its_containers_runs_again() {
    let mut sim = Sim::new(pod(&json!({"restartPolicy": "Always", "containers": [
        {"name": "a", "restartPolicy": "Never"}, {"name": "b", "restartPolicy": "OnFailure"}]})));
    sim.settle();
    sim.exit("a", 3);
    sim.settle();
    let status = sim.status();
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    assert_eq!((sim.running("a"), status["phase"].as_str()), (None, Some("Running")));
    sim.exit("b", 1);
    sim.look();
    assert_eq!((verdict(&sim), phase(&sim)), (None, json!("Running")));
    sim.settle();
    sim.exit("b", 0);
    sim.settle();
    assert_eq!((verdict(&sim), phase(&sim)), (Some(false), json!("Failed")));
}

#[test]
fn an_init_container_that_may_not_run_again_fails_its_pod() {
    let with = |policy: &str, init: &Value| {
        let mut init = init.clone();
        init["name"] = json!("i");
        Sim::new(pod(
            &json!({"restartPolicy": policy, "initContainers": [init], "containers": [{"name": "c"}]}),
        ))
    };
    let mut sim = with("Always", &after_42());
    sim.settle();
    sim.exit("i", 42);
    sim.settle();
    assert_eq!((verdict(&sim), phase(&sim)), (None, json!("Pending")));
    sim.exit("i", 42);
    sim.settle();
    let init = &sim.status()["initContainerStatuses"][0];
    assert_eq!(init["state"]["waiting"]["reason"], "CrashLoopBackOff");
    sim.pass(Duration::from_secs(10));
    sim.settle();
    sim.exit("i", 1);
    sim.settle();
    assert_eq!((verdict(&sim), phase(&sim)), (Some(false), json!("Failed")));
    assert!(sim.running("c").is_none() && sim.history.ran("c").is_none());

    let mut sim = with("Never", &json!({"restartPolicy": "OnFailure"}));
    sim.settle();
    sim.exit("i", 1);
    sim.settle();
    assert!(verdict(&sim).is_none() && sim.running("i").is_some());
    sim.exit("i", 0);
    sim.settle();
    assert!(sim.running("c").is_some());
}

#[test]
fn a_power_cut_is_an_end_like_any_other() {
    // A container that was cut off exits with 255.
    let after_255 =
        json!({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", "In", &json!([255]))]});
    for (policy, container, over) in [
        ("Never", json!({"restartPolicy": "Always"}), None),
        ("Never", after_255, None),
        ("Never", after_42(), Some(false)),
        ("Always", json!({"restartPolicy": "Never"}), Some(false)),
    ] {
        let mut sim = one(policy, &container);
        sim.settle();
        sim.reboot("b1");
        sim.settle();
        assert_eq!(verdict(&sim), over, "{policy} {container}");
        assert_eq!(sim.running("c").is_some(), over.is_none(), "{policy} {container}");
    }
}

#[test]
fn what_ended_for_good_does_not_run_in_a_new_sandbox_either() {
    for (policy, stays, goes) in [("Always", "Always", "Never"), ("Never", "Always", "OnFailure")] {
        let mut sim = Sim::new(pod(&json!({"restartPolicy": policy, "containers": [
            {"name": "stays", "restartPolicy": stays}, {"name": "goes", "restartPolicy": goes}]})));
        sim.settle();
        sim.exit("goes", 0);
        sim.settle();
        sim.reboot("b1");
        sim.settle();
        assert!(sim.running("stays").is_some() && sim.running("goes").is_none(), "{policy}");
        assert_eq!(phase(&sim), "Running");
    }
}

#[test]
fn a_pod_without_its_sandbox_gets_another_only_where_somebody_may_run_again() {
    for (own, over) in [("Never", Some(false)), ("Always", None)] {
        let mut sim = Sim::new(pod(&json!({"restartPolicy": "Never", "containers": [
            {"name": "a"}, {"name": "b", "restartPolicy": own}]})));
        sim.broken.insert("b".into(), ("ErrImagePull".into(), true));
        sim.settle();
        sim.exit("a", 0);
        sim.reboot("b1");
        sim.broken.clear();
        sim.settle();
        assert_eq!(verdict(&sim), over, "{own}");
        assert_eq!(sim.running("b").is_some(), over.is_none(), "{own}");
        assert!(sim.running("a").is_none());
    }
}

#[test]
fn a_failed_probe_ends_a_container_that_may_not_run_again_for_good() {
    let check = |policy: &str, container: &Value, over: Option<bool>| {
        let mut sim = one(policy, container);
        sim.settle();
        assert_eq!(sim.desired.outlives_a_probe("c"), over.is_none());
        let doom = crate::memory::Doom { message: "m".into(), grace: None };
        sim.memory.doomed.insert(sim.running("c").unwrap().0, doom);
        sim.settle();
        assert_eq!(verdict(&sim), over, "{policy} {container}");
        assert_eq!(sim.running("c").is_some(), over.is_none(), "{policy} {container}");
    };
    check("Always", &json!({}), None);
    check("Never", &json!({"restartPolicy": "Always"}), None);
    check("Always", &json!({"restartPolicy": "Never"}), Some(false));
    check("Always", &after_42(), Some(false));
}
