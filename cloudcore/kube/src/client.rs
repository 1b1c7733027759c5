//! Requests to the API server: by path, as cloudcore itself or as a node.

mod acting;
mod exchange;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use acting::Acting;
pub use acting::Impersonation;
pub(crate) use exchange::{Line, Lines};

use crate::error::KubeError;

/// How long an answer may take; the API server's own limit is a minute.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is not a list, in bytes: several times the largest object etcd takes.
const MAX_ANSWER: usize = 16 << 20;

/// Requests under way at once, watches aside. Each is a connection of its own, which is kept for a while: ten thousand
/// edges that come back at one instant would be ten thousand descriptors more, and no sooner served.
const AT_ONCE: usize = 64;

/// How a patch is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch {
    /// Lists with merge keys are merged by them.
    Strategic,
    /// RFC 7396: lists are replaced.
    Merge,
    /// RFC 6902: a list of operations, which is carried out as a whole or not at all; `test` makes it a compare-and-swap of
    /// single fields.
    Json,
}

/// A client of the cluster's API. Cloning is cheap and shares connections.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
    server: Arc<str>,
    acting: Option<Acting>,
    impersonation: Arc<Impersonation>,
    /// One permit for each request under way; waited for in turn.
    turns: Arc<Semaphore>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .field("acting", &self.acting)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client by a kubeconfig, or, without one, by the service account of the pod this runs in.
    ///
    /// Makes no request: a cluster that is away for the moment is no error here.
    pub async fn connect(kubeconfig: Option<&Path>) -> Result<Self, KubeError> {
        let mut config = match kubeconfig {
            Some(path) => {
                let wrong = |source| KubeError::Kubeconfig { path: path.to_owned(), source };
                let file = Kubeconfig::read_from(path).map_err(wrong)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrong)?
            }
            None => Config::incluster().map_err(KubeError::InCluster)?,
        };
        // Back-off is decided where it is known what the request is for.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        let server = config.cluster_url.to_string().into();
        let inner = kube::Client::try_from(config).map_err(|source| KubeError::Setup(Box::new(source)))?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { inner, server, acting: None, impersonation: Arc::default(), turns })
    }

    /// A client of an API server that a simulation plays.
    #[cfg(feature = "testing")]
    pub fn simulated(inner: kube::Client) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { inner, server: "simulated".into(), acting: None, impersonation: Arc::default(), turns }
    }

    /// The API server's URL, for people.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The same client acting as a node: `system:node:NAME` in the group `system:nodes`.
    ///
    /// With constrained impersonation (the default) the API server adds the group itself and allows only the
    /// verbs that cloudcore's role names; see [`Client::learn_impersonation`].
    #[must_use]
    pub fn as_node(&self, node: &str) -> Self {
        Self { acting: Some(Acting::node(node)), ..self.clone() }
    }

    /// Finds out which way of acting as a node the cluster allows, by asking who `system:node:NAME` would be.
    /// Constrained impersonation is tried first; the legacy way only works where an administrator allowed it.
    pub async fn learn_impersonation(&self) -> Result<&'static str, KubeError> {
        acting::learn(self, &self.impersonation).await
    }

    /// Reads an object.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, KubeError> {
        let answer = self.exchange(Method::GET, path, None, MAX_ANSWER).await?;
        exchange::decode(&Method::GET, path, &answer)
    }

    /// Reads bytes, at most `limit` of them.
    pub async fn get_bytes(&self, path: &str, limit: usize) -> Result<Bytes, KubeError> {
        self.exchange(Method::GET, path, None, limit).await
    }

    /// Creates an object in the collection at `path`, or posts to a subresource; the answer is what was made.
    pub async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, KubeError> {
        let body = exchange::encode(&Method::POST, path, body, "application/json")?;
        let answer = self.exchange(Method::POST, path, Some(body), MAX_ANSWER).await?;
        exchange::decode(&Method::POST, path, &answer)
    }

    /// Replaces an object. With `metadata.resourceVersion` in it this is a compare-and-swap.
    pub async fn replace<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, KubeError> {
        let body = exchange::encode(&Method::PUT, path, body, "application/json")?;
        let answer = self.exchange(Method::PUT, path, Some(body), MAX_ANSWER).await?;
        exchange::decode(&Method::PUT, path, &answer)
    }

    /// Changes parts of an object.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        kind: Patch,
        body: &impl Serialize,
    ) -> Result<T, KubeError> {
        let content_type = match kind {
            Patch::Strategic => "application/strategic-merge-patch+json",
            Patch::Merge => "application/merge-patch+json",
            Patch::Json => "application/json-patch+json",
        };
        let body = exchange::encode(&Method::PATCH, path, body, content_type)?;
        let answer = self.exchange(Method::PATCH, path, Some(body), MAX_ANSWER).await?;
        exchange::decode(&Method::PATCH, path, &answer)
    }

    /// Deletes an object; `options` are DeleteOptions.
    pub async fn delete(&self, path: &str, options: &impl Serialize) -> Result<(), KubeError> {
        let body = exchange::encode(&Method::DELETE, path, options, "application/json")?;
        self.exchange(Method::DELETE, path, Some(body), MAX_ANSWER).await.map(drop)
    }

    /// Opens a watch; the answer comes line by line.
    pub(crate) async fn lines(&self, path: &str) -> Result<Lines, KubeError> {
        let response = self.send(Method::GET, path, None).await?;
        Ok(Lines::new(format!("GET {path}"), response.into_body()))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(Vec<u8>, &'static str)>,
        limit: usize,
    ) -> Result<Bytes, KubeError> {
        let request = format!("{method} {path}");
        // Never closed. Whoever waits in vain gives up by itself.
        let _turn = self.turns.acquire().await;
        let exchanged = async {
            let response = self.send(method, path, body).await?;
            exchange::collect(&request, response.into_body(), limit).await
        };
        match kit::sim::leaf(tokio::time::timeout(TIMEOUT, exchanged)).await {
            Ok(answer) => answer,
            Err(_) => Err(KubeError::Timeout { request, limit: TIMEOUT }),
        }
    }

    /// Sends a request and returns once the head of a successful answer is there.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(Vec<u8>, &'static str)>,
    ) -> Result<http::Response<kube::client::Body>, KubeError> {
        let name = format!("{method} {path}");
        let mut request = http::Request::builder().method(method).uri(path);
        // A watch must not be compressed, and everything else is small or local.
        request = request.header(http::header::ACCEPT_ENCODING, "identity");
        request = request.header(http::header::USER_AGENT, HeaderValue::from_static("skerry-cloudcore"));
        if let Some(acting) = &self.acting {
            request = acting.head(request, &self.impersonation);
        }
        let (bytes, content_type) = body.map_or((Vec::new(), None), |(bytes, kind)| (bytes, Some(kind)));
        if let Some(content_type) = content_type {
            request = request.header(http::header::CONTENT_TYPE, content_type);
        }
        let request = request
            .body(kube::client::Body::from(bytes))
            .map_err(|source| KubeError::Request { request: name.clone(), source })?;
        let sent = tokio::time::timeout(TIMEOUT, self.inner.send(request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(source)) => return Err(KubeError::Transport { request: name, source: Box::new(source) }),
            Err(_) => return Err(KubeError::Timeout { request: name, limit: TIMEOUT }),
        };
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(exchange::refusal(name, response).await)
        }
    }
}
