//! A relay between cloudcore and the API server that damages what passes, refuses it, or holds it back, as it is told.
//!
//! cloudcore's kubeconfig names it in place of the API server, with a CA of the relay's own; what cloudcore sends, its
//! token included, goes on to the API server over TLS. Watches pass line by line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kit::Clock;
use kit::tasks::Group;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use skerry_e2e::Lab;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Body = UnsyncBoxBody<Bytes, anyhow::Error>;

/// What the relay does; nothing at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Objects damaged in answers to lists.
    pub(crate) items: Vec<Damage>,
    /// Objects damaged in events of watches.
    pub(crate) events: Vec<Damage>,
    /// Collections whose lists and watches are refused with this status; watches that run are cut off.
    pub(crate) refuse: Vec<(&'static str, u16)>,
    /// Writes are answered with this status; 429 and 503 with a second to wait.
    pub(crate) writes: Option<u16>,
    /// Nobody answers: connections and watches are cut off.
    pub(crate) down: bool,
    /// Statuses and Events that are written reach the API server, and its answers are lost with the connection.
    pub(crate) lose_answers: bool,
    /// Requests whose path holds this wait until the rule is gone, and go on to the API server only then.
    pub(crate) hold: Option<String>,
}

/// One object, and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    /// Its collection, such as `configmaps`.
    pub(crate) collection: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// What becomes of it.
    pub(crate) how: How,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// The metadata is put into a list.
    MetadataInAList,
    /// `data` or `spec` is a number.
    WrongType,
}

impl Rules {
    fn refused(&self, collection: &str) -> Option<u16> {
        self.refuse.iter().find(|(refused, _)| *refused == collection).map(|(_, status)| *status)
    }

    fn holds(&self, path: &str) -> bool {
        self.hold.as_ref().is_some_and(|held| path.contains(held))
    }
}

/// The relay; it ends when this is dropped.
pub(crate) struct ApiRelay {
    lab: Lab,
    /// cloudcore's own kubeconfig.
    kubeconfig: Vec<u8>,
    orders: Arc<Orders>,
    _runtime: tokio::runtime::Runtime,
}

/// What to do, and what was done.
struct Orders {
    rules: watch::Sender<Rules>,
    damaged: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    held: AtomicU64,
}

impl ApiRelay {
    /// Starts the relay and writes cloudcore's kubeconfig anew; cloudcore must be started again to see it.
    pub(crate) fn start(lab: &Lab, rules: Rules) -> Result<Self> {
        let path = lab.dir().join("clouds/kubeconfig");
        let kubeconfig = std::fs::read(&path)?;
        let mut config: Value = serde_json::from_slice(&kubeconfig)?;
        let cluster = config.pointer_mut("/clusters/0/cluster").context("a kubeconfig without a cluster")?;
        let upstream = Upstream::new(cluster)?;
        let clock = Clock::system();
        let authority = pki::Authority::create(clock.wall())?;
        let serving = authority.issue_serving(&["127.0.0.1".to_owned()], clock.wall())?;
        let tls = TlsAcceptor::from(pki::join_server(&serving, &clock)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        *cluster = json!({
            "server": format!("https://{}", listener.local_addr()?),
            "certificate-authority-data": STANDARD.encode(authority.certificate_pem()),
        });
        let (rules, _) = watch::channel(rules);
        let [damaged, refused, lost, held] = [0; 4].map(AtomicU64::new);
        let orders = Arc::new(Orders { rules, damaged, refused, lost, held });
        let state = Arc::new(Relay { tls, upstream, orders: Arc::clone(&orders) });
        let group = Group::new("relay", 1_000);
        let connections = group.clone();
        runtime.block_on(async move {
            ensure!(group.spawn(accept(listener, connections, state)), "no task for the relay");
            Ok(())
        })?;
        std::fs::write(&path, serde_json::to_vec(&config)?)?;
        Ok(Self { lab: lab.clone(), kubeconfig, orders, _runtime: runtime })
    }

    /// Does this from now on.
    pub(crate) fn obey(&self, rules: Rules) {
        self.orders.rules.send_replace(rules);
    }

    /// Items and events damaged so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.orders.damaged.load(Ordering::SeqCst)
    }

    /// Gives the kubeconfig back: cloudcores that start from now on do without the relay, and those that use it go on.
    pub(crate) fn restore(&self) -> Result<()> {
        Ok(std::fs::write(self.lab.dir().join("clouds/kubeconfig"), &self.kubeconfig)?)
    }

    /// Requests held back so far.
    pub(crate) fn held(&self) -> u64 {
        self.orders.held.load(Ordering::SeqCst)
    }

    /// Lists, watches and writes refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.orders.refused.load(Ordering::SeqCst)
    }

    /// Answers lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.orders.lost.load(Ordering::SeqCst)
    }
}

impl Drop for ApiRelay {
    fn drop(&mut self) {
        // Whatever fails here is found by the next test, which needs cloudcore.
        let _ = self.restore();
        let _ = self.lab.kill_cloud(None);
        let _ = self.lab.start_cloud(None);
    }
}

/// The API server.
struct Upstream {
    address: String,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Upstream {
    fn new(cluster: &Value) -> Result<Self> {
        let text = |key: &str| cluster[key].as_str().with_context(|| format!("a cluster without {key}"));
        let address = text("server")?.strip_prefix("https://").context("not https")?.to_owned();
        let host = address.rsplit_once(':').context("no port")?.0;
        let name = ServerName::try_from(host.to_owned())?;
        let pem = STANDARD.decode(text("certificate-authority-data")?)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|error| anyhow!("the cluster's CA: {error}"))?)?;
        }
        let config = ClientConfig::builder_with_provider(pki::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address, name, tls: TlsConnector::from(Arc::new(config)) })
    }

    async fn connect(&self, group: &Group) -> Result<SendRequest<Incoming>> {
        let stream = TcpStream::connect(&self.address).await?;
        let stream = self.tls.connect(self.name.clone(), stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Its end is seen by whoever sends.
        let driven = group.spawn(async move { drop(connection.await) });
        ensure!(driven, "too many connections");
        Ok(sender)
    }
}

struct Relay {
    tls: TlsAcceptor,
    upstream: Upstream,
    orders: Arc<Orders>,
}

async fn accept(listener: TcpListener, group: Group, relay: Arc<Relay>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let (relay, connections) = (Arc::clone(&relay), group.clone());
        group.spawn(async move {
            if let Err(error) = serve(relay, connections, stream).await {
                skerry_e2e::host::progress(&format!("relay: {peer}: {error:#}"));
            }
        });
    }
}

/// One connection of cloudcore's is one to the API server, as long as either lasts.
async fn serve(relay: Arc<Relay>, group: Group, stream: TcpStream) -> Result<()> {
    let stream = relay.tls.accept(stream).await?;
    let upstream = Arc::new(Mutex::new(None));
    let service = service_fn(move |request| {
        let (relay, group, upstream) = (Arc::clone(&relay), group.clone(), Arc::clone(&upstream));
        async move {
            let kept = upstream.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut sender = match kept.filter(|sender: &SendRequest<Incoming>| !sender.is_closed()) {
                Some(sender) => sender,
                None => relay.upstream.connect(&group).await?,
            };
            let response = relay.pass(&mut sender, request).await;
            if let Err(error) = &response {
                skerry_e2e::host::progress(&format!("relay: {error:#}"));
            }
            *upstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
            response
        }
    });
    // A watch that is cut off is no news.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    Ok(())
}

impl Relay {
    async fn pass(
        &self,
        sender: &mut SendRequest<Incoming>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>> {
        let collection = collection(&request);
        let writes = request.method() != Method::GET;
        let told = ["/status", "/events"].iter().any(|end| request.uri().path().ends_with(end));
        let (down, lose, writes_refused) = {
            let rules = self.orders.rules.borrow();
            (rules.down, rules.lose_answers, rules.writes)
        };
        ensure!(!down, "the API server is away");
        let watching = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let refused =
            collection.as_deref().and_then(|collection| self.orders.rules.borrow().refused(collection));
        if let Some(status) = refused {
            self.orders.refused.fetch_add(1, Ordering::SeqCst);
            return refusal(status);
        }
        if let Some(status) = writes_refused.filter(|_| writes) {
            self.orders.refused.fetch_add(1, Ordering::SeqCst);
            return refusal(status);
        }
        let mut rules = self.orders.rules.subscribe();
        if rules.borrow().holds(request.uri().path()) {
            self.orders.held.fetch_add(1, Ordering::SeqCst);
            rules.wait_for(|rules| !rules.holds(request.uri().path())).await?;
        }
        // What is compressed cannot be read on the way.
        request.headers_mut().remove(ACCEPT_ENCODING);
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        if lose && writes && told {
            // All of it, so that the API server is surely done.
            response.into_body().collect().await?;
            self.orders.lost.fetch_add(1, Ordering::SeqCst);
            return Err(anyhow!("the answer is lost"));
        }
        match collection {
            Some(collection) if response.status() == StatusCode::OK && watching => {
                Ok(response.map(|body| self.lines(collection, body)))
            }
            Some(collection) if response.status() == StatusCode::OK => self.list(&collection, response).await,
            _ => Ok(response.map(|body| body.map_err(anyhow::Error::from).boxed_unsync())),
        }
    }

    async fn list(&self, collection: &str, response: Response<Incoming>) -> Result<Response<Body>> {
        let (mut head, body) = response.into_parts();
        let mut body = body.collect().await?.to_bytes();
        let rules = self.orders.rules.borrow().items.clone();
        if rules.iter().any(|rule| rule.collection == collection) {
            let mut list: Value = serde_json::from_slice(&body)?;
            for item in list["items"].as_array_mut().into_iter().flatten() {
                self.orders.damage(&rules, collection, item);
            }
            body = serde_json::to_vec(&list)?.into();
        }
        head.headers.remove(TRANSFER_ENCODING);
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Ok(Response::from_parts(head, full(body)))
    }

    /// The answer to a watch, a line at a time.
    fn lines(&self, collection: String, body: Incoming) -> Body {
        let watched = Watched {
            rules: self.orders.rules.subscribe(),
            orders: Arc::clone(&self.orders),
            collection,
            body,
            buffer: BytesMut::new(),
        };
        let lines = stream::unfold(Some(watched), |watched| async move {
            let mut watched = watched?;
            match watched.line().await {
                Ok(None) => None,
                Ok(Some(line)) => Some((Ok(Frame::data(line)), Some(watched))),
                Err(error) => Some((Err(error), None)),
            }
        });
        StreamBody::new(lines).boxed_unsync()
    }
}

impl Orders {
    fn damage(&self, rules: &[Damage], collection: &str, object: &mut Value) {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let rule = rules.iter().find(|rule| rule.collection == collection && rule.name == name);
        let Some(rule) = rule else { return };
        self.damaged.fetch_add(1, Ordering::SeqCst);
        match rule.how {
            How::MetadataInAList => object["metadata"] = json!([object["metadata"].take()]),
            How::WrongType => {
                let field = if object.get("spec").is_some() { "spec" } else { "data" };
                object[field] = json!(7);
            }
        }
    }
}

/// A watch under way.
struct Watched {
    orders: Arc<Orders>,
    rules: watch::Receiver<Rules>,
    collection: String,
    body: Incoming,
    buffer: BytesMut,
}

impl Watched {
    /// The next line with its end; `None` at the end of the watch.
    async fn line(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1).freeze();
                return self.damaged(&line).map(Some);
            }
            tokio::select! {
                changed = self.rules.changed() => {
                    changed?;
                    let rules = self.rules.borrow();
                    let cut = rules.down || rules.refused(&self.collection).is_some();
                    ensure!(!cut, "the watch is cut off");
                }
                frame = self.body.frame() => match frame {
                    None => return Ok(None),
                    Some(frame) => self.buffer.extend_from_slice(&frame?.into_data().unwrap_or_default()),
                },
            }
        }
    }

    fn damaged(&self, line: &Bytes) -> Result<Bytes> {
        let rules = self.rules.borrow().events.clone();
        if !rules.iter().any(|rule| rule.collection == self.collection) {
            return Ok(line.clone());
        }
        let mut event: Value = serde_json::from_slice(line)?;
        self.orders.damage(&rules, &self.collection, &mut event["object"]);
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok(line.into())
    }
}

/// The collection that a request lists or watches over all namespaces.
fn collection(request: &Request<Incoming>) -> Option<String> {
    let parts: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "v1", collection] if request.method() == Method::GET => Some((*collection).to_owned()),
        _ => None,
    }
}

/// As the API server refuses.
fn refusal(code: u16) -> Result<Response<Body>> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Relay", "code": code,
        "message": "the relay refuses this",
    });
    let mut response = Response::new(full(body.to_string().into()));
    *response.status_mut() = StatusCode::from_u16(code)?;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(code, 429 | 503) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

fn full(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}
