//! Nodes and their objects that are deleted, made anew, renamed, claimed twice, or put back to an earlier time: each ends in
//! the right state by itself.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;
use skerry_e2e::edge::EDGECORE_LOG;
use skerry_e2e::view::PodSeen;
use skerry_e2e::{Edge, Lab, host};

use crate::handmade::LogSince;
use crate::world::{EDGE, PATIENCE, World, sleeper, web};

fn node_uid(lab: &Lab, name: &str) -> Result<String> {
    Ok(lab.get(&["node", name])?["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}

/// Waits until the edge runs the containers of exactly these pods, as the cluster shows them.
fn runs_exactly(world: &World, edge: &Edge, pods: impl Fn() -> Vec<PodSeen>) {
    world.wait(&format!("{} runs exactly what the cluster shows", edge.name()), || {
        let wanted: BTreeSet<_> = pods()
            .into_iter()
            .flat_map(|pod| pod.containers.into_values().map(move |id| (pod.uid.clone(), id)))
            .collect();
        let running = edge.containers()?.into_iter();
        let running: BTreeSet<_> = running.map(|container| (container.pod_uid, container.id)).collect();
        ensure!(running == wanted && !wanted.is_empty(), "{running:?} run, {wanted:?} are wanted");
        Ok(true)
    });
}

/// Ends an edge's agent and removes all that it knows; what it started runs on.
fn reset(edge: &Edge) -> Result<()> {
    edge.kill()?;
    let unmount = "grep -o ' /var/lib/skerry/[^ ]*' /proc/mounts | xargs -r umount";
    edge.exec(&["sh", "-c", &format!("{unmount} && rm -rf /var/lib/skerry/* /etc/skerry")]).map(drop)
}

/// Joins the machine of an edge as another node, as somebody would who renames it.
fn rename(edge: &Edge, lab: &Lab, name: &str) -> Result<()> {
    reset(edge)?;
    let token = lab.create_token(&["--node", name])?;
    edge.exec(&["edgecore", "join", &token, "--node-name", name])?;
    edge.start()
}

fn forget(world: &World, node: &str) {
    world.lab.kubectl(&["delete", "node", node, "--ignore-not-found"]).unwrap();
    let record = format!("node-identity-{node}");
    world
        .lab
        .kubectl(&["delete", "configmap", "-n", "skerry-system", &record, "--ignore-not-found"])
        .unwrap();
}

#[test]
fn a_reinstalled_machine_takes_its_name_and_its_pods_back() {
    let world = World::new("reinstalled");
    let edge = world.add_edge("edge-2");
    world.apply(&web("web", 2, "edge-2"));
    let before = world.ready("app=web", 2);
    let uid = node_uid(&world.lab, "edge-2").unwrap();
    edge.replace().unwrap();
    edge.ensure_ready().unwrap();
    // The same Node and the same pods, by UID; what runs for them is new.
    runs_exactly(&world, &edge, || world.pods("app=web"));
    let after = world.ready("app=web", 2);
    let uids = |pods: &[PodSeen]| pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>();
    assert_eq!(uids(&after), uids(&before));
    assert!(after.iter().zip(&before).all(|(after, before)| after.containers != before.containers));
    assert_eq!(node_uid(&world.lab, "edge-2").unwrap(), uid);
    edge.rm().unwrap();
}

#[test]
fn a_node_deleted_and_installed_anew_is_another_node_of_that_name() {
    let world = World::new("made-anew");
    let edge = world.add_edge("edge-2");
    world.apply(&web("web", 1, "edge-2"));
    let before = world.ready("app=web", 1).remove(0);
    let uid = node_uid(&world.lab, "edge-2").unwrap();
    // Off while it is deleted: it finds out when it is another machine.
    edge.replace().unwrap();
    world.lab.kubectl(&["delete", "node", "edge-2"]).unwrap();
    edge.ensure_ready().unwrap();
    assert_ne!(node_uid(&world.lab, "edge-2").unwrap(), uid);
    // The Deployment's pod is bound to the name; as upstream has it, a Node that is back in time has it again.
    world.wait("the pod on the new machine", || {
        let pod = world.ready("app=web", 1).remove(0);
        let there = World::containers(&edge, std::slice::from_ref(&pod));
        Ok(there.len() == 1 && pod.containers != before.containers)
    });
    runs_exactly(&world, &edge, || world.pods("app=web"));
    edge.rm().unwrap();
}

#[test]
fn a_renamed_machine_leaves_its_old_name_behind_with_everything_that_ran_under_it() {
    let world = World::new("renamed");
    let edge = world.add_edge("edge-2");
    world.apply(&sleeper("old", "edge-2"));
    let old = world.ready("app=old", 1);
    assert_eq!(World::containers(&edge, &old).len(), 1);
    rename(&edge, &world.lab, "renamed-2").unwrap();
    world.lab.wait_node("renamed-2", "True", PATIENCE).unwrap();
    world.apply(&sleeper("new", "renamed-2"));
    world.ready("app=new", 1);
    // Nothing of the old name runs on, and nobody confuses the two.
    runs_exactly(&world, &edge, || world.pods("app=new"));
    world.lab.wait_node("edge-2", "Unknown", PATIENCE).unwrap();
    world.lab.kubectl(&["delete", "node", "edge-2"]).unwrap();
    world.wait("the old name's pod gone", || Ok(world.pods("app=old").is_empty()));
    world.lab.wait_node("renamed-2", "True", PATIENCE).unwrap();
    world.kubectl(&["delete", "pod", "new", "--force", "--grace-period=0"]).unwrap();
    edge.rm().unwrap();
    forget(&world, "renamed-2");
}

#[test]
fn of_two_machines_that_claim_one_name_the_one_with_a_token_for_it_has_it() {
    let world = World::new("claimed-twice");
    let first = world.add_edge("edge-2");
    let second = world.add_edge("edge-3");
    world.apply(&sleeper("pod", "edge-2"));
    let pods = world.ready("app=pod", 1);
    let containers = World::containers(&first, &pods);

    // A token for any node takes no name from the machine that has it.
    reset(&second).unwrap();
    let pattern = world.lab.create_token(&["--pattern", "edge-*"]).unwrap();
    let refused = second.exec(&["edgecore", "join", &pattern, "--node-name", "edge-2"]).unwrap_err();
    assert!(format!("{refused:#}").contains("is taken by another key"), "{refused:#}");
    assert_eq!(World::containers(&first, &pods), containers, "the one that has it is not disturbed");

    // A token for exactly this name means it: the other machine has it from now on, the first is told, and keeps quiet.
    let log = LogSince::now(first.path(EDGECORE_LOG));
    let token = world.lab.create_token(&["--node", "edge-2"]).unwrap();
    second.exec(&["edgecore", "join", &token, "--node-name", "edge-2"]).unwrap();
    second.start().unwrap();
    // At once, or a minute later where its replica has not heard of the other key yet.
    world.wait("the first told", || Ok(log.expect(&["has another key since"]).is_ok()));
    world.wait("the pod on the machine that has the name", || {
        let pod = world.pod("pod")?;
        let there = World::containers(&second, std::slice::from_ref(&pod));
        Ok(pod.ready && there.len() == 1 && pod.containers.values().any(|id| *id == there[0].1))
    });
    // The first goes on with what it has, as any edge that is alone, and says nothing in that name.
    assert_eq!(World::containers(&first, &pods), containers);
    let shown = world.pod("pod").unwrap().life();
    world.lab.wait_node("edge-2", "True", PATIENCE).unwrap();
    assert_eq!(world.pod("pod").unwrap().life(), shown);
    first.rm().unwrap();
    second.rm().unwrap();
    forget(&world, "edge-3");
}

#[test]
fn a_namespace_deleted_while_cut_is_gone_when_the_link_is_back() {
    let world = World::new("namespace");
    world.lab.kubectl(&["create", "namespace", "doomed"]).unwrap();
    world.lab.kubectl_with_input(&["-n", "doomed", "apply", "-f", "-"], &web("web", 2, EDGE)).unwrap();
    world.lab.wait_ready("doomed", "app=web", 2, PATIENCE).unwrap();
    world.apply(&sleeper("stays", EDGE));
    let stays = world.ready("app=stays", 1);
    let containers = World::containers(&world.edge, &stays);
    world.edge.cut().unwrap();
    world.lab.kubectl(&["delete", "namespace", "doomed", "--wait=false"]).unwrap();
    world.wait("its ConfigMap gone, and its pods ending", || {
        let maps = world.lab.get(&["configmaps", "-n", "doomed"])?;
        let pods = world.lab.pods("doomed", "app=web")?;
        Ok(maps["items"].as_array().is_some_and(Vec::is_empty) && pods.iter().all(|pod| pod.deleting))
    });
    assert_eq!(world.edge.containers().unwrap().len(), 3, "the edge does not know");
    world.edge.heal().unwrap();
    world.wait("the namespace gone", || {
        let named = world.lab.get(&["namespaces", "--field-selector", "metadata.name=doomed"])?;
        Ok(named["items"].as_array().is_some_and(Vec::is_empty))
    });
    runs_exactly(&world, &world.edge, || world.pods("app=stays"));
    assert_eq!(World::containers(&world.edge, &stays), containers);
}

#[test]
fn a_cluster_put_back_to_an_older_backup_is_followed_by_its_edges() {
    let world = World::new("put-back");
    world.apply(&web("kept", 1, EDGE));
    world.apply(&sleeper("early", EDGE));
    world.ready("app=early", 1);
    let kept = world.ready("app=kept", 1);
    let containers = World::containers(&world.edge, &kept);
    let early = world.pod("early").unwrap();
    let serves = |page: &str| {
        let kept = world.pods("app=kept").remove(0);
        Ok(world.edge.http_get(&format!("http://{}:8080/index.html", kept.ip))? == page)
    };
    let change = |page: &str| {
        let patch = serde_json::json!({"data": {"index.html": page}}).to_string();
        world.kubectl(&["patch", "configmap", "kept-page", "-p", &patch]).map(drop)
    };
    world.wait("the first page", || serves("one\n"));

    // The backup, and life after it: a change, an end, and a beginning.
    let (data, backup) = (world.lab.etcd_data(), world.lab.dir().join("etcd-backup"));
    let (from, to) = (data.display().to_string(), backup.display().to_string());
    world.lab.stop_cluster().unwrap();
    host::run(&["cp", "-a", &from, &to]).unwrap();
    world.lab.start_cluster().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    change("two\n").unwrap();
    world.wait("the second page", || serves("two\n"));
    world.kubectl(&["delete", "pod", "early"]).unwrap();
    world.apply(&sleeper("late", EDGE));
    let late = world.ready("app=late", 1).remove(0);

    // The disaster. Nobody tells cloudcore or the edge.
    world.lab.stop_cluster().unwrap();
    host::run(&["rm", "-rf", &from]).unwrap();
    host::run(&["mv", &to, &from]).unwrap();
    world.lab.start_cluster().unwrap();

    world.wait("the page of that time", || serves("one\n"));
    world.wait("the pod that was not there yet ends", || {
        Ok(world.edge.containers()?.iter().all(|container| container.pod_uid != late.uid))
    });
    assert!(world.pod("late").is_err(), "the cluster knows nothing of it");
    world.wait("the pod that was still there runs again", || {
        let now = world.pod("early")?;
        ensure!(now.uid == early.uid, "it is another one");
        Ok(now.ready && World::containers(&world.edge, std::slice::from_ref(&now)).len() == 1)
    });
    let everything = || [world.pods("app=kept"), world.pods("app=early")].concat();
    runs_exactly(&world, &world.edge, everything);
    assert_eq!(World::containers(&world.edge, &kept), containers, "what was the same at both times runs on");
    assert_eq!(world.pods("app=kept").remove(0).restarts, kept[0].restarts);
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();

    // And on from there.
    change("three\n").unwrap();
    world.wait("a change after it", || serves("three\n"));
    world.apply(&sleeper("after", EDGE));
    world.ready("app=after", 1);
    let condition = world.lab.get(&["node", EDGE]).unwrap();
    let ready = skerry_e2e::view::condition(&condition, "Ready").map(|ready| ready["status"].clone());
    assert_eq!(ready, Some(Value::from("True")));
}
