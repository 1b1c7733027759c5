//! The whole engine on a real store, with a runtime in memory.

use std::sync::Arc;
use std::time::Duration;

use ::kit::tasks::Group;
use ::kit::{Clock, Shutdown};
use edgecore_store::{Change, Store};
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::{Kind, ObjectKey, Version};

use crate::fake::Fake;
use crate::handle::{Alive, RuntimeState};
use crate::io::{Context, run};
use crate::probe::Kind as Probe;
use crate::probe_counts::{ProbeCounts, Tally};
use crate::spec::NodeFacts;

/// A node: its disk, its runtime, and the engine while it runs.
struct Node {
    dir: tempfile::TempDir,
    store: Store,
    runtime: Fake,
    probes: ProbeCounts,
    engine: Option<(Group, Shutdown, watch::Receiver<RuntimeState>, Alive)>,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_in_boot(dir.path(), Clock::system(), "boot").unwrap().store;
        let mut node =
            Self { dir, store, runtime: Fake::default(), probes: ProbeCounts::default(), engine: None };
        node.start();
        node
    }

    fn start(&mut self) {
        let facts = NodeFacts {
            name: "node".into(),
            host_ips: vec!["192.0.2.1".into()],
            pod_logs_dir: self.dir.path().join("logs").display().to_string(),
            cluster_domain: "cluster.local".into(),
            memory_capacity: 1 << 30,
            ..NodeFacts::default()
        };
        let (stop, state) = (Shutdown::new(), watch::Sender::default());
        let alive = Alive::new(Clock::system());
        let seen = state.subscribe();
        let context = Context {
            runtime: self.runtime.clone(),
            store: self.store.clone(),
            clock: Clock::system(),
            state_dir: self.dir.path().to_owned(),
            node: watch::channel(Arc::new(facts)).1,
            max_pods: 10,
            alive: alive.clone(),
            runtime_state: state,
            probes: self.probes.clone(),
        };
        let group = Group::new("engine", 1);
        let stopping = stop.clone();
        group.spawn(async move { run(context, stopping).await.unwrap() });
        self.engine = Some((group, stop, seen, alive));
    }

    /// The process dies: nothing it was about to do is done.
    fn kill(&mut self) {
        self.engine = None;
    }

    async fn apply(&self, kind: Kind, uid: &str, name: &str, body: Value) {
        let body = wire::canonical(&body).unwrap();
        let key = ObjectKey::new(kind, "ns", name);
        let change = Change::Upsert { key, uid: uid.into(), version: Version::of(&body), body };
        self.store.apply(vec![change]).await.unwrap();
    }

    async fn pod(&self, uid: &str, name: &str, spec: Value) {
        self.apply(Kind::Pod, uid, name, body(uid, name, &spec)).await;
    }

    async fn delete(&self, uid: &str) {
        self.store.apply(vec![Change::Delete { kind: "Pod".into(), uid: uid.into() }]).await.unwrap();
    }

    /// The last report of a pod.
    fn report(&self, uid: &str) -> Value {
        let reports = self.store.pending_reports(0, 100).unwrap();
        let last = reports.iter().rfind(|report| report.uid == uid);
        last.map_or(Value::Null, |report| serde_json::from_slice(&report.body).unwrap())
    }

    fn phase(&self, uid: &str) -> String {
        self.report(uid)["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    fn calls(&self) -> Vec<String> {
        self.runtime.world(|world| std::mem::take(&mut world.calls))
    }

    fn runs(&self, uid: &str) -> usize {
        self.runtime.world(|world| world.running().filter(|container| container.pod_uid == uid).count())
    }

    /// Waits until it holds; what does not within a minute never will.
    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..12_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}; {:?}; {:?}", self.calls(), self.store.pending_reports(0, 100));
    }

    /// The engine looked and had nothing to do.
    async fn idle(&self) {
        for _ in 0..3 {
            self.runtime.world(|_| ());
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
}

fn body(uid: &str, name: &str, spec: &Value) -> Value {
    json!({"metadata": {"namespace": "ns", "name": name, "uid": uid}, "spec": spec})
}

fn spec() -> Value {
    json!({"restartPolicy": "Always", "containers": [{"name": "c", "image": "img:1"}]})
}

#[tokio::test]
async fn a_pod_runs_and_a_restart_of_the_engine_touches_nothing() {
    let mut node = Node::new();
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    let report = node.report("u");
    assert_eq!(node.calls(), ["run sandbox u 0", "start u c 0"]);
    node.idle().await;
    node.kill();
    node.start();
    node.idle().await;
    assert!(node.calls().is_empty());
    assert_eq!(node.report("u"), report);
    assert!(node.engine.as_ref().unwrap().3.is_alive());
}

#[tokio::test]
async fn nothing_found_running_is_stopped_before_the_store_was_whole_once() {
    let node = Node::new();
    node.runtime.world(|world| {
        let home = world.add_sandbox("stray", "ns", "p", 0);
        let id = world.create(&home, "c", 0, std::collections::BTreeMap::new()).unwrap();
        world.start(&id).unwrap();
    });
    node.idle().await;
    assert_eq!(node.runs("stray"), 1);
    // A pod of the same name waits for it.
    node.pod("u", "p", spec()).await;
    node.idle().await;
    let left = node.dir.path().join("logs/ns_old_gone");
    std::fs::create_dir_all(&left).unwrap();
    node.store.sync_point(Vec::new()).await.unwrap();
    node.until("what unknown pods left is cleared", |_| !left.exists()).await;
    node.until("stray is gone", |node| {
        node.runtime.world(|world| world.sandboxes.iter().all(|sandbox| sandbox.pod_uid != "stray"))
    })
    .await;
    node.until("the other runs", |node| node.runs("u") == 1).await;
}

#[tokio::test]
async fn what_runs_is_adopted_where_the_store_was_lost() {
    let node = Node::new();
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    let runtime = node.runtime.clone();
    drop(node);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_in_boot(dir.path(), Clock::system(), "boot").unwrap().store;
    let mut node = Node { dir, store, runtime, probes: ProbeCounts::default(), engine: None };
    node.calls();
    node.start();
    node.idle().await;
    node.pod("u", "p", spec()).await;
    node.store.sync_point(Vec::new()).await.unwrap();
    node.until("running", |node| node.phase("u") == "Running").await;
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn a_deleted_pod_is_reported_gone_and_leaves() {
    let node = Node::new();
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    let mut deleted = body("u", "p", &spec());
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    deleted["metadata"]["deletionGracePeriodSeconds"] = json!(1);
    node.apply(Kind::Pod, "u", "p", deleted).await;
    node.until("gone", |node| node.report("u")["deleted"] == true).await;
    assert!(node.runtime.world(|world| world.sandboxes.is_empty()));
    assert_eq!(node.store.objects(Kind::Pod).unwrap().len(), 1);
    node.delete("u").await;
    node.until("retired", |node| node.store.objects(Kind::Pod).unwrap().is_empty()).await;
    assert!(!node.dir.path().join("pods/u").exists());
}

#[tokio::test]
async fn a_successor_of_the_same_name_waits_for_its_predecessor() {
    let node = Node::new();
    node.pod("u1", "p", spec()).await;
    node.until("running", |node| node.phase("u1") == "Running").await;
    node.delete("u1").await;
    node.pod("u2", "p", spec()).await;
    node.until("successor runs", |node| node.runs("u2") == 1).await;
    let calls = node.calls();
    let at = |what: &str| calls.iter().position(|call| call == what).unwrap_or(usize::MAX);
    assert!(at("stop u1 c 0") < at("run sandbox u2 0"), "{calls:?}");
    node.until("retired", |node| node.store.objects(Kind::Pod).unwrap().len() == 1).await;
}

#[tokio::test]
async fn a_pull_that_hangs_holds_up_nobody_and_not_even_its_pods_end() {
    let node = Node::new();
    node.runtime.world(|world| world.hanging_images.insert("slow:1".into()));
    node.pod("slow", "slow", json!({"containers": [{"name": "c", "image": "slow:1"}]})).await;
    node.until("sandbox", |node| node.calls().contains(&"run sandbox slow 0".to_owned())).await;
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    node.delete("slow").await;
    node.until("retired", |node| node.store.objects(Kind::Pod).unwrap().len() == 1).await;
}

#[tokio::test]
async fn a_runtime_that_does_not_answer_makes_nothing_gone() {
    let node = Node::new();
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    let report = node.report("u");
    node.calls();
    let mut state = node.engine.as_ref().unwrap().2.clone();
    assert!(state.borrow_and_update().ok);
    node.runtime.world(|world| world.down = true);
    state.wait_for(|state| !state.ok).await.unwrap();
    node.pod("v", "q", spec()).await;
    node.idle().await;
    assert_eq!(node.report("u"), report);
    node.runtime.world(|world| world.down = false);
    node.until("the new one runs", |node| node.phase("v") == "Running").await;
    assert_eq!(node.calls(), ["run sandbox v 0", "start v c 0"]);
    assert!(state.borrow_and_update().ok);
}

#[tokio::test]
async fn a_missing_config_map_holds_its_pod_until_it_comes_and_a_change_is_seen_in_place() {
    let node = Node::new();
    let spec = json!({"containers": [{"name": "c", "image": "img:1",
        "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}]});
    node.pod("u", "p", spec).await;
    node.until("told", |node| {
        let told = node.store.journal(0, 100).unwrap();
        told.iter().any(|row| String::from_utf8_lossy(&row.body).contains("FailedMount"))
    })
    .await;
    assert_eq!(node.phase("u"), "Pending");
    let map = |value: &str| json!({"metadata": {"name": "m", "namespace": "ns"}, "data": {"k": value}});
    node.apply(Kind::ConfigMap, "m1", "m", map("old")).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    let file = node.dir.path().join("pods/u/volumes/v/k");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    node.calls();
    node.apply(Kind::ConfigMap, "m1", "m", map("new")).await;
    node.until("changed", |_| std::fs::read_to_string(&file).unwrap() == "new").await;
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn a_config_map_that_changes_while_its_pod_starts_is_seen() {
    let node = Node::new();
    let spec = |image: &str| {
        json!({"containers": [{"name": "c", "image": image, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}]})
    };
    let map = |value: &str| json!({"metadata": {"name": "m", "namespace": "ns"}, "data": {"k": value}});
    let holds = |node: &Node, uid: &str, value: &str| {
        std::fs::read_to_string(node.dir.path().join(format!("pods/{uid}/volumes/v/k")))
            .is_ok_and(|k| k == value)
    };
    node.apply(Kind::ConfigMap, "m1", "m", map("old")).await;
    node.runtime.world(|world| world.hanging_images.insert("slow".to_owned()));
    node.pod("u", "p", spec("slow")).await;
    node.pod("w", "witness", spec("img:1")).await;
    node.until("both have their files", |node| {
        holds(node, "u", "old") && node.phase("w") == "Running" && node.calls().is_empty()
    })
    .await;
    node.apply(Kind::ConfigMap, "m1", "m", map("new")).await;
    node.until("the engine took the change", |node| holds(node, "w", "new")).await;
    node.runtime.world(|world| world.hanging_images.clear());
    node.until("running", |node| node.phase("u") == "Running").await;
    node.until("changed", |node| holds(node, "u", "new")).await;
}

#[tokio::test]
async fn a_config_map_that_changes_between_two_sandboxes_is_seen() {
    let node = Node::new();
    let spec = json!({"containers": [{"name": "c", "image": "img:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}]});
    let map = |value: &str| json!({"metadata": {"name": "m", "namespace": "ns"}, "data": {"k": value}});
    node.apply(Kind::ConfigMap, "m1", "m", map("old")).await;
    node.pod("u", "p", spec).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    node.runtime.world(|world| {
        world.no_sandboxes = true;
        let id = world.sandboxes[0].id.clone();
        world.stop_sandbox(&id);
    });
    // Often enough that the next try by itself is seconds away.
    let mut tries = 0;
    node.until("tried", |node| {
        tries += node.calls().iter().filter(|call| call.starts_with("no sandbox")).count();
        tries >= 6
    })
    .await;
    let file = node.dir.path().join("pods/u/volumes/v/k");
    // The change makes it try again at once, and this time it can.
    node.runtime.world(|world| world.no_sandboxes = false);
    node.apply(Kind::ConfigMap, "m1", "m", map("new")).await;
    node.until("runs again with the new file", |node| {
        let runs = node.runs("u") == 1;
        let holds = std::fs::read_to_string(&file).unwrap();
        assert!(!runs || holds == "new", "it started with {holds:?}");
        runs
    })
    .await;
}

#[tokio::test]
async fn a_container_starts_again_with_the_files_that_were_there_when_their_source_lost_a_key() {
    let node = Node::new();
    let spec = json!({"containers": [{"name": "c", "image": "img:1",
        "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420,
            "items": [{"key": "k", "path": "k"}]}}]});
    let map = |key: &str| json!({"metadata": {"name": "m", "namespace": "ns"}, "data": {key: "old"}});
    node.apply(Kind::ConfigMap, "m1", "m", map("k")).await;
    node.pod("u", "p", spec).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    node.apply(Kind::ConfigMap, "m1", "m", map("other")).await;
    node.runtime.world(|world| {
        let id = world.running().next().unwrap().id.clone();
        world.exit(&id, 1);
    });
    node.until("started again", |node| node.calls().contains(&"start u c 1".to_owned())).await;
    let file = node.dir.path().join("pods/u/volumes/v/k");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
}

#[tokio::test]
async fn what_cannot_be_run_says_so_by_name_and_disturbs_nobody() {
    let node = Node::new();
    node.apply(Kind::Pod, "bad", "bad", json!({"metadata": {"name": "bad"}, "spec": {"containers": 7}}))
        .await;
    node.pod("odd", "odd", json!({"containers": [{"name": "c", "image": "i"}], "fromTheFuture": 1})).await;
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    node.until("named", |node| node.report("bad") != Value::Null && node.report("odd") != Value::Null).await;
    let message = |uid: &str| node.report(uid)["status"]["conditions"].to_string();
    assert!(message("bad").contains("does not parse"), "{}", message("bad"));
    assert!(message("odd").contains("spec.fromTheFuture"), "{}", message("odd"));
    assert_eq!(node.phase("odd"), "Pending");
    assert_eq!(node.runs("odd"), 0);
}

#[tokio::test]
async fn a_pod_for_another_system_is_rejected_and_a_word_said() {
    let node = Node::new();
    let spec = json!({"os": {"name": "windows"}, "containers": [{"name": "c", "image": "img:1"}]});
    node.pod("w", "w", spec).await;
    node.until("rejected", |node| node.phase("w") == "Failed").await;
    let status = node.report("w")["status"].clone();
    let why = "Failed to admit pod as the OS field doesn't match node OS";
    assert_eq!(
        (&status["reason"], &status["message"]),
        (&json!("PodOSNotSupported"), &json!(format!("Pod was rejected: {why}")))
    );
    node.until("told", |node| {
        let told = node.store.journal(0, 100).unwrap();
        let note = format!("\"note\":\"{why}\"");
        told.iter().any(|row| String::from_utf8_lossy(&row.body).contains(&note))
    })
    .await;
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn probes_make_ready_and_restart() {
    let node = Node::new();
    node.runtime.world(|world| world.commands.insert("live".into(), 0));
    let spec = json!({"containers": [{"name": "c", "image": "img:1",
        "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["live"]}, "periodSeconds": 1, "failureThreshold": 1}}]});
    node.pod("u", "p", spec).await;
    node.until("ready", |node| node.report("u")["status"]["containerStatuses"][0]["ready"] == true).await;
    node.runtime.world(|world| world.commands.insert("live".into(), 1));
    node.until("restarted", |node| {
        node.report("u")["status"]["containerStatuses"][0]["restartCount"].as_u64() >= Some(1)
    })
    .await;
    // Every try was counted, and no restart loses any.
    let tally = |node: &Node, uid: &str, kind: Probe| {
        let counts = node.probes.all();
        let of = counts.into_iter().find(|(tried, _)| tried.uid == uid && tried.kind == kind);
        of.map_or_else(Tally::default, |(_, tally)| tally)
    };
    let live = tally(&node, "u", Probe::Liveness);
    assert!(live.failed >= 1 && live.unknown == 0, "{live:?}");
    assert!(tally(&node, "u", Probe::Readiness).successful >= 1);
    node.runtime.world(|world| world.commands.insert("live".into(), 0));
    node.until("more tries", |node| tally(node, "u", Probe::Liveness).successful > live.successful).await;
    assert!(tally(&node, "u", Probe::Liveness).failed >= live.failed);
    // They go with their pod, when the next one is probed.
    node.delete("u").await;
    node.until("retired", |node| node.store.objects(Kind::Pod).unwrap().is_empty()).await;
    let spec = json!({"containers": [{"name": "c", "image": "img:1",
        "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1}}]});
    node.pod("v", "q", spec).await;
    node.until("counted", |node| tally(node, "v", Probe::Readiness).successful >= 1).await;
    assert!(node.probes.all().iter().all(|(tried, _)| tried.uid == "v"), "{:?}", node.probes.all());
}

#[tokio::test]
async fn hooks_run_after_the_start_and_before_the_end() {
    let node = Node::new();
    let spec = json!({"containers": [{"name": "c", "image": "img:1", "lifecycle": {
        "postStart": {"exec": {"command": ["hello"]}}, "preStop": {"exec": {"command": ["bye"]}}}}]});
    node.pod("u", "p", spec).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    node.delete("u").await;
    node.until("retired", |node| node.store.objects(Kind::Pod).unwrap().is_empty()).await;
    assert_eq!(node.calls(), ["run sandbox u 0", "start u c 0", "exec hello", "exec bye", "stop u c 0"]);
}

#[tokio::test]
async fn a_pod_that_fills_its_empty_dir_is_evicted() {
    let node = Node::new();
    let spec = json!({"containers": [{"name": "c", "image": "img:1",
        "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]});
    node.pod("u", "p", spec).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    std::fs::write(node.dir.path().join("pods/u/volumes/v/f"), vec![1; 2 << 20]).unwrap();
    // Another one that is measured makes the round come at once.
    let other = json!({"containers": [{"name": "c", "image": "img:1"}],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]});
    node.pod("other", "other", other).await;
    node.until("evicted", |node| node.phase("u") == "Failed").await;
    let status = node.report("u")["status"].clone();
    assert_eq!(status["reason"], "Evicted");
    assert!(status["message"].as_str().unwrap().starts_with("Usage of EmptyDir volume \"v\" exceeds"));
}

#[tokio::test]
async fn a_network_that_cannot_be_given_back_keeps_no_pod_from_leaving() {
    let node = Node::new();
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    node.runtime.world(|world| world.torn_network = true);
    node.delete("u").await;
    node.until("retired", |node| node.store.objects(Kind::Pod).unwrap().is_empty()).await;
}

#[tokio::test]
async fn a_first_restart_is_no_crash_loop() {
    let node = Node::new();
    node.pod("u", "p", spec()).await;
    node.until("running", |node| node.phase("u") == "Running").await;
    node.runtime.world(|world| {
        let id = world.running().next().unwrap().id.clone();
        world.exit(&id, 1);
    });
    node.until("restarted", |node| {
        node.report("u")["status"]["containerStatuses"][0]["restartCount"] == 1 && node.runs("u") == 1
    })
    .await;
    let told = node.store.journal(0, 100).unwrap();
    assert!(told.iter().all(|row| !String::from_utf8_lossy(&row.body).contains("BackOff")));
}

#[tokio::test]
async fn a_token_lets_its_pod_go_on_and_a_refusal_is_told() {
    let node = Node::new();
    let spec = json!({"serviceAccountName": "sa", "containers": [{"name": "c", "image": "img:1"}],
        "volumes": [{"name": "v", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}}]});
    node.pod("u", "p", spec.clone()).await;
    node.pod("w", "q", spec).await;
    node.until("wanted", |node| node.store.wanted_tokens().unwrap().len() == 2).await;
    let wanted = node.store.wanted_tokens().unwrap();
    let key = |uid: &str| wanted.iter().find(|wanted| wanted.key.pod_uid == uid).unwrap().key.clone();
    let expires = Clock::system().wall().plus_millis(3_607_000);
    let token = ::kit::Masked("t".to_owned());
    node.store.put_token(&key("u"), token, expires, Duration::from_secs(3607)).await.unwrap();
    node.until("running", |node| node.phase("u") == "Running").await;
    assert_eq!(node.runs("w"), 0);
    node.store.note_token_refused(&key("w"), "serviceaccounts \"sa\" not found");
    node.until("told", |node| {
        let told = node.store.journal(0, 100).unwrap();
        told.iter()
            .any(|row| String::from_utf8_lossy(&row.body).contains("failed to fetch token: serviceaccounts"))
    })
    .await;
}
