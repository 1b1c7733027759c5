//! Links that break, and what changes in the cloud meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kit::WallTime;
use serde_json::Value;
use skerry_e2e::{Lab, Shape, host};

use crate::world::{EDGE, PATIENCE, World, incompressible, sleeper, soak, web};

/// Containers that run on the edge for a pod of this name.
fn of_pod(world: &World, name: &str) -> Result<Vec<(String, String)>> {
    let running = world.edge.containers()?.into_iter().filter(|container| container.pod == name);
    Ok(running.map(|container| (container.pod_uid, container.id)).collect())
}

#[test]
fn a_black_hole_of_ninety_seconds_leaves_everything_as_it_was() {
    let world = World::new("black-hole");
    world.apply(&web("web", 3, EDGE));
    let pods = world.ready("app=web", 3);
    let containers = World::containers(&world.edge, &pods);
    world.wait("three endpoints", || Ok(endpoints(&world)? == 3));
    world.settled("app=web");
    let sent = world.sent();
    let begun = host::now();
    world.edge.hole().unwrap();
    world.lab.wait_node(EDGE, "Unknown", PATIENCE).unwrap();
    world.wait("no endpoint Ready", || Ok(endpoints(&world)? == 0));
    // The hole lasts as long as it is called.
    std::thread::sleep(Duration::from_secs(90).saturating_sub(begun.elapsed()));
    world.edge.heal().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    let after = world.ready("app=web", 3);
    world.wait("three endpoints again", || Ok(endpoints(&world)? == 3));
    assert_eq!(World::containers(&world.edge, &pods), containers);
    let lives = |pods: &[skerry_e2e::view::PodSeen]| {
        pods.iter().map(skerry_e2e::view::PodSeen::life).collect::<Vec<_>>()
    };
    assert_eq!(lives(&after), lives(&pods));
    assert_eq!(world.sent(), sent, "nothing changed, so nothing was sent");
}

#[test]
fn a_statefulset_pod_re_created_while_cut_is_replaced_once() {
    let world = World::new("stateful");
    world.apply(include_str!("manifests/stateful.yaml"));
    let old = world.ready("app=db", 1).remove(0);
    world.edge.cut().unwrap();
    world.kubectl(&["delete", "pod", "db-0", "--force", "--grace-period=0"]).unwrap();
    let new = host::wait_for("a successor of the same name", PATIENCE, || {
        let pod = world.pod("db-0")?;
        Ok((pod.uid != old.uid).then_some(pod.uid))
    })
    .unwrap();
    assert_eq!(
        of_pod(&world, "db-0").unwrap(),
        [(old.uid.clone(), old.containers["main"].clone())],
        "the edge does not know"
    );
    world.edge.heal().unwrap();
    let now = world.ready("app=db", 1).remove(0);
    assert_eq!(now.uid, new);
    world.wait("only the successor runs", || {
        let running = of_pod(&world, "db-0")?;
        ensure!(running.len() == 1 && running[0].0 == new, "{running:?}");
        Ok(true)
    });
}

#[test]
fn a_pod_force_deleted_while_cut_ends_when_the_link_is_back() {
    let world = World::new("force-delete");
    world.apply(&sleeper("gone", EDGE));
    world.apply(&sleeper("stays", EDGE));
    world.ready("app=gone", 1);
    let stays = world.ready("app=stays", 1);
    let containers = World::containers(&world.edge, &stays);
    world.edge.cut().unwrap();
    world.kubectl(&["delete", "pod", "gone", "--force", "--grace-period=0"]).unwrap();
    assert_eq!(of_pod(&world, "gone").unwrap().len(), 1);
    world.edge.heal().unwrap();
    world.wait("it ended", || Ok(of_pod(&world, "gone")?.is_empty()));
    assert_eq!(World::containers(&world.edge, &stays), containers);
}

#[test]
fn a_job_that_ends_while_cut_is_not_run_again() {
    let world = World::new("job");
    world.apply(include_str!("manifests/job.yaml"));
    world.wait("it runs", || Ok(world.pods("job-name=once").iter().any(|pod| pod.phase == "Running")));
    let pod = world.pods("job-name=once").remove(0);
    world.edge.cut().unwrap();
    let runs = || world.edge.exec(&["sh", "-c", "wc -l </var/lib/skerry-job/runs"]);
    // Released, it ends by itself; then the power fails as well.
    world.edge.exec(&["touch", "/var/lib/skerry-job/go"]).unwrap();
    world.wait("it ended", || Ok(of_pod(&world, &pod.name)?.is_empty()));
    world.edge.exec(&["sync"]).unwrap();
    world.edge.power_off().unwrap();
    world.edge.power_on().unwrap();
    world.wait("edgecore made its first plan", || {
        Ok(world.edge.http_get("http://127.0.0.1:10551/readyz").is_ok())
    });
    world.edge.heal().unwrap();
    world.wait("the Job is complete", || {
        let job = world.lab.get(&["job", "-n", "job", "once"])?;
        ensure!(job.pointer("/status/succeeded") == Some(&Value::from(1)), "{}", job["status"]);
        Ok(true)
    });
    assert_eq!(world.pods("job-name=once").len(), 1, "no second pod");
    assert_eq!(runs().unwrap().trim(), "1", "it ran once");
    world.edge.exec(&["rm", "-rf", "/var/lib/skerry-job"]).unwrap();
}

#[test]
fn a_megabit_link_that_is_full_keeps_its_heartbeat() {
    let world = World::new("full-link");
    world.apply(&sleeper("bystander", EDGE));
    world.ready("app=bystander", 1);
    world.edge.shape(Shape { rate_kbit: 1000, ..Shape::default() }).unwrap();
    // ConfigMaps of nearly a megabyte each that do not compress: six of them fill a link of 1 Mbit/s for a minute, and a
    // hundred megabytes for a quarter of an hour.
    let count = if soak() { 140 } else { 6 };
    let sources: Vec<String> = (0..count).map(|n| format!("{{configMap: {{name: big-{n}}}}}")).collect();
    world.apply(&sleeper("hungry", EDGE).replace(
        "    command: [sleep, \"1000000\"]",
        &format!(
            "    command: [sleep, \"1000000\"]\n    volumeMounts: [{{name: big, mountPath: /big}}]\n  volumes: [{{name: big, projected: {{sources: [{}]}}}}]",
            sources.join(", ")
        ),
    ));
    for n in 0..count {
        let text = incompressible(n, 900_000, 33..=122);
        let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("big-{n}")}, "data": {format!("big-{n}"): text}});
        world.lab.kubectl_with_input(&["create", "-n", "full-link", "-f", "-"], &map.to_string()).unwrap();
    }
    // While it is full, the Lease goes on being renewed, in one session and without a break.
    let epoch = epoch(&world).unwrap();
    let mut renewals = std::collections::BTreeSet::new();
    let limit = PATIENCE + Duration::from_secs(20 * u64::from(count));
    let arrived = world.lab.wait("all of it arrived", limit, || {
        renewals.insert(renewed(&world)?);
        let node = world.lab.get(&["node", EDGE])?;
        let ready =
            skerry_e2e::view::condition(&node, "Ready").is_some_and(|ready| ready["status"] == "True");
        assert!(ready, "the node is not Ready while its link is full");
        Ok(world.pod("hungry")?.ready)
    });
    arrived.unwrap();
    assert!(renewals.len() >= 3, "the Lease was renewed at {renewals:?}");
    // A beat every ten seconds; one that is late by so much as a beat was delayed by what filled the link.
    let beats: Vec<WallTime> = renewals.into_iter().collect();
    let longest = beats.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or_default();
    assert!(longest < 20_000, "{longest} ms between two renewals");
    host::progress(&format!("{} MB; {} renewals, at most {longest} ms apart", count * 9 / 10, beats.len()));
    assert_eq!(crate::outage::epoch(&world).unwrap(), epoch, "it was one session all the time");
    world.edge.heal().unwrap();
}

/// When the edge's Lease was renewed last.
fn renewed(world: &World) -> Result<WallTime> {
    let lease = world.lab.get(&["lease", "-n", "kube-node-lease", EDGE])?;
    let time = lease.pointer("/spec/renewTime").and_then(Value::as_str).and_then(WallTime::parse);
    time.context("the Lease has no time")
}

/// Number of the session of [`EDGE`].
pub(crate) fn epoch(world: &World) -> Result<u64> {
    epoch_of(&world.lab, EDGE)
}

/// Number of an edge's session.
pub(crate) fn epoch_of(lab: &Lab, edge: &str) -> Result<u64> {
    let lease = lab.get(&["lease", "-n", "kube-node-lease", edge])?;
    let epoch = lease.pointer("/metadata/annotations/skerry.io~1epoch").and_then(Value::as_str);
    epoch.context("the Lease has no epoch")?.parse().context("the Lease's epoch is no number")
}

/// Ready endpoints of the Service `web`.
fn endpoints(world: &World) -> Result<usize> {
    let slices =
        world.lab.get(&["endpointslices", "-n", &world.namespace, "-l", "kubernetes.io/service-name=web"])?;
    let endpoints =
        slices["items"].as_array().into_iter().flatten().filter_map(|slice| slice["endpoints"].as_array());
    Ok(endpoints
        .flatten()
        .filter(|endpoint| endpoint.pointer("/conditions/ready") == Some(&Value::Bool(true)))
        .count())
}
