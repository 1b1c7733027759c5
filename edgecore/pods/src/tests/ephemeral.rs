//! Ephemeral containers: once, beside the others, and without any say in what becomes of the pod.

use std::time::Duration;

use serde_json::{Value, json};

use crate::action::Action;
use crate::event::Event;
use crate::tests::kit::{Sim, pod};

/// A pod that runs.
fn running(spec: &Value) -> Sim {
    let mut sim = Sim::new(pod(spec));
    sim.settle();
    sim
}

fn plain() -> Sim {
    running(&json!({"containers": [{"name": "c", "image": "i"}]}))
}

/// The status of the first ephemeral container.
fn shown(sim: &Sim) -> Value {
    sim.status()["ephemeralContainerStatuses"][0].clone()
}

/// Names of the containers that are planned to start, with the ones they look at.
fn starts(sim: &Sim) -> Vec<(String, Option<String>)> {
    let start = |action| {
        let Action::Start { name, target, .. } = action else { return None };
        Some((name, target.map(|id| id.0)))
    };
    sim.plan().actions.into_iter().filter_map(start).collect()
}

#[test]
fn it_starts_beside_the_others_and_ends_without_them() {
    let mut sim = plain();
    let before = sim.status();
    let main = sim.running("c");
    sim.calls();
    sim.debug(&json!({"name": "e", "image": "d"}));
    sim.look();
    assert_eq!(shown(&sim)["state"], json!({"waiting": {"reason": "ContainerCreating"}}));
    sim.settle();
    assert_eq!(sim.calls(), ["start u1 e 0"]);
    let status = shown(&sim);
    assert!(status["state"]["running"]["startedAt"].is_string(), "{status}");
    assert_eq!((&status["ready"], &status["restartCount"]), (&json!(false), &json!(0)));
    assert_eq!((&status["image"], &status["imageID"]), (&json!("image"), &json!("sha256:image")));
    assert_eq!(status["containerID"], format!("containerd://{}", sim.running("e").unwrap().0));
    // Upstream does not say whether it has started.
    assert_eq!(status.get("started"), None);
    sim.exit("e", 3);
    sim.pass(Duration::from_hours(1));
    sim.settle();
    assert!(sim.calls().is_empty());
    let ended = shown(&sim);
    assert_eq!(ended["state"]["terminated"]["exitCode"], 3);
    assert_eq!(ended["lastState"], json!({}));
    assert_eq!(sim.running("c"), main);
    let mut after = sim.status();
    after.as_object_mut().unwrap().remove("ephemeralContainerStatuses");
    assert_eq!(after, before);
    // Its container stays, for its log.
    assert_eq!(sim.world.containers.len(), 2);
}

#[test]
fn it_does_not_wait_for_init_containers() {
    let mut sim = running(&json!({"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}));
    sim.debug(&json!({"name": "e"}));
    sim.look();
    assert_eq!(shown(&sim)["state"], json!({"waiting": {"reason": "PodInitializing"}}));
    assert_eq!(starts(&sim), [("e".to_owned(), None)]);
    sim.settle();
    assert!(sim.running("e").is_some() && sim.running("i").is_some() && sim.running("c").is_none());
    assert_eq!(sim.status()["phase"], "Pending");
}

#[test]
fn neither_a_restart_nor_a_power_loss_starts_it_again() {
    for lost in [false, true] {
        let mut sim = plain();
        sim.debug(&json!({"name": "e"}));
        sim.settle();
        let id = sim.running("e");
        sim.crash();
        sim.settle();
        assert_eq!(sim.running("e"), id);
        sim.reboot("b1");
        if lost {
            sim.world.containers.clear();
        }
        sim.calls();
        sim.settle();
        assert_eq!(sim.calls(), ["run sandbox u1 1", "start u1 c 1"]);
        let code = if lost { 137 } else { 255 };
        assert_eq!(shown(&sim)["state"]["terminated"]["exitCode"], code);
        assert_eq!(shown(&sim)["restartCount"], 0);
        // Not even when all that is left of it is what was written down.
        sim.world.containers.retain(|(container, _)| container.name != "e");
        sim.crash();
        sim.pass(Duration::from_mins(1));
        sim.settle();
        assert!(sim.running("e").is_none() && sim.running("c").is_some());
        assert_eq!(shown(&sim)["state"]["terminated"]["exitCode"], code);
    }
}

#[test]
fn one_that_could_not_start_before_the_sandbox_broke_starts_in_the_next() {
    let mut sim = plain();
    sim.broken.insert("e".into(), ("ErrImagePull".into(), true));
    sim.debug(&json!({"name": "e", "image": "d"}));
    sim.settle();
    assert_eq!(shown(&sim)["state"], json!({"waiting": {"reason": "ErrImagePull", "message": "why"}}));
    sim.pass(Duration::from_secs(6));
    sim.settle();
    assert_eq!(
        shown(&sim)["state"]["waiting"],
        json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"d\": ErrImagePull: why"})
    );
    assert_eq!(sim.status()["phase"], "Running");
    sim.reboot("b1");
    sim.broken.clear();
    sim.settle();
    assert!(sim.running("e").is_some() && sim.running("c").is_some());
    // A sandbox that breaks under it takes it along, once and for all.
    sim.world.sandboxes.last_mut().unwrap().ready = false;
    sim.look();
    let Some(Action::Kill(kills)) = sim.plan().actions.into_iter().next() else { panic!("{:?}", sim.plan()) };
    let said: Vec<_> = kills.iter().map(|kill| (kill.name.as_str(), kill.message.as_str())).collect();
    let changed = "Pod sandbox changed, it will be killed and re-created.";
    assert!(said.contains(&("e", "Stopping container e")) && said.contains(&("c", changed)), "{said:?}");
    sim.settle();
    sim.pass(Duration::from_mins(10));
    sim.settle();
    assert!(sim.running("e").is_none() && sim.running("c").is_some());
}

#[test]
fn it_looks_at_the_container_that_runs_under_the_name() {
    let mut sim = plain();
    sim.exit("c", 1);
    sim.settle();
    sim.exit("c", 1);
    sim.settle();
    assert!(sim.running("c").is_none());
    sim.debug(&json!({"name": "e", "targetContainerName": "c"}));
    sim.look();
    assert_eq!(starts(&sim), [("e".to_owned(), None)]);
    sim.settle();
    assert_eq!(shown(&sim)["state"]["waiting"]["reason"], "CreateContainerConfigError");
    sim.pass(Duration::from_secs(10));
    sim.settle();
    let target = sim.running("c").unwrap();
    sim.pass(Duration::from_secs(10));
    sim.look();
    assert_eq!(starts(&sim), [("e".to_owned(), Some(target.0))]);
    sim.settle();
    assert!(sim.running("e").is_some());
}

#[test]
fn one_that_asks_for_too_much_holds_back_nobody_else() {
    let refused = ["spec.ephemeralContainers[1].volumeDevices".to_owned()];
    let mut desired = pod(&json!({"containers": [{"name": "c"}]}));
    desired.refused = refused.clone().into();
    let mut sim = Sim::new(desired);
    sim.debug(&json!({"name": "e"}));
    sim.debug(&json!({"name": "f"}));
    sim.settle();
    assert!(sim.running("c").is_some() && sim.running("e").is_some() && sim.running("f").is_none());
    let status = sim.status();
    let waiting = &status["ephemeralContainerStatuses"][1]["state"]["waiting"];
    assert_eq!(waiting["reason"], "FieldNotSupported");
    assert!(waiting["message"].as_str().unwrap().ends_with(&refused[0]), "{waiting}");
    let conditions = status["conditions"].as_array().unwrap();
    let honoured = conditions.iter().find(|c| c["type"] == "skerry.io/FieldsHonoured").unwrap();
    assert_eq!(honoured["message"], refused[0]);
}

#[test]
fn it_goes_with_the_pod() {
    let mut sim = running(&json!({"restartPolicy": "Never", "containers": [{"name": "c"}]}));
    sim.debug(&json!({"name": "e"}));
    sim.settle();
    sim.exit("e", 1);
    sim.settle();
    assert!(sim.history.verdict.is_none(), "what it came to is not what the pod came to");
    sim.debug(&json!({"name": "f"}));
    sim.settle();
    sim.exit("c", 0);
    sim.look();
    // It still runs, so the pod's end is not told yet.
    assert_eq!(sim.status()["phase"], "Running");
    sim.settle();
    assert_eq!(sim.status()["phase"], "Succeeded");
    assert!(sim.running("f").is_none());
    // What comes after the end does not begin.
    sim.debug(&json!({"name": "g"}));
    sim.settle();
    assert!(sim.running("g").is_none());
    sim.delete();
    sim.settle();
    assert!(sim.world.containers.is_empty() && sim.world.sandboxes.is_empty());
}

#[test]
fn a_state_nobody_knows_is_left_alone() {
    let mut sim = plain();
    sim.debug(&json!({"name": "e"}));
    sim.settle();
    let id = sim.running("e").unwrap();
    let found = sim.world.containers.iter_mut().find(|(container, _)| container.id == id);
    found.unwrap().0.state = crate::runtime::ContainerState::Unknown;
    sim.calls();
    sim.settle();
    assert!(sim.calls().is_empty());
    sim.delete();
    sim.settle();
    assert!(sim.world.containers.is_empty());
}

#[test]
fn events_name_its_place() {
    let mut sim = plain();
    sim.debug(&json!({"name": "e"}));
    let path = |name: &str| Event::container(&sim.desired, name, false, "Started", "").field_path;
    assert_eq!(path("e"), "spec.ephemeralContainers{e}");
    assert_eq!(path("c"), "spec.containers{c}");
}
