//! Joining against a small join endpoint over real TLS.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kit::tasks::Group;
use kit::{Clock, Masked};
use pki::{Authority, JoinRefusal, Spki, TokenSecret};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What the endpoint does with the next request.
enum Script {
    Sign,
    Refuse(StatusCode, &'static str),
    /// Signs, and the answer is lost on the way.
    Lose,
}

struct Cloud {
    address: SocketAddr,
    authority: Arc<Authority>,
    keys: Arc<Mutex<Vec<Spki>>>,
    _group: Group,
}

impl Cloud {
    async fn new(script: impl IntoIterator<Item = Script>) -> Self {
        let now = Clock::system().wall();
        let authority = Arc::new(Authority::create(now).unwrap());
        let serving = authority.issue_serving(&["127.0.0.1".to_owned()], now).unwrap();
        let tls = TlsAcceptor::from(pki::join_server(&serving, &Clock::system()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Arc::new(Mutex::new(Vec::new()));
        let group = Group::new("cloud", 1);
        let mut script: VecDeque<Script> = script.into_iter().collect();
        let (ca, seen) = (Arc::clone(&authority), Arc::clone(&keys));
        group.spawn(async move {
            while let Some(step) = script.pop_front() {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = tls.accept(stream).await else { continue };
                let (ca, seen, step) = (Arc::clone(&ca), Arc::clone(&seen), Arc::new(step));
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (ca, seen, step) = (Arc::clone(&ca), Arc::clone(&seen), Arc::clone(&step));
                    async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let request: JoinRequest = serde_json::from_slice(&body).unwrap();
                        let csr = Authority::check_request(&request.csr).unwrap();
                        seen.lock().unwrap().push(csr.spki());
                        Ok::<_, Infallible>(answer(&ca, &request, &csr, &step))
                    }
                });
                // A lost answer is a panic in the service's stead: the connection just ends.
                let _ = hyper::server::conn::http1::Builder::new()
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
        Self { address, authority, keys, _group: group }
    }

    fn token(&self, bound: Bound) -> String {
        JoinToken {
            id: JoinToken::new_id().unwrap(),
            secret: Masked(TokenSecret::generate().unwrap()),
            join_endpoints: vec![format!("https://{}", self.address)],
            endpoints: vec!["wss://127.0.0.1:10000/v1/connect".to_owned()],
            pin: self.authority.pin().unwrap(),
            bound,
        }
        .encode()
    }
}

fn answer(
    ca: &Authority,
    request: &JoinRequest,
    csr: &pki::NodeRequest,
    step: &Script,
) -> Response<Full<Bytes>> {
    let (status, body) = match step {
        Script::Refuse(status, reason) => {
            (*status, serde_json::to_vec(&JoinRefusal { reason: (*reason).to_owned() }).unwrap())
        }
        Script::Lose => (StatusCode::OK, b"{".to_vec()),
        Script::Sign => {
            let answer = JoinAnswer {
                certificate: ca.issue_node(&request.node_name, csr, Clock::system().wall()).unwrap(),
                trust_bundle: ca.certificate_pem().to_owned(),
                endpoints: vec!["wss://cloud.example:10000/v1/connect".to_owned()],
                cluster_id: "uid".to_owned(),
                cloud_time_ms: 0,
            };
            (StatusCode::OK, serde_json::to_vec(&answer).unwrap())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    async fn join(&self, token: String, name: Option<&str>) -> (anyhow::Result<()>, Vec<String>) {
        let args = JoinArgs {
            token,
            node_name: name.map(str::to_owned),
            config: self.dir.path().join("etc/edgecore.yaml"),
            state_dir: self.dir.path().join("state"),
            containerd: "unix:///nowhere/containerd.sock".to_owned(),
        };
        let mut lines = Vec::new();
        let mut say = |line: &str| lines.push(line.to_owned());
        let joined = run(&args, Clock::system(), &mut say).await;
        (joined, lines)
    }

    fn config(&self) -> EdgeConfig {
        kit::config::read(&self.dir.path().join("etc/edgecore.yaml")).unwrap()
    }

    fn identity(&self) -> Option<NodeIdentity> {
        pki::io::load_identity(&self.dir.path().join("state/pki/identity.pem")).unwrap()
    }
}

fn exact(name: &str) -> Bound {
    Bound::Node(name.to_owned())
}

#[tokio::test]
async fn a_machine_becomes_a_node() {
    let cloud = Cloud::new([Script::Sign]).await;
    let machine = Machine::new();
    let (joined, lines) = machine.join(cloud.token(exact("edge-1")), None).await;
    joined.unwrap();
    assert!(lines.iter().any(|line| line.starts_with("warning: container runtime")), "{lines:?}");
    assert!(lines.last().unwrap().contains("node edge-1 joined"), "{lines:?}");
    assert_eq!(machine.identity().unwrap().identity().node, "edge-1");
    let config = machine.config();
    assert_eq!(config.node_name, "edge-1");
    assert_eq!(config.endpoints, ["wss://cloud.example:10000/v1/connect"]);
    let pki = machine.dir.path().join("state/pki");
    let mode = |file: &str| std::fs::metadata(pki.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("identity.pem"), mode("")), (0o600, 0o700));
    assert!(!pki.join("joining.key").exists());
    pki::io::load_bundle(&pki.join("ca.pem")).unwrap().unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_made_good_with_the_same_key() {
    let cloud =
        Cloud::new([Script::Lose, Script::Refuse(StatusCode::FORBIDDEN, "first run"), Script::Sign]).await;
    let machine = Machine::new();
    let token = cloud.token(exact("edge-1"));
    assert!(machine.join(token.clone(), None).await.0.is_err());
    assert!(machine.identity().is_none());
    machine.join(token, None).await.0.unwrap();
    let keys = cloud.keys.lock().unwrap().clone();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(machine.identity().unwrap().identity().spki, keys[0]);
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words_and_writes_nothing() {
    let cloud = Cloud::new([Script::Refuse(StatusCode::FORBIDDEN, "join token x\nwas used up")]).await;
    let machine = Machine::new();
    let error = machine.join(cloud.token(exact("edge-1")), None).await.0.unwrap_err();
    assert_eq!(format!("{error:#}"), "join token x was used up");
    assert!(machine.identity().is_none() && !machine.dir.path().join("etc/edgecore.yaml").exists());
}

#[tokio::test]
async fn a_cloud_that_is_busy_is_asked_again() {
    let busy = Script::Refuse(StatusCode::SERVICE_UNAVAILABLE, "the cluster does not answer");
    let cloud = Cloud::new([busy, Script::Sign]).await;
    let machine = Machine::new();
    let (joined, lines) = machine.join(cloud.token(exact("edge-1")), None).await;
    joined.unwrap();
    assert!(lines.iter().any(|line| line.contains("the cluster does not answer")), "{lines:?}");
}

#[tokio::test]
async fn one_node_is_not_made_another_and_other_settings_stay() {
    let cloud = Cloud::new([Script::Sign, Script::Sign]).await;
    let machine = Machine::new();
    std::fs::create_dir_all(machine.dir.path().join("etc")).unwrap();
    std::fs::write(machine.dir.path().join("etc/edgecore.yaml"), "maxPods: 17\n").unwrap();
    machine.join(cloud.token(exact("edge-1")), None).await.0.unwrap();
    assert_eq!(machine.config().max_pods, 17);
    let error = machine.join(cloud.token(exact("edge-2")), None).await.0.unwrap_err().to_string();
    assert!(error.contains("is node \"edge-1\" already"), "{error}");
    // The same node again: the same key.
    let key = machine.identity().unwrap().identity().spki;
    machine.join(cloud.token(exact("edge-1")), None).await.0.unwrap();
    assert_eq!(machine.identity().unwrap().identity().spki, key);
}

#[tokio::test]
async fn another_ca_than_the_tokens_gets_nothing() {
    let (cloud, other) =
        (Cloud::new([Script::Sign]).await, Authority::create(Clock::system().wall()).unwrap());
    let token: JoinToken = cloud.token(exact("edge-1")).parse().unwrap();
    let token = JoinToken { pin: other.pin().unwrap(), ..token };
    let machine = Machine::new();
    let error = machine.join(token.encode(), None).await.0.unwrap_err().to_string();
    assert!(error.contains("wrong CA pin"), "{error}");
    assert!(cloud.keys.lock().unwrap().is_empty());
}

#[test]
fn names_are_judged_before_anything_is_sent() {
    let pattern = Bound::Pattern("edge-*".to_owned());
    assert_eq!(node_name(None, &pattern, "EDGE-7").unwrap(), "edge-7");
    assert_eq!(node_name(Some("edge-8"), &pattern, "x").unwrap(), "edge-8");
    assert_eq!(node_name(None, &exact("a"), "x").unwrap(), "a");
    for (asked, bound, why) in [
        (Some("b"), exact("a"), "for node \"a\""),
        (None, pattern.clone(), "--node-name"),
        (Some("Ä"), pattern, "lower case"),
    ] {
        let error = node_name(asked, &bound, "host").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
