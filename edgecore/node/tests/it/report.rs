//! What is reported, and when nothing is.

use std::fs;
use std::time::Duration;

use edgecore_node::{Condition, NodeConfig, RuntimeHealth, RuntimeState, run};
use edgecore_store::{Change, Store};
use kit::{Clock, Shutdown, WallTime};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use wire::{Kind, ObjectKey, Version};

const PATIENCE: Duration = Duration::from_secs(20);

struct Told(watch::Receiver<RuntimeState>);

impl RuntimeHealth for Told {
    fn now(&mut self) -> RuntimeState {
        self.0.borrow_and_update().clone()
    }

    async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A node on a manual clock. The store's disk and the CNI directory outlive restarts.
struct Node {
    dir: TempDir,
    store: Store,
    clock: Clock,
    runtime: watch::Sender<RuntimeState>,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(WallTime(1_700_000_000_000));
        let store = Store::open(&dir.path().join("store"), clock.clone()).unwrap().store;
        Self { dir, store, clock, runtime: watch::Sender::new(RuntimeState::default()) }
    }

    fn config(&self) -> NodeConfig {
        NodeConfig {
            name: "edge-1".to_owned(),
            labels: [].into(),
            max_pods: 110,
            state_dir: self.dir.path().to_owned(),
            cni_conf_dir: self.dir.path().join("net.d"),
            manage_cni: true,
            route_to: Vec::new(),
        }
    }

    /// Runs the task beside a test, and ends it.
    async fn with<T>(&self, test: impl Future<Output = T>) -> T {
        let shutdown = Shutdown::new();
        let task = run(
            self.config(),
            self.store.clone(),
            Told(self.runtime.subscribe()),
            self.clock.clone(),
            shutdown.clone(),
        );
        let tested = async {
            let result = tokio::time::timeout(PATIENCE, test).await;
            shutdown.request("the test is over");
            result.unwrap()
        };
        let (ended, result) = tokio::join!(task, tested);
        ended.unwrap();
        result
    }

    fn tell(&self, answers: bool, network: bool) {
        let condition = |status| Condition { status, reason: "R".to_owned(), message: "m".to_owned() };
        self.runtime.send_replace(RuntimeState {
            answers: Some(answers),
            version: Some("containerd://1.6.20".to_owned()),
            runtime: condition(true),
            network: condition(network),
            image_fs: Some("/".into()),
        });
    }

    fn last(&self) -> Option<(String, Value)> {
        let key = ObjectKey::new(Kind::Node, "", "edge-1");
        let row = self.store.last_report(&key).unwrap()?;
        Some((row.uid, serde_json::from_slice(&row.body).unwrap()))
    }

    fn ready(&self) -> Option<Value> {
        let (_, body) = self.last()?;
        body["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready").cloned()
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_ready(&self, status: &str) -> Value {
        self.until(|node| node.ready().is_some_and(|ready| ready["status"] == status)).await;
        self.ready().unwrap()
    }

    /// Moves the clock past the slow timer several times, and returns how many reports that made.
    async fn idle(&self) -> u64 {
        let before = *self.store.watch_reports().borrow();
        for _ in 0..5 {
            self.clock.advance(Duration::from_secs(61));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        *self.store.watch_reports().borrow() - before
    }

    async fn bind(&self, uid: &str, cidr: &str) {
        let body =
            format!(r#"{{"metadata":{{"name":"edge-1","uid":"{uid}"}},"spec":{{"podCIDR":"{cidr}"}}}}"#);
        let body = wire::canonical(&serde_json::from_str(&body).unwrap()).unwrap();
        let key = ObjectKey::new(Kind::Node, "", "edge-1");
        let change = Change::Upsert { key, uid: uid.to_owned(), version: Version::of(&body), body };
        self.store.apply(vec![change]).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_reports_once_and_then_only_what_changes() {
    let node = Node::new();
    node.with(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(node.last(), None, "before the runtime was heard of there is nothing to say");
        node.tell(true, false);
        let ready = node.until_ready("False").await;
        assert_eq!(ready["reason"], "KubeletNotReady");
        let (uid, body) = node.last().unwrap();
        assert_eq!(uid, "");
        assert_eq!(body["labels"]["kubernetes.io/hostname"], "edge-1");
        assert!(body["status"]["capacity"]["memory"].as_str().unwrap().ends_with("Ki"));

        node.clock.advance(Duration::from_secs(5));
        node.tell(true, true);
        let ready = node.until_ready("True").await;
        assert_eq!(ready["lastTransitionTime"], "2023-11-14T22:13:25Z");
        assert_eq!(node.idle().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_restart_reports_nothing_new_and_keeps_transition_times() {
    let node = Node::new();
    node.tell(true, true);
    let before = node.with(async { node.until_ready("True").await }).await;
    node.clock.advance(Duration::from_hours(1));
    node.runtime.send_replace(RuntimeState::default());
    let reports = *node.store.watch_reports().borrow();
    node.with(async {
        node.tell(true, true);
        assert_eq!(node.idle().await, 0);
    })
    .await;
    assert_eq!(*node.store.watch_reports().borrow(), reports);
    assert_eq!(node.ready().unwrap(), before);

    node.with(async {
        node.tell(false, true);
        let down = node.until_ready("False").await;
        assert_eq!(down["message"], "container runtime is down");
        assert_ne!(down["lastTransitionTime"], before["lastTransitionTime"]);
    })
    .await;
}

#[tokio::test]
async fn the_stored_node_object_brings_uid_and_network() {
    let node = Node::new();
    node.tell(true, true);
    let file = node.dir.path().join("net.d/10-skerry.conflist");
    node.with(async {
        node.until_ready("True").await;
        assert!(!file.exists());
        node.bind("n-1", "10.244.1.0/24").await;
        node.until(|node| node.last().is_some_and(|(uid, _)| uid == "n-1")).await;
        assert!(fs::read_to_string(&file).unwrap().contains("10.244.1.0/24"));
        node.bind("n-1", "10.244.2.0/24").await;
        node.until(|_| fs::read_to_string(&file).unwrap().contains("10.244.2.0/24")).await;

        node.bind("n-1", "10.244.2.0").await;
        let ready = node.until_ready("False").await;
        assert!(ready["message"].as_str().unwrap().contains("\"10.244.2.0\""), "{ready}");
        assert!(fs::read_to_string(&file).unwrap().contains("10.244.2.0/24"), "what works stays");
    })
    .await;
}
