//! Several cloudcores behind one address: who holds a node, and what becomes of it when that one is killed, is sent
//! away, or sleeps and wakes up.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use kit::Clock;
use rustix::process::Signal;
use rustls_pki_types::ServerName;
use serde_json::Value;
use skerry_e2e::cloud::http_status;
use skerry_e2e::view::{PodSeen, condition};
use skerry_e2e::{Edge, Lab, TestLab, UpOptions, host};
use tokio_rustls::TlsConnector;

use crate::api_relay::{ApiRelay, Rules};
use crate::handmade::LogSince;
use crate::outage::epoch_of;
use crate::watching::Watching;
use crate::world::{EDGE, PATIENCE, World, sleeper, web};

/// The lab with several cloudcores; it has one again when this is dropped.
struct Several(World);

impl Several {
    fn new(name: &str, clouds: u32) -> Self {
        let world = World::new(name);
        let several = Self(world);
        several.lab.set_clouds(clouds).unwrap();
        several
    }
}

impl std::ops::Deref for Several {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Several {
    fn drop(&mut self) {
        // The next test makes the lab whole; it would only miss its one cloudcore.
        for name in self.lab.edge_names().iter().filter(|name| *name != EDGE) {
            let _ = self.lab.edge(name).rm();
        }
        if let Err(error) = self.lab.set_clouds(1) {
            host::progress(&format!("{error:#}"));
        }
    }
}

/// The number of the cloudcore that holds an edge's session, as the Lease says.
fn holder(lab: &Lab, edge: &str) -> Result<u32> {
    let lease = lab.get(&["lease", "-n", "kube-node-lease", edge])?;
    let replica = lease.pointer("/metadata/annotations/skerry.io~1replica").and_then(Value::as_str);
    let number = replica.and_then(|replica| replica.strip_prefix("cloudcore-")?.parse().ok());
    number.with_context(|| format!("no replica in {lease}"))
}

/// The edge's own word: its link is in sync.
fn in_sync(edge: &Edge) -> Result<bool> {
    let metrics = edge.http_get("http://127.0.0.1:10551/metrics")?;
    Ok(metrics.lines().any(|line| line.contains("in_sync") && line.ends_with(" 1")))
}

fn lives(pods: &[PodSeen]) -> Vec<(String, std::collections::BTreeMap<String, String>, u64)> {
    pods.iter().map(PodSeen::life).collect()
}

#[test]
fn three_replicas_that_start_together_share_one_ca() {
    // A lab of its own: what is made at the first start must not be there yet.
    let options = UpOptions { edges: Some(1), clouds: Some(3), ..UpOptions::default() };
    let lab = TestLab::up("first-start", &options).unwrap();
    let secret = lab.get(&["secret", "-n", "skerry-system", "skerry-ca"]).unwrap();
    assert!(secret.pointer("/data/ca.crt").is_some(), "no CA: {secret}");
    let pin = |cloud: u32| -> Result<pki::Spki> {
        let mut command = std::process::Command::new(lab.dir().join("bin/cloudcore"));
        command.args(["token", "create", "--config"]).arg(lab.cloud_config(cloud));
        Ok(host::finish(&mut command)?.trim().parse::<pki::JoinToken>()?.pin)
    };
    let pins: Vec<_> = (1..=3).map(|cloud| pin(cloud).unwrap()).collect();
    assert!(pins.iter().all(|other| *other == pins[0]), "{pins:?}");
    // What they serve with is what they started with: each is verified by the one CA.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for cloud in lab.clouds() {
        let tls = TlsConnector::from(pki::join_client(pins[0], &Clock::system()).unwrap());
        let address = lab.id().unwrap().host_address();
        let shaken = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect((address, cloud.join_port)).await?;
            tls.connect(ServerName::IpAddress(std::net::IpAddr::V4(address).into()), stream).await
        });
        assert!(shaken.is_ok(), "cloudcore {}: {:?}", cloud.n, shaken.err());
    }
    // An edge that joined through one of them is served by every other: where its session is ended, another opens.
    let edge = lab.edge("edge-1");
    let mut held = BTreeSet::new();
    while held.len() < 3 {
        let at = host::wait_for("a session", PATIENCE, || {
            let at = holder(&lab, "edge-1")?;
            Ok((!held.contains(&at) && in_sync(&edge)?).then_some(at))
        })
        .unwrap();
        held.insert(at);
        lab.drain_cloud(Some(at)).unwrap();
    }
}

#[test]
fn a_replica_that_is_killed_gives_its_edges_to_the_others() {
    let world = Several::new("killed-replica", 3);
    let edges = [world.edge.clone(), world.add_edge("edge-2"), world.add_edge("edge-3")];
    for edge in &edges {
        world.apply(&sleeper(&format!("on-{}", edge.name()), edge.name()));
    }
    let all = || -> Vec<PodSeen> {
        edges.iter().map(|edge| world.pod(&format!("on-{}", edge.name())).unwrap()).collect()
    };
    for edge in &edges {
        world.ready(&format!("app=on-{}", edge.name()), 1);
    }
    let before = all();
    let nodes = Watching::start(&world.lab, &["nodes"]).unwrap();
    let victim = holder(&world.lab, EDGE).unwrap();
    world.lab.kill_cloud(Some(victim)).unwrap();
    for edge in &edges {
        world.wait(&format!("{} with another replica, in sync", edge.name()), || {
            Ok(holder(&world.lab, edge.name())? != victim && in_sync(edge)?)
        });
    }
    // What changes now goes through whoever took them over, both ways.
    world.apply(&web("web", 1, EDGE));
    world.ready("app=web", 1);
    assert_eq!(lives(&all()), lives(&before), "no pod noticed");
    assert_eq!(nodes.not_ready(), [], "nor did node-lifecycle");
    world.lab.start_cloud(Some(victim)).unwrap();
}

#[test]
fn a_rolling_update_leaves_every_node_ready_and_every_pod_alone() {
    let world = Several::new("rolling", 3);
    let edges = [world.edge.clone(), world.add_edge("edge-2"), world.add_edge("edge-3")];
    for edge in &edges {
        world.apply(&web(edge.name(), 1, edge.name()));
    }
    for edge in &edges {
        world.ready(&format!("app={}", edge.name()), 1);
    }
    let pods = || -> Vec<PodSeen> {
        edges.iter().flat_map(|edge| world.pods(&format!("app={}", edge.name()))).collect()
    };
    let before = pods();
    let epochs: Vec<u64> = edges.iter().map(|edge| epoch_of(&world.lab, edge.name()).unwrap()).collect();
    let nodes = Watching::start(&world.lab, &["nodes"]).unwrap();
    let watched = Watching::start(&world.lab, &["pods", "-n", &world.namespace]).unwrap();
    for n in 1..=3 {
        let log = LogSince::now(world.lab.cloud_log(n));
        world.lab.drain_cloud(Some(n)).unwrap();
        log.expect(&["cloudcore ended", "SIGTERM"]).unwrap();
        for edge in &edges {
            world.wait(&format!("{} elsewhere, in sync", edge.name()), || {
                Ok(holder(&world.lab, edge.name())? != n && in_sync(edge)?)
            });
            let page = format!("during {n}\n");
            let patch = serde_json::json!({"data": {"index.html": page}}).to_string();
            world.kubectl(&["patch", "configmap", &format!("{}-page", edge.name()), "-p", &patch]).unwrap();
            world.wait("the change on the edge", || {
                let pod = world.pods(&format!("app={}", edge.name())).remove(0);
                Ok(edge.http_get(&format!("http://{}:8080/index.html", pod.ip))? == page)
            });
        }
        world.lab.start_cloud(Some(n)).unwrap();
    }
    assert_eq!(lives(&pods()), lives(&before), "no pod was restarted or rebuilt");
    assert_eq!(nodes.not_ready(), [], "no node was anything but Ready at any moment");
    assert_eq!(watched.not_ready(), [], "nor was a pod");
    for (edge, epoch) in edges.iter().zip(epochs) {
        let now = epoch_of(&world.lab, edge.name()).unwrap();
        assert!(now > epoch && now <= epoch + 4, "{}: session {epoch} became {now}", edge.name());
    }
}

#[test]
fn bodies_are_kept_only_by_the_replica_that_has_the_node() {
    let world = Several::new("own-bodies", 2);
    let secret = |value: &str| {
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "stringData": {"own": value}});
        world.apply(&object.to_string());
    };
    secret("one");
    world.apply(&sleeper("reader", EDGE).replace(
        "    command: [sleep, \"1000000\"]",
        "    command: [sleep, \"1000000\"]\n    volumeMounts: [{name: own, mountPath: /own}]\n  volumes: [{name: own, secret: {secretName: own}}]",
    ));
    let pod = world.ready("app=reader", 1).remove(0);
    let reads = |value: &str| Ok(world.edge.exec_in(&pod.containers["main"], &["cat", "/own/own"])? == value);
    let secrets = |cloud: u32| {
        let metrics = world.lab.metrics(cloud).unwrap();
        let count = |name: &str| metrics.count(name, &["kind=\"Secret\""]);
        (count("skerry_index_objects"), count("skerry_index_bodies"))
    };
    let mut value = "one".to_owned();
    for _ in 0..2 {
        let holder = holder(&world.lab, EDGE).unwrap();
        let other = 3 - holder;
        let next = format!("{value}, and with cloudcore {holder}");
        secret(&next);
        world.wait("the change in the pod", || reads(&next));
        let ((known, kept), (known_too, not_kept)) = (secrets(holder), secrets(other));
        assert!(known > 1 && known == known_too, "both know of every Secret: {known} and {known_too}");
        assert_eq!((kept, not_kept), (1, 0), "the body is where the node is, and of its Secret alone");
        world.lab.drain_cloud(Some(holder)).unwrap();
        world.wait("the edge with the other", || {
            Ok(self::holder(&world.lab, EDGE)? == other && in_sync(&world.edge)?)
        });
        // Nothing was to be sent, so nothing was read.
        assert_eq!(secrets(other).1, 0);
        world.lab.start_cloud(Some(holder)).unwrap();
        value = next;
    }
}

#[test]
fn a_replica_that_slept_with_queued_writes_never_shows_the_older_status() {
    let world = Several::new("slept", 2);
    world.apply(&web("web", 1, EDGE));
    let pod = world.ready("app=web", 1).remove(0);
    // The first one reaches the API server through the relay, and gets the edge.
    let relay = ApiRelay::start(&world.lab, Rules::default()).unwrap();
    world.lab.drain_cloud(Some(1)).unwrap();
    world.lab.start_cloud(Some(1)).unwrap();
    world.lab.drain_cloud(Some(2)).unwrap();
    world.wait("the edge with the first", || Ok(holder(&world.lab, EDGE)? == 1 && in_sync(&world.edge)?));
    relay.restore().unwrap();
    world.lab.start_cloud(Some(2)).unwrap();

    // A report that the first takes and cannot write: the pod is not Ready. Even its look at the pod is held back, so
    // that it will plan on whatever is newest when it wakes up.
    relay.obey(Rules { hold: Some(format!("/pods/{}", pod.name)), ..Rules::default() });
    let no_page = r#"[{"op":"remove","path":"/data/index.html"}]"#;
    world.kubectl(&["patch", "configmap", "web-page", "--type=json", "-p", no_page]).unwrap();
    world.wait("the report held back", || Ok(relay.held() >= 1));
    let sleeper = world.lab.clouds()[0].process.unwrap();
    sleeper.signal(Signal::STOP).unwrap();

    // The node moves without a word to the sleeper: it loses power, and with it every packet of the old connection.
    world.edge.power_off().unwrap();
    let page = r#"{"data":{"index.html":"again\n"}}"#;
    world.kubectl(&["patch", "configmap", "web-page", "-p", page]).unwrap();
    world.edge.power_on().unwrap();
    world.wait("the edge with the second", || Ok(holder(&world.lab, EDGE)? == 2));
    world.wait("something newer", || {
        let now = world.pod(&pod.name)?;
        Ok(now.ready && now.restarts > pod.restarts)
    });

    let newest = world.pod(&pod.name).unwrap();
    let watched = Watching::start(&world.lab, &["pod", "-n", &world.namespace, &pod.name]).unwrap();
    let log = LogSince::now(world.lab.cloud_log(1));
    relay.obey(Rules::default());
    sleeper.signal(Signal::CONT).unwrap();
    log.expect(&["session", EDGE]).unwrap();
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], world.lab.clouds()[0].admin_port));
    world.wait("the sleeper awake and ready", || Ok(http_status(admin, "/readyz")? == 200));
    // Once it is known to be through with the node, what is changed through the other comes after all it might have done.
    world.wait("the sleeper without the edge", || {
        Ok(world.lab.metrics(1)?.count("skerry_hub_sessions", &[]) == 0)
    });
    world.kubectl(&["label", "pod", &pod.name, "touched=yes"]).unwrap();
    world.wait("the label watched", || {
        Ok(watched.seen().last().is_some_and(|last| last.pointer("/metadata/labels/touched").is_some()))
    });
    for shown in watched.seen() {
        let ready = condition(&shown, "Ready").context("no condition Ready").unwrap()["status"].clone();
        let seen = PodSeen::of(&shown);
        assert_eq!((ready, seen.life()), (Value::from("True"), newest.life()), "the older status: {shown}");
    }
    assert_eq!(holder(&world.lab, EDGE).unwrap(), 2);
    ensure_ready(&world).unwrap();
}

fn ensure_ready(world: &World) -> Result<()> {
    let node = world.lab.get(&["node", EDGE])?;
    let ready = condition(&node, "Ready").context("no condition Ready")?["status"].clone();
    ensure!(ready == "True", "{EDGE} is {ready}");
    Ok(())
}

#[test]
fn kubectl_finds_an_edge_whose_session_moves() {
    let world = Several::new("kubectl-moves", 2);
    world.apply(
        &sleeper("talks", EDGE).replace("[sleep, \"1000000\"]", "[sh, -c, \"echo here; sleep 1000000\"]"),
    );
    world.ready("app=talks", 1);
    let logs = || world.kubectl(&["logs", "talks"]);
    world.wait("the log", || Ok(logs()? == "here\n"));
    let endpoint = || -> Result<String> {
        Ok(world.lab.get(&["node", EDGE])?["status"]["addresses"].to_string()
            + &world.lab.get(&["node", EDGE])?["status"]["daemonEndpoints"].to_string())
    };
    for _ in 0..2 {
        let (first, before) = (holder(&world.lab, EDGE).unwrap(), endpoint().unwrap());
        std::thread::scope(|scope| {
            let draining = scope.spawn(|| world.lab.drain_cloud(Some(first)));
            // All the while: from before it moves until its Node says where it is now.
            world.wait("the session is with the other", || {
                ensure!(logs().unwrap() == "here\n");
                Ok(endpoint()? != before)
            });
            draining.join().unwrap().unwrap();
        });
        assert_eq!(logs().unwrap(), "here\n");
        world.lab.start_cloud(Some(first)).unwrap();
    }
}
