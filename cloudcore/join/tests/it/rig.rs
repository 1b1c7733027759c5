//! A join endpoint, and nodes that ask it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloudcore_join::{Join, JoinServer, Metrics, TokenSpec, authority, create_token};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use kit::tasks::Group;
use kit::{Clock, Masked, Shutdown, WallTime};
use pki::{Bound, JoinAnswer, JoinRefusal, JoinRequest, JoinToken, NodeKey, TokenSecret};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::fake::Fake;

pub(crate) const NAMESPACE: &str = "skerry-system";

pub(crate) struct Rig {
    pub(crate) fake: Fake,
    pub(crate) clock: Clock,
    pub(crate) address: SocketAddr,
    _group: Group,
}

/// What came back: a certificate, or a status and a reason.
pub(crate) type Answer = Result<JoinAnswer, (StatusCode, String)>;

impl Rig {
    pub(crate) async fn new() -> Self {
        let fake = Fake::default();
        let clock = Clock::manual(WallTime(1_767_225_600_000));
        let ca = authority(&fake, NAMESPACE, &clock).await.unwrap();
        let serving = ca.issue_serving(&["127.0.0.1".to_owned()], clock.wall()).unwrap();
        let tls = pki::join_server(&serving, &clock).unwrap();
        let server = JoinServer::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = server.address();
        let join = Join {
            api: fake.clone(),
            namespace: NAMESPACE.to_owned(),
            trust_bundle: ca.certificate_pem().to_owned(),
            authority: ca,
            endpoints: vec!["wss://127.0.0.1:10000/v1/connect".to_owned()],
            cluster_id: "cluster-uid".to_owned(),
            clock: clock.clone(),
        };
        let group = Group::new("rig", 1);
        group.spawn(async move {
            server.serve(tls, join, Metrics::default(), Shutdown::new()).await.unwrap();
        });
        Self { fake, clock, address, _group: group }
    }

    pub(crate) async fn token(&self, bound: Bound, uses: u32) -> JoinToken {
        let ca = authority(&self.fake, NAMESPACE, &self.clock).await.unwrap();
        let spec = TokenSpec { bound, ttl: Duration::from_hours(1), uses };
        let join = [format!("https://{}", self.address)];
        let link = ["wss://127.0.0.1:10000/v1/connect".to_owned()];
        self.clock.advance(Duration::from_millis(10));
        let token =
            create_token(&self.fake, NAMESPACE, &ca, (&join, &link), &spec, &self.clock).await.unwrap();
        self.clock.advance(Duration::from_millis(10));
        token
    }

    pub(crate) async fn exact(&self, node: &str) -> JoinToken {
        self.token(Bound::Node(node.to_owned()), 1).await
    }

    pub(crate) async fn join(&self, token: &JoinToken, node: &str, key: &NodeKey) -> Answer {
        self.post(token, &request(token, node, key)).await
    }

    pub(crate) async fn post(&self, token: &JoinToken, request: &JoinRequest) -> Answer {
        let (status, body) =
            self.send(token, "/v1/join", serde_json::to_vec(request).unwrap()).await.unwrap();
        if status == StatusCode::OK {
            return Ok(serde_json::from_slice(&body).unwrap());
        }
        Err((status, serde_json::from_slice::<JoinRefusal>(&body).unwrap().reason))
    }

    pub(crate) async fn send(
        &self,
        token: &JoinToken,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), String> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let tls = pki::join_client(token.pin, &self.clock).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let request = Request::post(path).header("host", "x").body(Full::new(Bytes::from(body))).unwrap();
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
            Ok((status, body.to_bytes()))
        };
        tokio::select! {
            answer = exchange => answer,
            ended = connection => Err(format!("{ended:?}")),
        }
    }
}

pub(crate) fn request(token: &JoinToken, node: &str, key: &NodeKey) -> JoinRequest {
    JoinRequest {
        token_id: token.id.clone(),
        token_secret: Masked(token.secret.0.expose().to_owned()),
        node_name: node.to_owned(),
        csr: key.request(node).unwrap(),
    }
}

pub(crate) fn key() -> NodeKey {
    NodeKey::generate().unwrap()
}

/// The same token with another secret.
pub(crate) fn forged(token: &JoinToken) -> JoinToken {
    JoinToken { secret: Masked(TokenSecret::generate().unwrap()), ..token.clone() }
}

/// A rig that several tasks use.
pub(crate) async fn shared() -> Arc<Rig> {
    Arc::new(Rig::new().await)
}
