//! What containers may do and who they are, asked inside them.

use anyhow::ensure;
use serde_json::Value;
use skerry_e2e::image;
use skerry_e2e::view::PodSeen;

use crate::world::World;

/// Capabilities of an ordinary container, as containerd gives them.
const DEFAULT: u64 = 0xa804_25fb;
const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const SYS_TIME: u64 = 1 << 25;

fn exec(world: &World, pod: &PodSeen, container: &str, script: &str) -> String {
    let output = world.edge.exec_in(&pod.containers[container], &["sh", "-c", script]);
    output
        .unwrap_or_else(|error| panic!("{}/{container}: {script}: {error:#}", pod.name))
        .trim_end()
        .to_owned()
}

/// A set of capabilities of the container's first process: `CapEff`, `CapBnd` …
fn capabilities(world: &World, pod: &PodSeen, container: &str, set: &str) -> u64 {
    let line = exec(world, pod, container, &format!("grep {set} /proc/1/status"));
    u64::from_str_radix(line.split_whitespace().last().unwrap_or_default(), 16).unwrap()
}

#[test]
fn privileges_and_capabilities_are_those_asked_for() {
    let world = World::new("privileges");
    images(&world);
    world.apply(include_str!("manifests/security.yaml"));

    let privileged = world.ready("app=privileged", 1).remove(0);
    assert_ne!(capabilities(&world, &privileged, "main", "CapEff") & SYS_ADMIN, 0);
    assert_eq!(
        exec(&world, &privileged, "main", "mkdir /m && mount -t tmpfs none /m && echo mounted"),
        "mounted"
    );
    assert_eq!(exec(&world, &privileged, "main", "ls -d /dev/loop-control"), "/dev/loop-control");
    assert_eq!(exec(&world, &privileged, "main", "grep Seccomp: /proc/1/status | tr -dc 0-9"), "0");

    let capable = world.ready("app=capable", 1).remove(0);
    let expected = (DEFAULT | NET_ADMIN | SYS_TIME) & !KILL;
    assert_eq!(capabilities(&world, &capable, "main", "CapEff"), expected);
    assert_eq!(
        exec(&world, &capable, "main", "ip link add name b0 type bridge && ip -o link show b0 | wc -l"),
        "1"
    );
    assert_eq!(exec(&world, &capable, "main", "mount -t tmpfs none /tmp 2>&1 | grep -c -i denied"), "1");
    assert_eq!(exec(&world, &capable, "main", "ls /dev/loop-control 2>&1 | grep -c 'No such'"), "1");
    // A user who is not root has what was added within reach, and nothing in effect.
    assert_eq!(capabilities(&world, &capable, "all", "CapBnd"), NET_BIND_SERVICE);
    assert_eq!(capabilities(&world, &capable, "all", "CapEff"), 0);
    for container in ["main", "all"] {
        let groups = exec(&world, &capable, container, "id -G");
        let groups: Vec<&str> = groups.split_whitespace().collect();
        assert!(groups.contains(&"4000") && groups.contains(&"5000"), "{groups:?}");
    }
}

#[test]
fn an_images_user_counts_where_nobody_says_otherwise() {
    let world = World::new("image-user");
    images(&world);
    world.apply(include_str!("manifests/security.yaml"));

    let by_name = world.ready("app=by-name", 1).remove(0);
    let who = |pod: &PodSeen, container: &str| exec(&world, pod, container, "echo $(id -u) $(id -g)");
    assert_eq!(who(&by_name, "main"), "65534 65534");
    assert_eq!(who(&by_name, "group"), "65534 777");
    assert_eq!(who(&by_name, "other"), "12 34");
    let by_number = world.ready("app=by-number", 1).remove(0);
    assert_eq!(exec(&world, &by_number, "main", "id -u"), "1234");

    for (name, words) in [
        ("unverified", "container has runAsNonRoot and image has non-numeric user (nobody)"),
        ("as-root", "container has runAsNonRoot and image will run as root"),
    ] {
        world.wait(&format!("{name} is not started"), || {
            let pod = world.pod(name)?;
            ensure!(pod.waiting() == "CreateContainerConfigError", "{}", pod.waiting());
            let message = pod.object.pointer("/status/containerStatuses/0/state/waiting/message");
            let message = message.and_then(Value::as_str).unwrap_or_default();
            ensure!(message.contains(words), "{message}");
            Ok(true)
        });
    }
}

/// Images of busybox whose processes run as somebody.
fn images(world: &World) {
    for (name, user) in [("docker.io/library/by-name:1", "nobody"), ("docker.io/library/by-number:1", "1234")]
    {
        let image =
            image::Image { name: name.to_owned(), user: user.to_owned(), ..image::busybox().unwrap() };
        world.lab.add_archive(&image::archive_name(name), &image.archive().unwrap()).unwrap();
    }
}
