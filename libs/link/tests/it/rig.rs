//! A CA, a listener and connections through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kit::{Clock, WallTime};
use link::{Config, Connection, Endpoint, FrameReceiver, FrameSender, Listener, Streams, connect};
use pki::{Authority, NodeIdentity, NodeKey};
use rustls::ClientConfig;

/// The three handles of one end.
pub(crate) type End = (FrameSender, FrameReceiver, Streams);

pub(crate) struct Rig {
    pub(crate) authority: Authority,
    pub(crate) listener: Listener,
    pub(crate) clock: Clock,
}

impl Rig {
    pub(crate) async fn new(config: Config) -> Self {
        let clock = Clock::manual(WallTime(1_767_225_600_000));
        let authority = Authority::create(clock.wall()).unwrap();
        let serving = authority.issue_serving(&["127.0.0.1".to_owned()], clock.wall()).unwrap();
        let tls = pki::link_server(&serving, authority.certificate_pem(), &clock).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), tls, config).await.unwrap();
        Self { authority, listener, clock }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        endpoint(self.listener.address())
    }

    pub(crate) fn identity(&self, node: &str) -> NodeIdentity {
        identity(&self.authority, node, self.clock.wall())
    }

    pub(crate) fn client(&self, node: &str) -> Arc<ClientConfig> {
        pki::link_client(&self.identity(node), self.authority.certificate_pem(), &self.clock).unwrap()
    }

    /// A connection: the edge's end and the cloud's.
    pub(crate) async fn pair(&mut self, edge: &Config) -> (Connection, Connection) {
        let endpoint = self.endpoint();
        self.pair_through(&endpoint, edge).await
    }

    /// The same, the edge connecting to something that leads to the listener.
    pub(crate) async fn pair_through(
        &mut self,
        endpoint: &Endpoint,
        edge: &Config,
    ) -> (Connection, Connection) {
        let tls = self.client("edge-1");
        let accepted = async { self.listener.accept().await.handshake().await.unwrap() };
        let (edge, cloud) = tokio::join!(connect(endpoint, tls, edge), accepted);
        (edge.unwrap(), cloud)
    }
}

pub(crate) fn endpoint(address: SocketAddr) -> Endpoint {
    format!("wss://{address}/v1/connect").parse().unwrap()
}

pub(crate) fn identity(authority: &Authority, node: &str, now: WallTime) -> NodeIdentity {
    let key = NodeKey::generate().unwrap();
    let request = Authority::check_request(&key.request(node).unwrap()).unwrap();
    NodeIdentity::new(&key, &authority.issue_node(node, &request, now).unwrap()).unwrap()
}

/// Both ends, split, with defaults.
pub(crate) async fn ends() -> (Rig, End, End) {
    let mut rig = Rig::new(Config::default()).await;
    let (edge, cloud) = rig.pair(&Config::default()).await;
    (rig, edge.split(), cloud.split())
}

/// What must come soon, and would hang the test where it does not.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap()
}
