//! The edge's process: the real store and the real sync, and a small model of the pod engine, which reads desired pods,
//! reports on them, writes events, and retires what is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use anyhow::Context as _;
use edgecore_store::{JournalEntry, Object, Store};
use edgecore_sync::{Config, Hooks, LinkStatus, Metrics, Sync};
use kit::{Clock, Shutdown};
use serde_json::{Value, json};
use tokio::time::Instant;
use wire::{Kind, ObjectKey};

use crate::exec::{Actor, Handle};
use crate::judge::{Judge, NODE, STREAM};
use crate::net::Net;
use crate::rng::Rng;
use crate::told::Told;
use crate::trace::{Trace, say};

/// The machine: what outlives the process.
pub(crate) struct Machine {
    pub(crate) dir: PathBuf,
    /// Since when it runs, and which boot that is.
    pub(crate) boot: (Instant, u64),
    /// What its wall clock showed at the boot, in milliseconds since 1970.
    pub(crate) wall_ms: Arc<AtomicI64>,
}

/// What a process needs.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) handle: Handle,
    pub(crate) net: Net,
    pub(crate) judge: Judge,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
}

/// Key and certificates of the node, made once for all runs.
pub(crate) struct Credentials {
    pub(crate) identity: pki::NodeIdentity,
    pub(crate) bundle: String,
}

impl Credentials {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let clock = Clock::system();
        let authority = pki::Authority::create(clock.wall())?;
        let key = pki::NodeKey::generate()?;
        let request = pki::Authority::check_request(&key.request(NODE)?)?;
        let chain = authority.issue_node(NODE, &request, clock.wall())?;
        let identity = pki::NodeIdentity::new(&key, &chain)?;
        Ok(Self { identity, bundle: authority.certificate_pem().to_owned() })
    }

    pub(crate) fn put(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::write(dir.join("identity.pem"), &self.identity.to_pem().0)?;
        std::fs::write(dir.join("ca.pem"), &self.bundle)?;
        Ok(())
    }
}

/// Starts the process. Its link's state can be looked at.
pub(crate) fn start(machine: &Machine, around: &Around) -> anyhow::Result<LinkStatus> {
    let Around { handle, net, judge, trace, .. } = around;
    let clock = Clock::simulated(machine.boot.0, Arc::clone(&machine.wall_ms));
    let boot_id = format!("boot-{}", machine.boot.1);
    let (opened, writer) = Store::open_simulated(&machine.dir.join("store"), clock.clone(), &boot_id)?;
    let store = opened.store;
    say!(trace, "edge", "starts, {boot_id}, {} objects", store.digest().1);
    handle.spawn_looked_at(Actor::Edge, writer);
    judge.set_store(Some(store.clone()));
    let endpoints = ["wss://cloud-0:1/v1/connect", "wss://cloud-1:2/v1/connect"];
    let endpoints =
        endpoints.iter().map(|text| text.parse().context("an endpoint")).collect::<anyhow::Result<_>>()?;
    let status = LinkStatus::default();
    let sync = Sync {
        config: Config {
            node_name: NODE.to_owned(),
            agent_version: "1".to_owned(),
            endpoints,
            identity: machine.dir.join("identity.pem"),
            bundle: machine.dir.join("ca.pem"),
            link: link::Config {
                clock: clock.clone(),
                dialer: Some(Arc::new(net.clone())),
                ..link::Config::default()
            },
        },
        store: store.clone(),
        clock,
        hooks: Hooks { engine_alive: Arc::new(|| true), stream: Arc::new(drop) },
        metrics: Metrics::default(),
        status: status.clone(),
    };
    let ended = trace.clone();
    handle.spawn(Actor::Edge, async move {
        let end = sync.run(Shutdown::new()).await;
        say!(ended, "edge", "sync ended: {end:?}");
    });
    let engine = Engine { store, judge: judge.clone(), rng: around.rng.fork(), trace: trace.clone() };
    handle.spawn(Actor::Edge, engine.run());
    Ok(status)
}

/// The model of the pod engine and of the node's reporter.
struct Engine {
    store: Store,
    judge: Judge,
    rng: Rng,
    trace: Trace,
}

impl Engine {
    async fn run(self) {
        let mut pods = self.store.watch(Kind::Pod);
        let mut nodes = self.store.watch(Kind::Node);
        loop {
            pods.mark_unchanged();
            nodes.mark_unchanged();
            self.tend().await;
            let pause = Duration::from_millis(self.rng.between(200, 2500));
            tokio::select! {
                biased;
                _ = pods.changed() => {}
                _ = nodes.changed() => {}
                () = kit::sim::leaf(tokio::time::sleep(pause)) => self.something_happens().await,
            }
        }
    }

    fn pods(&self) -> Vec<Object> {
        self.store.objects(Kind::Pod).unwrap_or_default()
    }

    /// Does what the desired state asks for.
    async fn tend(&self) {
        self.note_node().await;
        for pod in self.pods() {
            if pod.deleting {
                self.judge.told(|told| told.retiring(&pod.uid));
                let retired = self.store.retire_pod(&pod.uid).await;
                if matches!(retired, Ok(true)) {
                    self.judge.told(|told| told.retires(&pod.uid));
                }
            } else if is_deleted(&pod) {
                self.report_pod(&pod, true).await;
            } else if !self.judge.told(|told| told.reports.contains_key(&pod.uid)) {
                self.report_pod(&pod, false).await;
            }
        }
    }

    /// The Node's UID, once it is known, and its first report.
    async fn note_node(&self) {
        let key = ObjectKey::new(Kind::Node, "", NODE);
        let Ok(Some(node)) = self.store.object(&key) else { return };
        if self.store.meta().node_uid.as_deref() != Some(&node.uid) {
            // Tried again with the next change.
            drop(self.store.set_node_uid(&node.uid).await);
        }
        if !self.judge.told(|told| told.reports.contains_key(&node.uid)) {
            self.report_node(&node.uid).await;
        }
    }

    /// A container restarts, an event is written, the node's condition changes. As long as the world is quiet, nothing.
    async fn something_happens(&self) {
        if self.judge.is_quiet() {
            return;
        }
        let running: Vec<Object> =
            self.pods().into_iter().filter(|pod| !pod.deleting && !is_deleted(pod)).collect();
        let pod = self.rng.pick(&running);
        match (self.rng.below(10), pod) {
            (0..=4, Some(pod)) => self.report_pod(pod, false).await,
            (5..=7, _) => self.event(pod).await,
            _ => {
                if let Some(uid) = self.store.meta().node_uid {
                    self.report_node(&uid).await;
                }
            }
        }
    }

    async fn report_pod(&self, pod: &Object, deleted: bool) {
        let mark = self.judge.told(Told::next);
        let status = json!({
            "phase": "Running", "message": format!("r{mark} of {}", pod.uid),
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}],
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": mark}],
        });
        let mut body = json!({"status": status});
        if deleted {
            if self.judge.told(|told| told.reports.get(&pod.uid).is_some_and(|said| said.deleted)) {
                return;
            }
            body["deleted"] = true.into();
        }
        self.report(&pod.key, &pod.uid, mark, &body).await;
    }

    async fn report_node(&self, uid: &str) {
        let mark = self.judge.told(Told::next);
        let body = json!({"status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Up", "message": format!("r{mark} of node")}],
            "nodeInfo": {"architecture": "amd64"},
        }});
        self.report(&ObjectKey::new(Kind::Node, "", NODE), uid, mark, &body).await;
    }

    async fn report(&self, key: &ObjectKey, uid: &str, mark: u64, body: &Value) {
        self.judge.told(|told| told.offers(key, uid, mark));
        let text = body.to_string().into_bytes();
        if let Ok(news) = self.store.report(key.clone(), uid, text).await {
            let deleted = body["deleted"] == true;
            self.judge.told(|told| told.accepted(uid, mark, news, deleted));
            say!(self.trace, "engine", "report {mark} of {uid} is accepted");
        }
    }

    async fn event(&self, pod: Option<&Object>) {
        let note = format!("note {}", self.judge.told(Told::next));
        let regarding = pod.map_or_else(
            || json!({"kind": "Node", "name": NODE}),
            |pod| json!({"kind": "Pod", "namespace": pod.key.namespace, "name": pod.key.name, "uid": pod.uid}),
        );
        let body = json!({"regarding": regarding, "reason": "Happened", "note": note, "type": "Normal"});
        self.judge.told(|told| told.entries.insert(note.clone(), false));
        let mortal = self.rng.per_mille(150).then(|| Duration::from_secs(self.rng.between(1, 20)));
        let entry = JournalEntry {
            stream: STREAM,
            priority: 5,
            expires_after: mortal,
            body: body.to_string().into_bytes(),
        };
        if self.store.append(entry).await.is_ok() {
            self.judge.told(|told| told.entries.insert(note.clone(), true));
            say!(self.trace, "engine", "{note} is accepted");
        }
    }
}

fn is_deleted(pod: &Object) -> bool {
    let needle = b"\"deletionTimestamp\"";
    pod.body.windows(needle.len()).any(|part| part == needle)
}
