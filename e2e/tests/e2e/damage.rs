//! Objects that arrive damaged, watches that fail, and permissions that are taken away: nothing is believed to be gone
//! because it could not be read.

use anyhow::{Context, Result, ensure};
use skerry_e2e::Lab;
use skerry_e2e::view::PodSeen;

use crate::api_relay::{ApiRelay, Damage, How, Rules};
use crate::handmade::LogSince;
use crate::world::{EDGE, World, sleeper};

const BINDING: &str = "skerry:cloudcore";

#[test]
fn a_damaged_list_item_costs_that_object_alone_until_its_next_good_event() {
    let world = World::new("damaged-item");
    let pods = two_readers(&world);
    let damage = Damage { collection: "configmaps", name: "one", how: How::MetadataInAList };
    let log = LogSince::now(world.lab.cloud_log(1));
    let relay = ApiRelay::start(&world.lab, Rules { items: vec![damage], ..Rules::default() }).unwrap();
    restart_cloud(&world.lab);
    log.expect(&["ConfigMap", "damaged-item/one", "cannot be read"]).unwrap();
    assert!(malformed(&world, "ConfigMap") >= 1 && relay.damaged() >= 1);
    world.wait("the session back", || Ok(world.sessions() == 1));

    // What arrived whole goes on: another ConfigMap, and a new pod.
    change(&world, "two", "second");
    world.wait("the other ConfigMap's change", || Ok(reads(&world, &pods, "two")? == "second"));
    world.apply(&sleeper("newcomer", EDGE));
    world.ready("app=newcomer", 1);
    assert_eq!(reads(&world, &pods, "one").unwrap(), "first", "what the edge had of it stays");
    assert_eq!(world.sent().1, 0, "nothing was deleted");

    // The list is as damaged as before; an event that is whole heals it.
    change(&world, "one", "second");
    world.wait("the damaged one's change", || Ok(reads(&world, &pods, "one")? == "second"));
    untouched(&world, &pods);
}

#[test]
fn a_damaged_event_costs_that_object_alone_until_its_next_good_event() {
    let world = World::new("damaged-event");
    let pods = two_readers(&world);
    let relay = ApiRelay::start(&world.lab, Rules::default()).unwrap();
    restart_cloud(&world.lab);
    world.wait("the session back", || Ok(world.sessions() == 1));
    let before = (malformed(&world, "ConfigMap"), malformed(&world, "Pod"));
    let log = LogSince::now(world.lab.cloud_log(1));
    let config_map = Damage { collection: "configmaps", name: "one", how: How::WrongType };
    let pod = Damage { collection: "pods", name: "newcomer", how: How::MetadataInAList };
    // In lists too: cloudcore lists again now and then after a loss, and must not be healed by that here.
    let damage = vec![config_map, pod];
    relay.obey(Rules { items: damage.clone(), events: damage, ..Rules::default() });

    change(&world, "one", "second");
    world.apply(&sleeper("newcomer", EDGE));
    log.expect(&["ConfigMap", "damaged-event/one", "cannot be read"]).unwrap();
    log.expect(&["Pod", "damaged-event/newcomer", "cannot be read"]).unwrap();
    let now = (malformed(&world, "ConfigMap"), malformed(&world, "Pod"));
    assert!(now.0 > before.0 && now.1 > before.1, "{before:?} {now:?}");

    // What arrives whole in the same watches goes on.
    change(&world, "two", "second");
    world.wait("the other ConfigMap's change", || Ok(reads(&world, &pods, "two")? == "second"));
    world.apply(&sleeper("other", EDGE));
    world.ready("app=other", 1);
    assert_eq!(reads(&world, &pods, "one").unwrap(), "first");
    assert_eq!(world.pod("newcomer").unwrap().phase, "Pending");

    // The next good event of each heals it.
    relay.obey(Rules::default());
    change(&world, "one", "third");
    world.kubectl(&["label", "pod", "newcomer", "touched=yes"]).unwrap();
    world.wait("the damaged one's change", || Ok(reads(&world, &pods, "one")? == "third"));
    world.ready("app=newcomer", 1);
    assert_eq!(world.sent().1, 0, "nothing was deleted");
    untouched(&world, &pods);
}

#[test]
fn a_node_that_cannot_be_read_is_no_deleted_node() {
    let world = World::new("damaged-node");
    let pods = two_readers(&world);
    let relay = ApiRelay::start(&world.lab, Rules::default()).unwrap();
    restart_cloud(&world.lab);
    world.wait("the session back", || Ok(world.sessions() == 1));
    let epoch = crate::outage::epoch(&world).unwrap();
    for how in [How::MetadataInAList, How::WrongType] {
        let (damaged, before) = (relay.damaged(), malformed(&world, "Node"));
        let damage = vec![Damage { collection: "nodes", name: EDGE, how }];
        relay.obey(Rules { items: damage.clone(), events: damage, ..Rules::default() });
        world
            .lab
            .kubectl(&["annotate", "--overwrite", "node", EDGE, &format!("example.com/how={how:?}")])
            .unwrap();
        world.wait("the damage noticed", || {
            Ok(relay.damaged() > damaged && malformed(&world, "Node") > before)
        });
        change(&world, "two", &format!("{how:?}"));
        world.wait("a change of something else", || Ok(reads(&world, &pods, "two")? == format!("{how:?}")));
        relay.obey(Rules::default());
        world.lab.kubectl(&["annotate", "node", EDGE, "example.com/how-"]).unwrap();
    }
    assert_eq!(crate::outage::epoch(&world).unwrap(), epoch, "it was one session all the time");
    let record =
        world.lab.get(&["configmap", "-n", "skerry-system", &format!("node-identity-{EDGE}")]).unwrap();
    assert!(record.pointer("/data/revoked").is_none(), "{record}");
    assert_eq!(world.sent().1, 0, "nothing was deleted");
    untouched(&world, &pods);
}

#[test]
fn a_watch_that_fails_deletes_nothing_on_any_edge() {
    let world = World::new("failing-watch");
    let pods = two_readers(&world);
    let relay = ApiRelay::start(&world.lab, Rules::default()).unwrap();
    restart_cloud(&world.lab);
    world.wait("the session back", || Ok(world.sessions() == 1));
    for (collection, status) in [("pods", 500), ("configmaps", 403)] {
        let (before, log) = (relay.refused(), LogSince::now(world.lab.cloud_log(1)));
        relay.obey(Rules { refuse: vec![(collection, status)], ..Rules::default() });
        log.expect(&["list or watch failed", &status.to_string()]).unwrap();
        // An edge that comes now is compared with what is known of a kind that may have changed since.
        world.edge.kill().unwrap();
        world.edge.start().unwrap();
        world.wait("tried again", || Ok(relay.refused() > before + 2));
        world.wait("the session back", || Ok(world.sessions() == 1));
        // The other kinds go on, which also shows that the session is past its first comparison.
        if collection == "pods" {
            change(&world, "two", "meanwhile");
            world.wait("another kind's change", || Ok(reads(&world, &pods, "two")? == "meanwhile"));
        } else {
            world.apply(&sleeper("meanwhile", EDGE));
            world.ready("app=meanwhile", 1);
        }
        untouched(&world, &pods);
        relay.obey(Rules::default());
        let value = format!("after {collection}");
        change(&world, "one", &value);
        world.wait("the session back", || Ok(world.sessions() == 1));
        world.wait("a change after it", || Ok(reads(&world, &pods, "one")? == value));
    }

    // A cloudcore that starts and cannot list pods knows of none, and lets nobody hear of it.
    relay.obey(Rules { refuse: vec![("pods", 500)], ..Rules::default() });
    let before = relay.refused();
    world.lab.kill_cloud(None).unwrap();
    let starting = start_in_background(&world.lab);
    world.wait("tried again", || Ok(relay.refused() > before + 2));
    assert_eq!(world.sessions(), 0, "no session opens before every kind is listed");
    untouched(&world, &pods);
    relay.obey(Rules::default());
    starting.join().unwrap().unwrap();
    world.wait("the session back", || Ok(world.sessions() == 1));
    change(&world, "two", "at the end");
    world.wait("a change after it", || Ok(reads(&world, &pods, "two")? == "at the end"));
    assert_eq!(world.sent().1, 0, "nothing was deleted");
    untouched(&world, &pods);
}

#[test]
fn a_cloudcore_without_permissions_deletes_nothing_on_any_edge() {
    let world = World::new("no-permissions");
    let pods = two_readers(&world);
    let guard = Permissions(&world.lab);
    let log = LogSince::now(world.lab.cloud_log(1));
    world.lab.kubectl(&["delete", "clusterrolebinding", BINDING]).unwrap();
    // With its watches open, and then from nothing.
    world.edge.kill().unwrap();
    world.edge.start().unwrap();
    untouched(&world, &pods);
    world.lab.kill_cloud(None).unwrap();
    let starting = start_in_background(&world.lab);
    log.expect(&["forbidden"]).unwrap();
    change(&world, "one", "second");
    untouched(&world, &pods);

    drop(guard);
    starting.join().unwrap().unwrap();
    world.wait("the session back", || Ok(world.sessions() == 1));
    world.wait("the change made meanwhile", || Ok(reads(&world, &pods, "one")? == "second"));
    assert_eq!(world.sent().1, 0, "nothing was deleted");
    untouched(&world, &pods);
}

/// Two ConfigMaps, each with a pod that has it as a file; both pods Ready, with their containers.
struct Readers {
    pods: Vec<PodSeen>,
    containers: Vec<(String, String)>,
}

fn two_readers(world: &World) -> Readers {
    // What a test before this one left is deleted in good order, and must not be counted here.
    world.wait("no pods of other tests", || {
        let pods = world.lab.get(&["pods", "--all-namespaces"])?;
        Ok(pods["items"].as_array().is_some_and(Vec::is_empty))
    });
    let mut pods = Vec::new();
    for name in ["one", "two"] {
        world.kubectl(&["create", "configmap", name, "--from-literal=value=first"]).unwrap();
        world.apply(&sleeper(&format!("reads-{name}"), EDGE).replace(
            "    command: [sleep, \"1000000\"]",
            &format!("    command: [sleep, \"1000000\"]\n    volumeMounts: [{{name: it, mountPath: /it}}]\n  volumes: [{{name: it, configMap: {{name: {name}}}}}]"),
        ));
    }
    for name in ["one", "two"] {
        pods.extend(world.ready(&format!("app=reads-{name}"), 1));
    }
    let containers = World::containers(&world.edge, &pods);
    assert_eq!(containers.len(), 2);
    Readers { pods, containers }
}

/// What the pod of this ConfigMap finds in its file.
fn reads(world: &World, readers: &Readers, name: &str) -> Result<String> {
    let pod = readers.pods.iter().find(|pod| pod.name == format!("reads-{name}")).context("no such pod")?;
    let container = pod.containers.get("main").context("no container")?;
    world.edge.exec_in(container, &["cat", "/it/value"])
}

/// The readers' containers run as they did from the beginning.
fn untouched(world: &World, readers: &Readers) {
    assert_eq!(World::containers(&world.edge, &readers.pods), readers.containers);
}

fn change(world: &World, name: &str, value: &str) {
    let patch = format!(r#"{{"data":{{"value":"{value}"}}}}"#);
    world.kubectl(&["patch", "configmap", name, "-p", &patch]).unwrap();
}

fn malformed(world: &World, kind: &str) -> u64 {
    let metrics = world.lab.metrics(1).unwrap();
    metrics.count("skerry_index_malformed_total", &[&format!("kind=\"{kind}\"")])
}

fn restart_cloud(lab: &Lab) {
    lab.kill_cloud(None).unwrap();
    lab.start_cloud(None).unwrap();
}

fn start_in_background(lab: &Lab) -> std::thread::JoinHandle<Result<()>> {
    let lab = lab.clone();
    std::thread::spawn(move || lab.start_cloud(None))
}

/// Gives cloudcore its permissions back.
struct Permissions<'a>(&'a Lab);

impl Drop for Permissions<'_> {
    fn drop(&mut self) {
        let manifest = self.0.dir().join("manifests/rbac.yaml").display().to_string();
        let applied = self.0.kubectl(&["apply", "-f", &manifest]);
        let told = applied.and_then(|text| {
            ensure!(text.contains(BINDING), "{text}");
            Ok(())
        });
        if let Err(error) = told {
            skerry_e2e::host::progress(&format!("cloudcore's permissions are not back: {error:#}"));
        }
    }
}
