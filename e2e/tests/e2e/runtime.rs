//! containerd restarted, hung, lost and out of disk under a running edgecore.

use anyhow::{Result, ensure};
use skerry_e2e::proc::Process;
use skerry_e2e::view::condition;

use crate::world::{EDGE, PATIENCE, World, sleeper, web};

fn signal(process: Process, name: &str) {
    let status =
        std::process::Command::new("kill").args([&format!("-{name}"), &process.pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The node's Ready condition: (status, message).
fn node_ready(world: &World) -> Result<(String, String)> {
    let node = world.lab.get(&["node", EDGE])?;
    let ready = condition(&node, "Ready").cloned().unwrap_or_default();
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("message")))
}

fn changes_still_arrive(world: &World) {
    world.kubectl(&["patch", "configmap", "web-page", "-p", r#"{"data":{"index.html":"later\n"}}"#]).unwrap();
    world.wait("the change in the pods", || {
        for pod in world.pods("app=web") {
            let page = world.edge.exec_in(&pod.containers["httpd"], &["cat", "/www/index.html"])?;
            ensure!(page == "later\n", "{} holds {page:?}", pod.name);
        }
        Ok(true)
    });
}

#[test]
fn a_restarted_containerd_keeps_every_container() {
    let world = World::new("containerd-restart");
    world.apply(&web("web", 2, EDGE));
    let pods = world.ready("app=web", 2);
    let containers = World::containers(&world.edge, &pods);
    world.edge.containerd().unwrap().kill().unwrap();
    world.edge.start_containerd().unwrap();
    world.apply(&sleeper("next", EDGE));
    world.ready("app=next", 1);
    assert_eq!(World::containers(&world.edge, &pods), containers);
    changes_still_arrive(&world);
    assert!(world.pods("app=web").iter().all(|pod| pod.restarts == 0));
}

#[test]
fn a_hung_containerd_makes_the_node_not_ready_and_restarts_nothing() {
    let world = World::new("containerd-hung");
    world.apply(&web("web", 2, EDGE));
    let pods = world.ready("app=web", 2);
    let containers = World::containers(&world.edge, &pods);
    let containerd = world.edge.containerd().unwrap();
    signal(containerd, "STOP");
    world.wait("the node says what is wrong", || {
        let (status, message) = node_ready(&world)?;
        ensure!(status == "False" && message.contains("container runtime"), "{status}: {message}");
        Ok(true)
    });
    signal(containerd, "CONT");
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    world.ready("app=web", 2);
    assert_eq!(World::containers(&world.edge, &pods), containers);
    changes_still_arrive(&world);
}

#[test]
fn a_lost_containerd_is_no_reason_to_forget_pods() {
    let world = World::new("containerd-lost");
    world.apply(&web("web", 2, EDGE));
    let pods = world.ready("app=web", 2);
    let containers = World::containers(&world.edge, &pods);
    world.edge.containerd().unwrap().kill().unwrap();
    world.wait("the node says what is wrong", || Ok(node_ready(&world)?.0 == "False"));
    // No scheduler sends a pod to a node that is not Ready; one that is bound by hand waits until containerd is back.
    let bound = sleeper("meanwhile", EDGE)
        .replace(&format!("nodeSelector: {{kubernetes.io/hostname: {EDGE}}}"), &format!("nodeName: {EDGE}"));
    world.apply(&bound);
    world.edge.start_containerd().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    world.ready("app=meanwhile", 1);
    world.ready("app=web", 2);
    assert_eq!(World::containers(&world.edge, &pods), containers);
}

#[test]
fn a_full_disk_stops_nothing_that_runs_and_heals() {
    let world = World::new("full-disk");
    world.apply(&web("web", 2, EDGE));
    let pods = world.ready("app=web", 2);
    let containers = World::containers(&world.edge, &pods);
    let fill = "dd if=/dev/zero of=/var/lib/skerry/filler bs=1M 2>/dev/null; \
                dd if=/dev/zero of=/var/lib/skerry/filler2 bs=512 2>/dev/null; sync -f /var/lib/skerry; true";
    world.edge.exec(&["sh", "-c", fill]).unwrap();
    // A change that cannot be stored now must neither be lost nor kill the agent.
    let agent = world.edge.edgecore().unwrap();
    world.kubectl(&["patch", "configmap", "web-page", "-p", r#"{"data":{"index.html":"full\n"}}"#]).unwrap();
    world.apply(&sleeper("late", EDGE));
    world.wait("bound", || Ok(!world.pod("late")?.node.is_empty()));
    world.edge.exec(&["rm", "-f", "/var/lib/skerry/filler", "/var/lib/skerry/filler2"]).unwrap();
    world.ready("app=late", 1);
    changes_still_arrive(&world);
    assert_eq!(World::containers(&world.edge, &pods), containers);
    assert_eq!(world.edge.edgecore().unwrap().pid, agent.pid, "edgecore lived through it");
}
