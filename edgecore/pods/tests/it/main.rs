//! The engine on a real containerd. Needs what the tests of edgecore-cri need.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test helpers")]

#[allow(dead_code, reason = "it is the daemon of the tests of edgecore-cri, which use more of it")]
#[path = "../../../cri/tests/it/daemon.rs"]
mod daemon;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use edgecore_pods::handle::{Alive, RuntimeState};
use edgecore_pods::io::{Context, run};
use edgecore_pods::runtime::{ContainerState, Runtime};
use edgecore_pods::spec::NodeFacts;
use edgecore_store::{Change, Store};
use kit::tasks::Group;
use kit::{Clock, Shutdown};
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::{Kind, ObjectKey, Version};

use crate::daemon::Daemon;

/// A node with a real runtime.
struct Node {
    daemon: Daemon,
    store: Store,
    engine: Option<Group>,
}

impl Node {
    async fn start() -> Self {
        let daemon = Daemon::start().await;
        let store = Store::open(&daemon.path("state"), Clock::system()).unwrap().store;
        let mut node = Self { daemon, store, engine: None };
        node.run();
        node
    }

    fn run(&mut self) {
        let facts = NodeFacts {
            name: "node".into(),
            host_ips: vec!["127.0.0.1".into()],
            pod_logs_dir: self.daemon.path("logs").display().to_string(),
            cluster_domain: "cluster.local".into(),
            memory_capacity: 1 << 30,
            ..NodeFacts::default()
        };
        let context = Context {
            runtime: self.daemon.cri.clone(),
            store: self.store.clone(),
            clock: Clock::system(),
            state_dir: self.daemon.path("state"),
            node: watch::channel(Arc::new(facts)).1,
            max_pods: 50,
            alive: Alive::new(Clock::system()),
            runtime_state: watch::Sender::<RuntimeState>::default(),
            probes: edgecore_pods::probe_counts::ProbeCounts::default(),
        };
        let group = Group::new("engine", 1);
        group.spawn(async move { run(context, Shutdown::new()).await.unwrap() });
        self.engine = Some(group);
    }

    async fn apply(&self, kind: Kind, uid: &str, name: &str, body: &Value) {
        let body = wire::canonical(body).unwrap();
        let key = ObjectKey::new(kind, "ns", name);
        let change = Change::Upsert { key, uid: uid.into(), version: Version::of(&body), body };
        self.store.apply(vec![change]).await.unwrap();
    }

    async fn pod(&self, uid: &str, spec: &Value) {
        let body = json!({"metadata": {"namespace": "ns", "name": uid, "uid": uid}, "spec": spec});
        self.apply(Kind::Pod, uid, uid, &body).await;
    }

    fn status(&self, uid: &str) -> Value {
        let reports = self.store.pending_reports(0, 100).unwrap();
        let last = reports.iter().rfind(|report| report.uid == uid);
        let body: Value = last.map_or(Value::Null, |report| serde_json::from_slice(&report.body).unwrap());
        body["status"].clone()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..6_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}; {:#?}; {}", self.store.pending_reports(0, 9).unwrap(), self.daemon.log());
    }

    fn running(&self, uid: &str) -> bool {
        self.status(uid)["phase"] == "Running"
    }

    async fn ids(&self) -> BTreeSet<String> {
        let observed = self.daemon.cri.observe().await.unwrap();
        let running = observed.containers.into_iter().filter(|c| c.state == ContainerState::Running);
        running.map(|container| container.id.0).collect()
    }

    fn log(&self, uid: &str, container: &str, restart: u32) -> String {
        let path = self.daemon.path(&format!("logs/ns_{uid}_{uid}/{container}/{restart}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

fn spec(policy: &str, line: &str) -> Value {
    json!({
        "hostNetwork": true, "dnsPolicy": "Default", "restartPolicy": policy, "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "c", "image": daemon::BUSYBOX, "imagePullPolicy": "Never",
            "command": ["/bin/sh", "-c", line],
            "env": [{"name": "UID_", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        }],
        "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_live_and_die_on_a_real_containerd() {
    let mut node = Node::start().await;
    let map = json!({"metadata": {"name": "m", "namespace": "ns"}, "data": {"k": "from the map"}});
    node.apply(Kind::ConfigMap, "m1", "m", &map).await;
    for n in 0..3 {
        node.pod(&format!("u{n}"), &spec("Always", "cat /v/k; echo; echo $UID_; exec sleep 100000")).await;
    }
    node.until("three run", |node| (0..3).all(|n| node.running(&format!("u{n}")))).await;
    node.until("log", |node| node.log("u1", "c", 0).contains("stdout F u1")).await;
    assert!(node.log("u1", "c", 0).contains("from the map"));
    let (ids, status) = (node.ids().await, node.status("u0"));
    assert_eq!(ids.len(), 3);

    // The process dies and starts again: nothing is touched, nothing is told anew.
    node.engine = None;
    node.run();
    node.pod("job", &spec("Never", "echo -n why > /dev/termination-log; exit 3")).await;
    node.until("the job is over", |node| node.status("job")["phase"] == "Failed").await;
    assert_eq!(node.ids().await, ids);
    assert_eq!(node.status("u0"), status);
    let ended = node.status("job")["containerStatuses"][0]["state"]["terminated"].clone();
    assert_eq!((&ended["exitCode"], &ended["message"]), (&json!(3), &json!("why")));

    // One that crashes is restarted, and counted.
    node.pod("loop", &spec("OnFailure", "test -e /v/never")).await;
    node.until("a crash loop", |node| {
        let container = node.status("loop")["containerStatuses"][0].clone();
        container["state"]["waiting"]["reason"] == "CrashLoopBackOff" && container["restartCount"] == 1
    })
    .await;

    for uid in ["u0", "u1", "u2", "job", "loop"] {
        node.store.apply(vec![Change::Delete { kind: "Pod".into(), uid: uid.into() }]).await.unwrap();
    }
    node.until("all are gone", |node| node.store.objects(Kind::Pod).unwrap().is_empty()).await;
    let observed = node.daemon.cri.observe().await.unwrap();
    assert!(observed.sandboxes.is_empty() && observed.containers.is_empty());
    assert_eq!(std::fs::read_dir(node.daemon.path("logs")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(node.daemon.path("state/pods")).unwrap().count(), 0);
}
