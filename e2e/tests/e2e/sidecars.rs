//! Sidecars: init containers that stay. They are up before the rest starts, start again when they end, and end last.

use anyhow::{Result, ensure};
use serde_json::Value;
use skerry_e2e::view::PodSeen;

use crate::world::World;

/// The status of an init container.
fn init_status(pod: &PodSeen, name: &str) -> Value {
    let statuses = pod.object.pointer("/status/initContainerStatuses").and_then(Value::as_array);
    statuses.into_iter().flatten().find(|status| status["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn a_sidecar_is_there_before_the_rest_and_after_it() {
    let world = World::new("sidecars");
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry-story"]).unwrap();
    world.apply(include_str!("manifests/sidecars.yaml"));
    let story = || -> Result<String> {
        Ok(world
            .edge
            .exec(&["cat", "/var/lib/skerry-story/lines"])?
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "))
    };
    let pod = world.ready("app=served", 1).remove(0);
    world.wait("the order of starts", || Ok(story()? == "before sidecar main"));
    let sidecar = init_status(&pod, "sidecar");
    assert_eq!(
        (&sidecar["started"], &sidecar["ready"]),
        (&Value::Bool(true), &Value::Bool(true)),
        "{sidecar}"
    );
    assert_eq!(
        init_status(&pod, "before").pointer("/state/terminated/reason"),
        Some(&Value::from("Completed"))
    );

    // It ends by itself: it starts again, and nothing else does.
    let id =
        sidecar["containerID"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    world.edge.exec_in(&id, &["kill", "1"]).unwrap();
    world.wait("the sidecar again", || {
        let now = world.pod("served")?;
        ensure!(now.containers == pod.containers, "the main container is another");
        Ok(init_status(&now, "sidecar")["restartCount"] == 1 && now.ready)
    });
    world.wait("its second life", || Ok(story()? == "before sidecar main sidecar-ended sidecar"));

    // On deletion the main container ends first.
    world.kubectl(&["delete", "pod", "served", "--wait=false"]).unwrap();
    world.wait("it is gone", || Ok(world.pods("app=served").is_empty()));
    assert_eq!(story().unwrap(), "before sidecar main sidecar-ended sidecar main-ended sidecar-ended");

    world.wait("the Job is complete although its sidecar ran on", || {
        let job = world.lab.get(&["job", "-n", "sidecars", "task"])?;
        ensure!(job.pointer("/status/succeeded") == Some(&Value::from(1)), "{}", job["status"]);
        Ok(true)
    });
    let task = world.pods("job-name=task").remove(0);
    assert_eq!(task.phase, "Succeeded");
    assert!(
        init_status(&task, "sidecar").pointer("/state/terminated").is_some(),
        "{}",
        task.object["status"]
    );
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry-story"]).unwrap();
}
