//! What is sent, what is not, and what becomes of objects that cannot be applied.

use anyhow::{Result, ensure};
use skerry_e2e::host;

use crate::world::{EDGE, PATIENCE, World, incompressible, sleeper, web};

#[test]
fn a_restarted_cloudcore_gets_its_sessions_back_and_sends_nothing() {
    let world = World::new("cloud-restart");
    world.apply(&web("web", 2, EDGE));
    let pods = world.ready("app=web", 2);
    world.settled("app=web");
    let containers = World::containers(&world.edge, &pods);
    world.lab.kill_cloud(None).unwrap();
    world.lab.start_cloud(None).unwrap();
    world.wait("the session back", || Ok(world.sessions() == 1));
    // A change made now, and seen on the edge, proves that the session is past its first comparison.
    change_page(&world, "two");
    world.wait("the change on the edge", || serves(&world, "two\n"));
    assert_eq!(world.sent(), (1, 0), "only the one change made after the restart is sent");
    assert_eq!(World::containers(&world.edge, &pods), containers);
}

#[test]
fn the_cloud_reaches_the_edge_over_a_stream_of_its_link() {
    let world = World::new("stream");
    world.wait("an answer", || Ok(world.lab.admin_page(1, &format!("/nodes/{EDGE}/healthz"))? == "ok"));
    let refused = world.lab.admin_page(1, "/nodes/nobody/healthz").unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");
    world.edge.cut().unwrap();
    world.wait("a clear error", || Ok(world.lab.admin_page(1, &format!("/nodes/{EDGE}/healthz")).is_err()));
    world.edge.heal().unwrap();
}

#[test]
fn a_status_patch_by_us_or_by_others_sends_nothing_down() {
    let world = World::new("status-patch");
    world.apply(&web("web", 1, EDGE));
    let pod = world.ready("app=web", 1).remove(0);
    world.settled("app=web");
    let before = world.sent();
    // Somebody else's condition on the pod, and on the node.
    let condition = r#"{"status":{"conditions":[{"type":"example.com/Seen","status":"True"}]}}"#;
    world.kubectl(&["patch", "pod", &pod.name, "--subresource=status", "-p", condition]).unwrap();
    world.lab.kubectl(&["patch", "node", EDGE, "--subresource=status", "-p", condition]).unwrap();
    // Our own patch: the probe fails, so the edge reports Ready=False, and then True again.
    let container = &pod.containers["httpd"];
    world
        .kubectl(&[
            "patch",
            "configmap",
            "web-page",
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/data/index.html"}]"#,
        ])
        .unwrap();
    world.wait("not Ready", || Ok(!world.pod(&pod.name)?.ready));
    change_page(&world, "back");
    world.wait("Ready again", || Ok(world.pod(&pod.name)?.ready));
    let after = world.sent();
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (2, 0),
        "two versions of one ConfigMap, nothing else"
    );
    let pod = world.pod(&pod.name).unwrap();
    assert_eq!(&pod.containers["httpd"], container);
    assert!(
        skerry_e2e::view::condition(&pod.object, "example.com/Seen").is_some(),
        "others' conditions stay"
    );
}

#[test]
fn two_edges_one_cut_leaves_the_other_undisturbed() {
    let world = World::new("two-edges");
    let other = world.add_edge("edge-2");
    world.apply(&web("here", 1, EDGE));
    world.apply(&web("there", 1, "edge-2"));
    world.ready("app=here", 1);
    let there = world.ready("app=there", 1);
    let containers = World::containers(&other, &there);
    world.edge.cut().unwrap();
    world.kubectl(&["patch", "configmap", "there-page", "-p", r#"{"data":{"index.html":"two\n"}}"#]).unwrap();
    world.wait("the change on the other edge", || {
        Ok(other.http_get(&format!("http://{}:8080/index.html", there[0].ip))? == "two\n")
    });
    assert_eq!(World::containers(&other, &there), containers);
    assert!(world.pods("app=there")[0].ready);
    world.edge.heal().unwrap();
    world.kubectl(&["delete", "deployment", "there"]).unwrap();
    other.rm().unwrap();
    world.lab.kubectl(&["delete", "node", "edge-2", "--ignore-not-found"]).unwrap();
}

#[test]
fn a_pod_that_cannot_be_applied_waits_in_upstreams_words_and_disturbs_nobody() {
    let world = World::new("not-applicable");
    world.apply(include_str!("manifests/not-applicable.yaml"));
    world.apply(&web("web", 1, EDGE));
    world.ready("app=web", 1);
    world.wait("the missing key named", || {
        let pod = world.pod("missing-key")?;
        Ok(pod.phase == "Pending" && pod.waiting() == "CreateContainerConfigError")
    });
    let message = world.pod("missing-key").unwrap().object.to_string();
    assert!(message.contains("couldn't find key nothing in Secret not-applicable/there"), "{message}");

    world.wait("the missing ConfigMap waited for", || {
        let pod = world.pod("missing-volume")?;
        Ok(pod.phase == "Pending" && pod.waiting() == "ContainerCreating")
    });

    let refused = world.condition("refused-field", "skerry.io/FieldsHonoured", "False");
    assert!(refused.contains("spec.hostUsers"), "{refused}");
    assert_eq!(world.pod("refused-field").unwrap().phase, "Pending");
    let running = world.edge.containers().unwrap();
    assert!(running.iter().all(|container| container.pod != "refused-field"), "nothing of it was started");

    // What was missing comes, and the pods go on by themselves.
    world.kubectl(&["patch", "secret", "there", "-p", r#"{"stringData":{"nothing":"x"}}"#]).unwrap();
    world.kubectl(&["create", "configmap", "absent", "--from-literal=a=b"]).unwrap();
    world.wait("both run", || {
        Ok(world.pod("missing-key")?.phase == "Running" && world.pod("missing-volume")?.phase == "Running")
    });
}

#[test]
fn a_configmap_of_a_mebibyte_arrives_whole() {
    let world = World::new("mebibyte");
    let text = incompressible(1, 1_000_000, b'a'..=b'z');
    let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"big": text}});
    world.lab.kubectl_with_input(&["create", "-n", "mebibyte", "-f", "-"], &map.to_string()).unwrap();
    world.apply(&sleeper("reader", EDGE).replace(
        "    command: [sleep, \"1000000\"]",
        "    command: [sleep, \"1000000\"]\n    volumeMounts: [{name: big, mountPath: /big}]\n  volumes: [{name: big, configMap: {name: big}}]",
    ));
    let pod = world.ready("app=reader", 1).remove(0);
    let sum = world.edge.exec_in(&pod.containers["main"], &["md5sum", "/big/big"]).unwrap();
    let expected =
        host::finish_with_input(std::process::Command::new("md5sum").arg("-"), text.as_bytes()).unwrap();
    assert_eq!(sum.split_whitespace().next(), expected.split_whitespace().next());
}

#[test]
fn an_emptied_store_stops_nothing() {
    let world = World::new("emptied-store");
    world.apply(&web("web", 2, EDGE));
    let pods = world.ready("app=web", 2);
    let containers = World::containers(&world.edge, &pods);
    world.edge.kill().unwrap();
    world.edge.cut().unwrap();
    world.edge.exec(&["sh", "-c", "rm -f /var/lib/skerry/store.db*"]).unwrap();
    world.edge.start().unwrap();
    // edgecore runs, knows nothing, cannot ask, and has looked at the runtime.
    world.wait("edgecore ready", || Ok(world.edge.http_get("http://127.0.0.1:10551/readyz").is_ok()));
    assert_eq!(World::containers(&world.edge, &pods), containers);
    world.edge.heal().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    change_page(&world, "after");
    world.wait("the change on the edge", || serves(&world, "after\n"));
    assert_eq!(World::containers(&world.edge, &pods), containers, "adopted by UID, none restarted");
}

fn change_page(world: &World, page: &str) {
    let patch = format!(r#"{{"data":{{"index.html":"{page}\n"}}}}"#);
    world.kubectl(&["patch", "configmap", "web-page", "-p", &patch]).unwrap();
}

/// Every pod of `app=web` serves this page.
fn serves(world: &World, page: &str) -> Result<bool> {
    for pod in world.pods("app=web") {
        let got = world.edge.http_get(&format!("http://{}:8080/index.html", pod.ip))?;
        ensure!(got == page, "{} serves {got:?}", pod.name);
    }
    Ok(true)
}
