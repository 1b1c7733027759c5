//! A hub, what it works with, and edges that say what a test tells them to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudcore_hub::{Denied, Hub, HubConfig, Identities, Metrics, Origin, Parts, Upstream};
use cloudcore_index::Index;
use cloudcore_kube::watch::Observer;
use kit::tasks::Group;
use kit::{Clock, Shutdown, WallTime};
use link::{Config, FrameReceiver, FrameSender, Listener, Streams, connect};
use pki::{Authority, NodeIdentity, NodeKey};
use serde_json::{Value, json};
use wire::{
    Call, DownFrame, Entry, Hello, KINDS, Kind, Rejected, Report, ReportInventory, UpFrame, down_frame,
};

use crate::leases::Leases;

/// Identity records: everybody but those who were revoked.
#[derive(Debug, Default)]
pub(crate) struct Known {
    revoked: Mutex<BTreeSet<String>>,
    uids: Mutex<BTreeMap<String, String>>,
    /// Is revoked as soon as it was asked for.
    pub(crate) late: Mutex<Option<String>>,
}

impl Identities for Known {
    async fn check(&self, identity: &pki::Identity) -> Result<(), Denied> {
        let mut all = self.revoked.lock().unwrap();
        let revoked = all.contains(&identity.node);
        all.extend(self.late.lock().unwrap().take());
        if revoked { Err(Denied::Revoked("revoked".to_owned())) } else { Ok(()) }
    }

    async fn node_uid(&self, node: &str) -> Result<Option<String>, String> {
        Ok(self.uids.lock().unwrap().get(node).cloned())
    }

    async fn since(&self, _node: &str) -> Result<Option<WallTime>, String> {
        Ok(Some(WallTime(1_767_225_600_000)))
    }

    async fn registered(&self, node: &str, uid: &str) -> Result<(), String> {
        self.uids.lock().unwrap().insert(node.to_owned(), uid.to_owned());
        Ok(())
    }

    async fn revoke(&self, node: &str) -> Result<(), String> {
        self.revoked.lock().unwrap().insert(node.to_owned());
        Ok(())
    }

    fn trust_bundle(&self) -> String {
        "bundle".to_owned()
    }
}

/// Writes down what it is told.
#[derive(Debug, Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<String>>);

impl Told {
    fn say(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Upstream for Told {
    fn opened(&self, origin: &Origin) {
        self.say(format!("opened {} {}", origin.node, origin.epoch));
    }
    fn report(&self, origin: &Origin, report: Report) {
        self.say(format!("report {} of {}", report.id, origin.node));
        origin.replies.send(wire::ReportAck { ids: vec![report.id] });
    }
    fn report_inventory(&self, _origin: &Origin, _inventory: ReportInventory) {}
    fn statuses_changed(&self, _origin: &Origin, changed: &BTreeSet<(Kind, Arc<str>)>) {
        self.say(format!("changed {}", changed.len()));
    }
    fn entry(&self, _origin: &Origin, _entry: Entry) {}
    fn call(&self, _origin: &Origin, _call: Call) {}
    fn rejected(&self, _origin: &Origin, rejected: &Rejected) {
        self.say(format!("rejected {} {}", rejected.kind, rejected.name));
    }
    fn closed(&self, origin: &Origin) {
        self.say(format!("closed {} {}", origin.node, origin.epoch));
    }
}

pub(crate) struct Rig {
    pub(crate) authority: Authority,
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) index: Index,
    pub(crate) leases: Leases,
    pub(crate) identities: Arc<Known>,
    pub(crate) told: Arc<Told>,
    pub(crate) hub: Hub<Known, Told>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: Group,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Index::new()).await
    }

    pub(crate) async fn with(index: Index) -> Self {
        Self::of(index, 100).await
    }

    /// With room for so many sessions.
    pub(crate) async fn of(index: Index, max_sessions: usize) -> Self {
        let clock = Clock::manual(WallTime(1_767_225_600_000));
        let folder = tempfile::tempdir().unwrap();
        let (leases, client) = Leases::start(folder.path()).await;
        let authority = Authority::create(clock.wall()).unwrap();
        let serving = authority.issue_serving(&["127.0.0.1".to_owned()], clock.wall()).unwrap();
        let tls = pki::link_server(&serving, authority.certificate_pem(), &clock).unwrap();
        // Silence is measured by the machine's clock: the manual one is moved far ahead.
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), tls, Config::default()).await.unwrap();
        let address = listener.address();
        for kind in KINDS {
            index.observer(kind).listed(Some(&BTreeSet::new()));
        }
        let identities = Arc::new(Known::default());
        let (told, metrics, shutdown) = (Arc::new(Told::default()), Metrics::default(), Shutdown::new());
        let parts = Parts {
            client,
            index: index.clone(),
            identities: Arc::clone(&identities),
            upstream: Arc::clone(&told),
            clock: clock.clone(),
            metrics: metrics.clone(),
            watches: BTreeMap::new(),
        };
        let config = HubConfig {
            replica: "r1".to_owned(),
            cluster_id: "cluster".to_owned(),
            endpoints: vec!["wss://x/v1/connect".to_owned()],
            max_sessions,
        };
        let hub = Hub::new(parts, config, shutdown.clone());
        let running = Group::new("hub", 2);
        let (serving, forgetting) = (hub.clone(), hub.clone());
        running.spawn(async move { serving.run(listener).await.unwrap() });
        running.spawn(async move { forgetting.forget_deleted().await.unwrap() });
        Self {
            authority,
            address,
            clock,
            index,
            leases,
            identities,
            told,
            hub,
            metrics,
            shutdown,
            running,
            _folder: folder,
        }
    }

    /// An edge whose certificate says this name, connected and silent.
    pub(crate) async fn edge(&self, node: &str) -> Edge {
        let key = NodeKey::generate().unwrap();
        let request = Authority::check_request(&key.request(node).unwrap()).unwrap();
        let chain = self.authority.issue_node(node, &request, self.clock.wall()).unwrap();
        let identity = NodeIdentity::new(&key, &chain).unwrap();
        let tls = pki::link_client(&identity, self.authority.certificate_pem(), &self.clock).unwrap();
        let endpoint = format!("wss://{}/v1/connect", self.address).parse().unwrap();
        let (sender, receiver, streams) = connect(&endpoint, tls, &Config::default()).await.unwrap().split();
        Edge { sender, receiver, streams }
    }

    /// An edge that said hello.
    pub(crate) async fn greeted(&self, hello: Hello) -> Edge {
        let edge = self.edge("edge-1").await;
        edge.say(hello).await;
        edge
    }

    pub(crate) fn apply(&self, kind: Kind, object: &Value) {
        self.index.observer(kind).applied(object.to_string().as_bytes()).unwrap();
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.0.lock().unwrap().clone()
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        kinds: KINDS.iter().map(|kind| kind.name().to_owned()).collect(),
        node_name: "edge-1".to_owned(),
        digest: vec![0; 16],
        ..Hello::default()
    }
}

pub(crate) fn pod(name: &str, version: u32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("u-{name}"), "resourceVersion": "1"},
        "spec": {"nodeName": "edge-1", "containers": [{"name": "c", "image": format!("i:{version}")}]},
    })
}

pub(crate) struct Edge {
    pub(crate) sender: FrameSender,
    pub(crate) receiver: FrameReceiver,
    pub(crate) streams: Streams,
}

impl Edge {
    pub(crate) async fn say(&self, frame: impl Into<UpFrame>) {
        self.sender.send(wire::encode(&frame.into())).await.unwrap();
    }

    /// The next frame.
    pub(crate) async fn hears(&mut self) -> down_frame::Content {
        let heard = tokio::time::timeout(Duration::from_secs(20), self.receiver.recv()).await;
        let bytes = heard.unwrap().unwrap().unwrap();
        let frame: DownFrame = wire::decode_down(&bytes).unwrap();
        frame.content.unwrap()
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}
