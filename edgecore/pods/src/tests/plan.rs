//! What is done when.

use std::time::Duration;

use serde_json::{Value, json};

use crate::action::Action;
use crate::memory::Doom;
use crate::runtime::ContainerState;
use crate::tests::kit::{Sim, pod};

fn one(policy: &str) -> Value {
    json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]})
}

fn with_inits() -> Value {
    json!({"restartPolicy": "Always",
        "initContainers": [{"name": "i1"}, {"name": "i2"}],
        "containers": [{"name": "a"}, {"name": "b"}]})
}

/// The steps of a plan in short.
fn short(sim: &Sim) -> Vec<String> {
    let one = |action: &Action| match action {
        Action::Prepare => "prepare".into(),
        Action::RunSandbox { attempt } => format!("sandbox {attempt}"),
        Action::StopSandbox(id) => format!("stop {}", id.0),
        Action::RemoveSandbox(id) => format!("remove {}", id.0),
        Action::Start { name, attempt, .. } => format!("start {name} {attempt}"),
        Action::Kill(kills) => {
            let names: Vec<_> =
                kills.iter().map(|kill| format!("{} {}s", kill.name, kill.grace.as_secs())).collect();
            format!("kill {}", names.join(" "))
        }
        Action::RemoveContainer { name, attempt, .. } => format!("remove {name} {attempt}"),
        Action::Clear => "clear".into(),
    };
    sim.plan().actions.iter().map(one).collect()
}

#[test]
fn files_sandbox_containers_in_this_order() {
    let mut sim = Sim::new(pod(&json!({"containers": [{"name": "a"}, {"name": "b"}]})));
    sim.look();
    assert_eq!(short(&sim), ["prepare", "sandbox 0", "start a 0", "start b 0"]);
    sim.settle();
    assert!(short(&sim).is_empty());
}

#[test]
fn init_containers_run_one_by_one_and_again_in_a_new_sandbox() {
    let mut sim = Sim::new(pod(&with_inits()));
    sim.look();
    assert_eq!(short(&sim), ["prepare", "sandbox 0", "start i1 0"]);
    sim.settle();
    assert!(short(&sim).is_empty());
    sim.exit("i1", 0);
    sim.look();
    assert_eq!(short(&sim), ["start i2 0"]);
    sim.settle();
    sim.exit("i2", 0);
    sim.look();
    assert_eq!(short(&sim), ["start a 0", "start b 0"]);
    sim.settle();
    sim.reboot("b1");
    sim.look();
    assert_eq!(short(&sim), ["prepare", "sandbox 1", "start i1 1"]);
    sim.settle();
    sim.exit("i1", 0);
    sim.settle();
    sim.exit("i2", 0);
    sim.settle();
    assert!(sim.running("a").is_some() && sim.running("b").is_some());
    // The old sandbox is given back when there is time.
    assert!(!sim.memory.stopped.contains(&crate::runtime::SandboxId("s1".into())));
    sim.pass(Duration::from_secs(5));
    sim.settle();
    assert!(sim.memory.stopped.contains(&crate::runtime::SandboxId("s1".into())));
}

#[test]
fn a_sidecar_stays_and_ends_last() {
    let mut sim = Sim::new(pod(&json!({"restartPolicy": "Never",
        "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}],
        "containers": [{"name": "a"}]})));
    sim.settle();
    assert!(sim.running("s").is_some() && sim.running("i").is_some() && sim.running("a").is_none());
    sim.exit("i", 0);
    sim.settle();
    assert!(sim.running("a").is_some());
    sim.exit("s", 1);
    sim.settle();
    assert_eq!(sim.history.ran("s").unwrap().restarts, 1);
    sim.exit("a", 0);
    sim.settle();
    // A sidecar that runs does not keep a pod from being over; it ends with it.
    assert!(sim.history.verdict.as_ref().unwrap().succeeded);
    assert!(sim.world.running().next().is_none());
}

#[test]
fn back_off_doubles_and_starts_anew_after_a_long_run() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    for wait in [0, 10, 20, 40, 80, 160, 300, 300] {
        sim.pass(Duration::from_secs(1));
        sim.exit("c", 1);
        sim.settle();
        if wait > 0 {
            assert!(sim.running("c").is_none(), "{wait}");
            sim.pass(Duration::from_millis(wait * 1000 - 100));
            sim.settle();
            assert!(sim.running("c").is_none(), "{wait}");
            sim.pass(Duration::from_millis(100));
            sim.settle();
        }
        assert!(sim.running("c").is_some(), "{wait}");
    }
    sim.pass(Duration::from_secs(601));
    sim.exit("c", 1);
    sim.settle();
    assert!(sim.running("c").is_some());
    assert_eq!(sim.history.ran("c").unwrap().wait_s, Some(10));
}

#[test]
fn after_a_reboot_nothing_waits_and_counts_go_on() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    for _ in 0..3 {
        sim.exit("c", 1);
        sim.settle();
        sim.pass(Duration::from_secs(100));
        sim.settle();
    }
    sim.exit("c", 1);
    sim.settle();
    assert!(sim.running("c").is_none());
    sim.reboot("b1");
    sim.settle();
    assert!(sim.running("c").is_some());
    assert_eq!(sim.history.ran("c").unwrap().restarts, 4);
}

#[test]
fn a_run_that_the_power_cut_off_is_no_crash() {
    for lost in [false, true] {
        let mut sim = Sim::new(pod(&one("Always")));
        sim.settle();
        for boot in ["b1", "b2", "b3"] {
            sim.pass(Duration::from_secs(20));
            sim.reboot(boot);
            if lost {
                sim.world.containers.clear();
            }
            sim.look();
            assert_ne!(waiting(&sim), "CrashLoopBackOff", "{boot} lost: {lost}");
            sim.settle();
            assert!(sim.running("c").is_some(), "{boot} lost: {lost}");
        }
        assert_eq!(sim.history.ran("c").unwrap().restarts, 3);
        // One that crashes in the new boot does wait.
        sim.exit("c", 1);
        sim.look();
        assert_eq!(waiting(&sim), "CrashLoopBackOff");
    }
}

#[test]
fn a_restart_that_fails_shows_why_and_counts_once() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.exit("c", 1);
    sim.broken.insert("c".into(), ("CreateContainerConfigError".into(), false));
    for _ in 0..5 {
        sim.settle();
        assert_eq!(waiting(&sim), "CreateContainerConfigError");
        sim.pass(Duration::from_secs(11));
    }
    sim.broken.clear();
    sim.settle();
    assert!(sim.running("c").is_some());
    assert_eq!(sim.history.ran("c").unwrap().wait_s, Some(10));
    sim.exit("c", 1);
    sim.look();
    assert_eq!(waiting(&sim), "CrashLoopBackOff");
}

#[test]
fn an_init_container_of_a_new_sandbox_waits_for_nothing() {
    let mut sim = Sim::new(pod(&with_inits()));
    for _ in 0..3 {
        sim.settle();
        sim.exit("i1", 1);
        sim.pass(Duration::from_millis(1));
        sim.world.sandboxes.last_mut().unwrap().ready = false;
        sim.look();
        assert_ne!(
            sim.status()["initContainerStatuses"][0]["state"]["waiting"]["reason"],
            "CrashLoopBackOff"
        );
    }
}

/// What the first container is waiting for.
fn waiting(sim: &Sim) -> String {
    let status = sim.status();
    status["containerStatuses"][0]["state"]["waiting"]["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn restart_policies() {
    let check = |policy: &str, code: i32, runs: bool, verdict: Option<bool>| {
        let mut sim = Sim::new(pod(&one(policy)));
        sim.settle();
        sim.exit("c", code);
        sim.settle();
        assert_eq!(sim.running("c").is_some(), runs, "{policy} {code}");
        assert_eq!(sim.history.verdict.as_ref().map(|v| v.succeeded), verdict, "{policy} {code}");
    };
    check("Always", 0, true, None);
    check("Always", 1, true, None);
    check("OnFailure", 0, false, Some(true));
    check("OnFailure", 1, true, None);
    check("Never", 0, false, Some(true));
    check("Never", 1, false, Some(false));
}

#[test]
fn what_is_over_never_runs_again() {
    for lost in [false, true] {
        let mut sim = Sim::new(pod(&one("OnFailure")));
        sim.settle();
        sim.exit("c", 0);
        sim.settle();
        sim.calls();
        sim.reboot("b1");
        if lost {
            sim.world.containers.clear();
            sim.world.sandboxes.clear();
        }
        sim.settle();
        assert!(sim.calls().is_empty(), "lost: {lost}");
    }
}

#[test]
fn a_pod_on_record_as_over_does_not_run_in_an_empty_store() {
    let body = json!({"metadata": {"name": "p"}, "spec": one("Never"), "status": {"phase": "Succeeded"}});
    let mut sim = Sim::new(crate::tests::kit::pod_of(&body));
    sim.settle();
    assert!(sim.calls().is_empty());
    assert_eq!(sim.status()["phase"], "Succeeded");
}

#[test]
fn a_pod_that_never_restarts_gets_no_second_sandbox() {
    let mut sim = Sim::new(pod(&one("Never")));
    sim.settle();
    sim.calls();
    sim.reboot("b1");
    sim.settle();
    assert!(sim.calls().is_empty());
    assert_eq!(sim.status()["phase"], "Failed");
}

#[test]
fn a_dead_sandbox_is_replaced() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.world.sandboxes[0].ready = false;
    sim.look();
    // What still runs in it ends first.
    assert_eq!(short(&sim), ["kill c 30s"]);
    sim.settle();
    assert!(sim.running("c").is_some());
    assert_eq!(sim.world.sandboxes.iter().filter(|sandbox| sandbox.ready).count(), 1);
}

#[test]
fn host_ports_are_given_back_before_they_are_taken_again() {
    let mut sim = Sim::new(pod(
        &json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]}),
    ));
    sim.settle();
    sim.reboot("b1");
    sim.look();
    assert_eq!(short(&sim), ["stop s1", "prepare", "sandbox 1", "start c 1"]);
}

#[test]
fn an_image_that_changed_restarts_its_container() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    let hash = crate::desired::container_hash(sim.desired.container("c").unwrap().1);
    sim.world.containers[0].0.annotations.insert(crate::runtime::ANNOTATION_HASH.into(), hash);
    sim.look();
    assert!(short(&sim).is_empty());
    sim.desired = pod(&json!({"containers": [{"name": "c", "image": "other"}]}));
    sim.look();
    assert_eq!(short(&sim), ["kill c 30s"]);
}

#[test]
fn a_failed_probe_restarts_with_a_grace_of_its_own() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    let id = sim.running("c").unwrap();
    let grace = Some(Duration::from_secs(3));
    sim.memory.doomed.insert(id.0, Doom { message: "m".into(), grace });
    sim.look();
    assert_eq!(short(&sim), ["kill c 3s"]);
    sim.settle();
    assert!(sim.running("c").is_some());
    assert_eq!(sim.history.ran("c").unwrap().restarts, 1);
}

#[test]
fn deletion_counts_its_grace_over_a_restart_of_the_process() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.delete();
    sim.look();
    assert_eq!(short(&sim), ["kill c 30s"]);
    sim.pass(Duration::from_secs(12));
    sim.crash();
    sim.look();
    assert_eq!(short(&sim), ["kill c 18s"]);
    sim.settle();
    assert!(sim.memory.cleared && sim.world.sandboxes.is_empty());
}

#[test]
fn sidecars_share_the_grace_with_the_others() {
    let mut sim = Sim::new(pod(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "t", "restartPolicy": "Always"}],
        "containers": [{"name": "a"}]})));
    sim.settle();
    sim.delete();
    sim.look();
    assert_eq!(short(&sim), ["kill a 30s"]);
    sim.act(1);
    sim.pass(Duration::from_secs(25));
    sim.look();
    assert_eq!(short(&sim), ["kill t 5s"]);
    sim.act(1);
    sim.pass(Duration::from_secs(5));
    sim.look();
    assert_eq!(short(&sim), ["kill s 1s"]);
    sim.settle();
    assert!(sim.memory.cleared && sim.world.sandboxes.is_empty());
}

#[test]
fn a_verdict_counts_its_grace_over_a_restart_of_the_process() {
    let spec = json!({"activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "c"}]});
    let mut sim = Sim::new(pod(&spec));
    sim.settle();
    sim.pass(Duration::from_secs(61));
    sim.look();
    assert_eq!(short(&sim), ["kill c 30s"]);
    sim.pass(Duration::from_secs(12));
    sim.crash();
    sim.look();
    assert_eq!(short(&sim), ["kill c 18s"]);
}

#[test]
fn a_pod_that_never_started_leaves_at_once() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.delete();
    sim.look();
    assert_eq!(short(&sim), ["clear"]);
}

#[test]
fn a_deadline_ends_the_pod_for_good() {
    let mut sim = Sim::new(pod(&json!({"activeDeadlineSeconds": 60, "containers": [{"name": "c"}]})));
    sim.settle();
    assert!(sim.plan().wake.is_some());
    sim.pass(Duration::from_secs(61));
    sim.settle();
    assert!(sim.running("c").is_none());
    let status = sim.status();
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("DeadlineExceeded")));
}

#[test]
fn refused_fields_start_nothing_and_stop_nothing() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.desired.refused = ["spec.volumes[0].iscsi".to_owned()].into();
    sim.settle();
    assert!(sim.calls().is_empty());
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.calls();
    sim.desired.refused = ["spec.x".to_owned()].into();
    sim.settle();
    assert!(sim.calls().is_empty());
    sim.delete();
    sim.settle();
    assert!(sim.world.containers.is_empty());
}

#[test]
fn a_running_pod_that_is_given_a_refused_field_is_still_looked_after() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.desired.refused = ["spec.ephemeralContainers".to_owned()].into();
    sim.exit("c", 1);
    sim.pass(Duration::from_secs(400));
    sim.settle();
    assert!(sim.running("c").is_some());
}

#[test]
fn one_ended_run_is_kept_and_older_ones_go() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    for _ in 0..5 {
        sim.exit("c", 1);
        sim.settle();
        sim.pass(Duration::from_secs(400));
        sim.settle();
        sim.pass(Duration::from_secs(5));
        sim.settle();
        assert!(sim.world.containers.len() <= 3, "{}", sim.world.containers.len());
    }
    assert_eq!(sim.world.containers.len(), 2);
    assert_eq!(sim.history.ran("c").unwrap().restarts, 5);
}

#[test]
fn what_was_made_and_never_started_is_made_anew() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.exit("c", 1);
    sim.look();
    let home = sim.world.sandboxes[0].id.clone();
    sim.world.create(&home, "c", 1, std::collections::BTreeMap::new()).unwrap();
    sim.look();
    assert_eq!(short(&sim), ["remove c 1", "start c 1"]);
    sim.settle();
    assert_eq!(sim.history.ran("c").unwrap().restarts, 1);
}

#[test]
fn a_start_that_was_called_off_is_no_run_and_is_made_anew() {
    let mut sim = Sim::new(pod(&one("Never")));
    sim.die_in_a_start();
    assert_eq!(sim.world.containers[0].1.reason, "StartError");
    sim.look();
    assert!(sim.history.verdict.is_none(), "a pod that never restarts has not run yet");
    assert_eq!(short(&sim), ["prepare", "remove c 0", "start c 0"]);
    sim.settle();
    assert!(sim.running("c").is_some());
    assert_eq!(sim.history.ran("c").unwrap().restarts, 0);

    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.exit("c", 1);
    sim.look();
    sim.die_in_a_start();
    sim.look();
    assert_eq!(sim.status()["containerStatuses"][0]["state"]["terminated"]["exitCode"], json!(1));
    sim.settle();
    assert_eq!(sim.history.ran("c").unwrap().restarts, 1);
}

#[test]
fn an_unknown_container_is_stopped_before_it_is_replaced() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.settle();
    sim.world.containers[0].0.state = ContainerState::Unknown;
    sim.look();
    assert_eq!(short(&sim), ["kill c 30s"]);
}

#[test]
fn steps_that_change_nothing_are_taken_ever_more_seldom() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.look();
    let mut gaps = Vec::new();
    for _ in 0..10 {
        let actions = sim.plan().actions;
        sim.memory.done(actions, sim.now.elapsed);
        let plan = sim.plan();
        assert!(plan.actions.is_empty());
        let gap = plan.wake.unwrap().since(sim.now.elapsed);
        gaps.push(gap.as_millis());
        sim.pass(gap);
    }
    assert_eq!(gaps, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
    // What they may have waited for came.
    sim.memory.done(sim.plan().actions, sim.now.elapsed);
    sim.memory.hurry(sim.now.elapsed);
    assert!(!sim.plan().actions.is_empty());
}

#[test]
fn a_failed_pull_waits_and_a_missing_object_does_not_wait_for_long() {
    let mut sim = Sim::new(pod(&one("Always")));
    sim.broken.insert("c".into(), ("ErrImagePull".into(), true));
    sim.settle();
    sim.memory.hurry(sim.now.elapsed);
    assert!(short(&sim).is_empty());
    sim.pass(Duration::from_secs(10));
    sim.look();
    assert_eq!(short(&sim), ["start c 0"]);
    sim.memory.recovered(sim.now.elapsed);
    sim.broken.insert("c".into(), ("CreateContainerConfigError".into(), false));
    sim.settle();
    assert!(short(&sim).is_empty());
    sim.memory.hurry(sim.now.elapsed);
    assert_eq!(short(&sim), ["start c 0"]);
}

#[test]
fn a_container_that_vanished_is_started_anew() {
    for policy in ["Always", "OnFailure"] {
        let mut sim = Sim::new(pod(&one(policy)));
        sim.settle();
        sim.world.containers.clear();
        sim.settle();
        assert!(sim.running("c").is_some(), "{policy}: {:?} {:?}", sim.history, sim.memory);
        assert_eq!(sim.history.ran("c").unwrap().restarts, 1);
    }
}
