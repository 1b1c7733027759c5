//! Endpoints of all nodes: opened, kept, left and closed.

mod accept;
mod endpoint;
mod judge;
mod pass;
mod serve;
mod trust;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloudcore_kube::Client;
use kit::errors::chain;
use kit::tasks::Group;
use kit::{Clock, Shutdown};
use pki::Serving;
use tokio::sync::watch;

use crate::calls::Calls;
use crate::errors::TunnelError;
use crate::metrics::Metrics;
use accept::{Door, bind};
use endpoint::Endpoint;
use judge::Judge;
use trust::Trust;

/// Connections at once, of all nodes.
const MAX_CONNECTIONS: usize = 4096;
/// How long an endpoint stays whose node is served elsewhere: for callers that have read the Node before.
const LINGER: Duration = Duration::from_mins(1);
/// Between two looks at the CA of callers, and at what has lingered long enough.
const ROUND: Duration = Duration::from_mins(1);
/// The same before the CA was read once.
const SOON: Duration = Duration::from_secs(2);
/// After somebody could not be let in: out of descriptors, say.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// Its session is here.
    Here,
    /// Another replica serves it, there.
    There(SocketAddr),
    /// It has no session, for people: since when and why.
    Away(String),
    /// Between two sessions, for all that is known.
    Moving,
}

/// The edges, as the endpoints see them.
pub trait Edges: Send + Sync + 'static {
    /// Opens a stream to an edge; the error is for people.
    fn open(&self, node: &str) -> impl Future<Output = Result<link::Stream, String>> + Send;
    /// Where a node is that is served at `own` here.
    fn find(&self, node: &str, own: SocketAddr) -> Whereabouts;
    /// Changes when a node may be elsewhere than before.
    fn moves(&self) -> watch::Receiver<()>;
}

/// What endpoints are made of.
#[derive(Debug)]
pub struct Config {
    /// The address of all of them, which the API server can reach.
    pub address: IpAddr,
    /// Their certificate, for that address.
    pub serving: Serving,
    /// Most endpoints at once: each has a descriptor.
    pub most: usize,
}

/// The endpoints of all nodes. Clones are one and the same.
pub struct Tunnel<E> {
    inner: Arc<Inner<E>>,
}

impl<E> Clone for Tunnel<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E> std::fmt::Debug for Tunnel<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").field("address", &self.inner.address).finish_non_exhaustive()
    }
}

/// Every node that is served here.
#[derive(Default)]
struct Nodes {
    by_name: BTreeMap<Arc<str>, Arc<Endpoint>>,
    by_listener: BTreeMap<RawFd, Arc<Endpoint>>,
}

pub(crate) struct Inner<E> {
    address: IpAddr,
    most: usize,
    edges: E,
    judge: Judge,
    trust: Trust,
    client: Client,
    clock: Clock,
    metrics: Metrics,
    nodes: Mutex<Nodes>,
    door: Door,
    connections: Group,
    /// What drives requests on links, and joins streams.
    streams: Group,
}

impl<E: Edges> Tunnel<E> {
    /// No endpoint is open yet.
    pub fn new(
        config: Config,
        edges: E,
        client: Client,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, TunnelError> {
        let Config { address, serving, most } = config;
        let inner = Inner {
            address,
            most,
            edges,
            judge: Judge::new(client.clone(), clock.clone()),
            trust: Trust::new(serving, clock.clone())?,
            client,
            clock,
            metrics,
            nodes: Mutex::default(),
            door: Door::new().map_err(TunnelError::Door)?,
            connections: Group::new("kubelet connections", MAX_CONNECTIONS),
            streams: Group::new("kubelet streams", MAX_CONNECTIONS.saturating_mul(2)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The address of all endpoints.
    pub fn address(&self) -> IpAddr {
        self.inner.address
    }

    /// Serves a node, where it is not served yet: on the port that it had before where that can be had, and on another
    /// one unless `only` that will do. `None` where it cannot be served.
    pub fn open(&self, node: &str, before: Option<u16>, only: bool) -> Option<SocketAddr> {
        let mut nodes = self.nodes();
        if let Some(known) = nodes.by_name.get(node) {
            *known.ends.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Some(known.address).filter(|own| !only || Some(own.port()) == before);
        }
        if nodes.by_name.len() >= self.inner.most {
            tracing::warn!(node, most = self.inner.most, "kubectl cannot reach a node: too few descriptors");
            return None;
        }
        let address = |port| SocketAddr::new(self.inner.address, port);
        let named = before.map(|port| bind(address(port)));
        let bound = match named {
            Some(Ok(bound)) => Ok(bound),
            Some(Err(error)) if only => {
                tracing::debug!(node, ?before, %error, "the port that a Node names is somebody else's");
                return None;
            }
            Some(Err(_)) | None => bind(address(0)),
        };
        let opened = bound.and_then(|listener| {
            let address = listener.local_addr()?;
            self.inner.door.add(&listener)?;
            Ok((address, listener))
        });
        let (address, listener) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(node, %error, "kubectl cannot reach a node: no port to be had");
                return None;
            }
        };
        let endpoint = Arc::new(Endpoint {
            node: node.into(),
            address,
            calls: Mutex::new(Calls::default()),
            ends: Mutex::new(None),
            listener,
        });
        nodes.by_listener.insert(endpoint.listener.as_raw_fd(), Arc::clone(&endpoint));
        nodes.by_name.insert(Arc::clone(&endpoint.node), endpoint);
        self.inner.metrics.endpoints.inc();
        Some(address)
    }

    /// The node is served elsewhere, or nowhere: its endpoint goes in a while.
    pub fn leave(&self, node: &str) {
        if let Some(endpoint) = self.nodes().by_name.get(node) {
            let until = self.inner.clock.elapsed().plus(LINGER);
            endpoint.ends.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(until);
        }
    }

    /// Lets callers in, keeps their CA fresh, and closes what has lingered long enough, until shutdown is asked for.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        tokio::select! {
            () = shutdown.requested() => Ok(()),
            never = self.accept() => match never {},
            never = self.keep() => match never {},
        }
    }

    async fn accept(&self) -> Infallible {
        loop {
            let knocked = self.inner.door.knocked().await;
            let accepted = knocked.and_then(|listeners| {
                listeners.into_iter().try_for_each(|listener| {
                    let endpoint = self.nodes().by_listener.get(&listener).cloned();
                    endpoint.map_or(Ok(()), |endpoint| endpoint::accept(&self.inner, endpoint))
                })
            });
            if let Err(error) = accepted {
                tracing::warn!(%error, "a caller of a kubelet could not be let in");
                self.inner.clock.sleep(PAUSE).await;
            }
        }
    }

    async fn keep(&self) -> Infallible {
        let mut known = false;
        loop {
            match self.inner.trust.refresh(&self.inner.client).await {
                Ok(()) => known = true,
                Err(error) => tracing::warn!(error = chain(&error), "the CA of callers was not read"),
            }
            self.close_left();
            self.inner.clock.sleep(if known { ROUND } else { SOON }).await;
        }
    }

    fn close_left(&self) {
        let now = self.inner.clock.elapsed();
        let Nodes { by_name, by_listener } = &mut *self.nodes();
        by_name.retain(|_, endpoint| {
            let ends = *endpoint.ends.lock().unwrap_or_else(PoisonError::into_inner);
            let over = ends.is_some_and(|ends| ends <= now);
            if over {
                by_listener.remove(&endpoint.listener.as_raw_fd());
                self.inner.metrics.endpoints.dec();
            }
            !over
        });
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.inner.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
