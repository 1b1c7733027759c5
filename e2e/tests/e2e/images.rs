//! Images out of a registry: who may pull, when an image is pulled anew, and what becomes of pods when no registry can be
//! reached.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use skerry_e2e::image;
use skerry_e2e::view::PodSeen;

use crate::registry::{PASSWORD, Registry, USER, docker_config, pull_secret};
use crate::world::{EDGE, World};

/// A pod that says which version its image is and ends when its process 1 is told to.
fn pod(name: &str, image: &str, policy: &str, secrets: &[&str]) -> String {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": EDGE},
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": secrets,
            "containers": [{
                "name": "main", "image": image, "imagePullPolicy": policy,
                "command": ["/busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do /busybox sleep 0.1; done"],
            }],
        },
    })
    .to_string()
}

/// An image with busybox and a file `/version`.
fn versioned(version: &str) -> image::Image {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("version");
    std::fs::write(&file, version).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(std::path::Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists()).unwrap();
    image::of_files("app:1", &[busybox, &file]).unwrap()
}

/// Ends the pod's container and waits for the next one: its id and the version of its image.
fn next_life(world: &World, name: &str) -> (String, String) {
    let of_pod = || -> Result<Vec<String>> {
        let running = world.edge.containers()?.into_iter().filter(|container| container.pod == name);
        Ok(running.map(|container| container.id).collect())
    };
    let last = of_pod().unwrap().remove(0);
    world.edge.exec_in(&last, &["/busybox", "kill", "1"]).unwrap();
    skerry_e2e::host::wait_for("the next container", crate::world::PATIENCE, || {
        let Some(next) = of_pod()?.into_iter().find(|id| *id != last) else { return Ok(None) };
        let version = world.edge.exec_in(&next, &["/busybox", "cat", "/version"])?;
        Ok(Some((next, version)))
    })
    .unwrap()
}

fn waits(world: &World, name: &str, reasons: &[&str], words: &[&str]) {
    world.wait(&format!("{name} waits with {reasons:?}"), || {
        let pod: PodSeen = world.pod(name)?;
        ensure!(
            pod.phase == "Pending" && reasons.contains(&pod.waiting()),
            "{}: {}",
            pod.phase,
            pod.waiting()
        );
        let message = pod.object.pointer("/status/containerStatuses/0/state/waiting/message");
        let message = message.and_then(Value::as_str).unwrap_or_default();
        ensure!(words.iter().all(|word| message.contains(word)), "{message}");
        Ok(true)
    });
}

#[test]
fn a_private_image_is_pulled_with_its_secret_only() {
    let world = World::new("private-image");
    let registry = Registry::closed(&world.lab).unwrap();
    registry.introduce(&world.edge).unwrap();
    let image = registry.push("team/app:1", &versioned("one")).unwrap();
    let host = registry.host();
    world.apply(&pull_secret("pull", &docker_config(&host, USER, PASSWORD)));
    world.apply(&pull_secret("wrong", &docker_config(&host, USER, "guessed")));
    world.apply(&pull_secret("elsewhere", &docker_config("registry.example", USER, PASSWORD)));

    world.apply(&pod("without", &image, "IfNotPresent", &[]));
    world.apply(&pod("wrong", &image, "IfNotPresent", &["wrong"]));
    world.apply(&pod("elsewhere", &image, "IfNotPresent", &["elsewhere"]));
    world.apply(&pod("late", &image, "IfNotPresent", &["later"]));
    world.apply(&pod("unnameable", "Not/A:Name", "IfNotPresent", &[]));
    let failed = ["ErrImagePull", "ImagePullBackOff"];
    for name in ["without", "wrong", "elsewhere", "late"] {
        waits(&world, name, &failed, &[&image]);
    }
    waits(&world, "unnameable", &["InvalidImageName"], &["Not/A:Name"]);
    let absent = registry.push("team/app:1", &versioned("one")).unwrap().replace("app:1", "app:2");
    world.apply(&pod("absent", &absent, "IfNotPresent", &["pull"]));
    waits(&world, "absent", &failed, &[&absent]);
    assert!(world.edge.containers().unwrap().is_empty(), "nothing of them was started");
    world.kubectl(&["delete", "pod", "without", "wrong", "elsewhere", "unnameable", "absent"]).unwrap();

    world.apply(&pod("with", &image, "IfNotPresent", &["wrong", "pull"]));
    let with = world.ready("app=with", 1).remove(0);
    let status = with.object.pointer("/status/containerStatuses/0").cloned().unwrap_or_default();
    assert_eq!(status["image"], image.as_str());
    assert!(
        status["imageID"].as_str().is_some_and(|id| id.starts_with(&format!("{host}/team/app@sha256:"))),
        "{status}"
    );

    // On the node already: it starts again without asking the registry.
    let asked = registry.resolved("team/app:1");
    next_life(&world, "with");
    // The one whose Secret did not exist runs without anybody's doing once it does.
    world.apply(&pull_secret("later", &docker_config(&host, USER, PASSWORD)));
    world.ready("app=late", 1);
    assert_eq!(registry.resolved("team/app:1"), asked, "what is on the node is not pulled again");
    let events = world.kubectl(&["get", "events", "-o", "json"]).unwrap();
    assert!(!events.contains(PASSWORD) && !events.contains("guessed"), "no credential in any event");
}

#[test]
fn a_pull_policy_of_always_takes_the_newest_image_and_offline_the_last_one() {
    let world = World::new("always");
    let registry = Registry::open(&world.lab).unwrap();
    registry.introduce(&world.edge).unwrap();
    let image = registry.push("app:moving", &versioned("one")).unwrap();
    world.apply(&pod("moving", &image, "Always", &[]));
    let first = world.ready("app=moving", 1).remove(0);
    assert_eq!(
        world.edge.exec_in(&first.containers["main"], &["/busybox", "cat", "/version"]).unwrap(),
        "one"
    );

    registry.push("app:moving", &versioned("two")).unwrap();
    assert_eq!(next_life(&world, "moving").1, "two", "the tag moved on, and so does the next container");
    assert_eq!(registry.resolved("app:moving"), 2);

    world.edge.cut().unwrap();
    assert_eq!(next_life(&world, "moving").1, "two", "no registry answers, and it runs all the same");
    world.edge.heal().unwrap();
    world.wait("the event that says so", || {
        let events =
            world.lab.get(&["events", "-n", "always", "--field-selector", "involvedObject.name=moving"])?;
        let events = events["items"].as_array().cloned().unwrap_or_default();
        Ok(events.iter().any(|event| event["reason"] == "PulledBefore"))
    });
    let pod = world.ready("app=moving", 1).remove(0);
    assert_eq!(pod.restarts, 2);
}
