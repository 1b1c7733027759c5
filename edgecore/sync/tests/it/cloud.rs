//! A cloud made by hand from `wire` and `link`, and an edge with the real sync.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edgecore_store::Store;
use edgecore_sync::{Config, Hooks, LinkStatus, Metrics, Phase, Sync};
use kit::{Clock, Shutdown};
use link::{FrameReceiver, FrameSender, Listener, Streams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use wire::{Body, DownFrame, Hello, Upsert, Version, Welcome, up_frame};

/// Longest a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The cloud's end.
pub(crate) struct Cloud {
    pub(crate) listener: Listener,
    tls: Arc<rustls::ServerConfig>,
}

/// A connection taken by the cloud.
pub(crate) struct Taken {
    pub(crate) sender: FrameSender,
    pub(crate) receiver: FrameReceiver,
    pub(crate) streams: Streams,
}

/// The edge's end.
pub(crate) struct Edge {
    pub(crate) store: Store,
    pub(crate) status: LinkStatus,
    pub(crate) engine_alive: Arc<AtomicBool>,
    pub(crate) shutdown: Shutdown,
    pub(crate) dir: tempfile::TempDir,
    tasks: JoinSet<()>,
}

/// Both ends, connected by certificates of one CA.
pub(crate) async fn both() -> (Cloud, Edge) {
    let clock = Clock::system();
    let authority = pki::Authority::create(clock.wall()).unwrap();
    let serving = authority.issue_serving(&["127.0.0.1".to_owned()], clock.wall()).unwrap();
    let tls = pki::link_server(&serving, authority.certificate_pem(), &clock).unwrap();
    let cloud = Cloud::start(tls).await;

    let dir = tempfile::tempdir().unwrap();
    let key = pki::NodeKey::generate().unwrap();
    let request = pki::Authority::check_request(&key.request("edge-1").unwrap()).unwrap();
    let chain = authority.issue_node("edge-1", &request, clock.wall()).unwrap();
    let identity = pki::NodeIdentity::new(&key, &chain).unwrap();
    pki::io::store_identity(&dir.path().join("identity.pem"), &identity).unwrap();
    pki::io::store_bundle(&dir.path().join("ca.pem"), authority.certificate_pem()).unwrap();

    let edge = start(dir, &clock, cloud.listener.address().port());
    (cloud, edge)
}

fn start(dir: tempfile::TempDir, clock: &Clock, port: u16) -> Edge {
    let store = Store::open(dir.path(), clock.clone()).unwrap().store;
    let engine_alive = Arc::new(AtomicBool::new(true));
    let alive = Arc::clone(&engine_alive);
    let status = LinkStatus::default();
    let sync = Sync {
        config: config(dir.path(), port),
        store: store.clone(),
        clock: clock.clone(),
        hooks: Hooks { engine_alive: Arc::new(move || alive.load(Ordering::SeqCst)), stream: Arc::new(echo) },
        metrics: Metrics::default(),
        status: status.clone(),
    };
    let shutdown = Shutdown::new();
    let mut tasks = JoinSet::new();
    let stop = shutdown.clone();
    tasks.spawn(async move { sync.run(stop).await.unwrap() });
    Edge { store, status, engine_alive, shutdown, dir, tasks }
}

fn config(dir: &Path, port: u16) -> Config {
    Config {
        node_name: "edge-1".to_owned(),
        agent_version: "1".to_owned(),
        endpoints: vec![format!("wss://127.0.0.1:{port}/v1/connect").parse().unwrap()],
        identity: dir.join("identity.pem"),
        bundle: dir.join("ca.pem"),
        link: link::Config::default(),
    }
}

/// What the agent's kubelet API stands for here: sends back what it gets.
fn echo(mut stream: link::Stream) {
    let group = kit::tasks::Group::new("echo", 1);
    let held = group.clone();
    group.spawn(async move {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        stream.write_all(&byte).await.unwrap();
        stream.shutdown().await.unwrap();
        drop(held);
    });
}

impl Edge {
    /// Waits for a phase of the link.
    pub(crate) async fn phase(&self, phase: Phase) {
        let mut states = self.status.watch();
        let found = tokio::time::timeout(PATIENCE, states.wait_for(|state| state.phase == phase)).await;
        assert!(found.is_ok(), "never {phase:?} but {:?}", self.status.get());
    }

    /// Waits until something holds, looking again at each tick of the store.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Store) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds(&self.store) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "never: {what}");
    }

    /// Ends it and waits until it has.
    pub(crate) async fn stop(mut self) -> (Store, tempfile::TempDir) {
        self.shutdown.request("the test ends");
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        (self.store, self.dir)
    }
}

impl Cloud {
    async fn start(tls: Arc<rustls::ServerConfig>) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, Arc::clone(&tls), link::Config::default()).await.unwrap();
        Self { listener, tls }
    }

    /// Another replica.
    pub(crate) async fn another(&self) -> Self {
        Self::start(Arc::clone(&self.tls)).await
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("wss://127.0.0.1:{}/v1/connect", self.listener.address().port())
    }

    /// The next connection and its `Hello`.
    pub(crate) async fn hello(&mut self) -> (Taken, Hello) {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await.unwrap();
        let connection = accepted.handshake().await.unwrap();
        assert_eq!(connection.peer.identity.as_ref().map(|who| who.node.as_str()), Some("edge-1"));
        let (sender, receiver, streams) = connection.split();
        let mut taken = Taken { sender, receiver, streams };
        let up_frame::Content::Hello(hello) = taken.next().await else {
            panic!("the first frame is no Hello")
        };
        (taken, hello)
    }

    /// The next connection, welcomed.
    pub(crate) async fn session(&mut self) -> (Taken, Hello) {
        let (taken, hello) = self.hello().await;
        taken.send(welcome("cluster-1")).await;
        (taken, hello)
    }
}

impl Taken {
    /// The next frame.
    pub(crate) async fn next(&mut self) -> up_frame::Content {
        let frame = tokio::time::timeout(PATIENCE, self.receiver.recv()).await.expect("no frame came");
        let frame = wire::decode_up(&frame.unwrap().expect("the edge closed")).unwrap();
        frame.content.unwrap()
    }

    /// Sends a frame.
    pub(crate) async fn send(&self, frame: impl Into<DownFrame>) {
        self.sender.send(wire::encode(&frame.into())).await.unwrap();
    }

    /// Waits for a frame that fits; others are thrown away.
    pub(crate) async fn wait_for<T>(&mut self, pick: impl Fn(up_frame::Content) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await) {
                return found;
            }
        }
    }
}

pub(crate) fn welcome(cluster: &str) -> Welcome {
    Welcome {
        protocol: 1,
        epoch: 1,
        cloud_time_ms: Clock::system().wall().0,
        cluster_id: cluster.to_owned(),
        heartbeat_ms: 500,
        replica: "by-hand".to_owned(),
        ..Welcome::default()
    }
}

/// A good `Upsert`.
pub(crate) fn upsert(frame: u64, kind: &str, name: &str, value: &str) -> Upsert {
    let metadata = serde_json::json!({"name": name, "namespace": "default", "uid": format!("uid-{name}")});
    let text = wire::canonical(&serde_json::json!({"metadata": metadata, "value": value})).unwrap();
    Upsert {
        seen: String::new(),
        frame,
        kind: kind.to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        version: Version::of(&text).to_vec(),
        body: Some(Body::pack(&text).unwrap()),
    }
}

/// Digest over these, as the cloud computes it.
pub(crate) fn digest(upserts: &[Upsert]) -> wire::Digest {
    upserts.iter().fold(wire::Digest::EMPTY, |sum, upsert| {
        sum.with(&upsert.kind, &upsert.uid, Version::from_slice(&upsert.version).unwrap())
    })
}

/// Of a frame, the content of one kind.
macro_rules! pick {
    ($variant:ident) => {
        |content| match content {
            wire::up_frame::Content::$variant(frame) => Some(frame),
            _ => None,
        }
    };
}
pub(crate) use pick;
