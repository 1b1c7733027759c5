//! The hub: accepts edges and serves their sessions.

mod bodies;
mod catch_up;
mod door;
mod health;
mod lease;
mod live;
mod node;
mod open;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cloudcore_index::Index;
use cloudcore_kube::Client;
use cloudcore_kube::watch::WatchHandle;
use kit::tasks::Group;
use kit::{Backoff, Clock, Shutdown};
use link::{Accepted, Connection, Listener};
use thiserror::Error;
use wire::Kind;

use bodies::Bodies;
use catch_up::Newest;
use door::Door;
pub use health::Health;

use crate::drain;
use crate::identity::Identities;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::upstream::Upstream;

/// Edges that are told at once that there is no room; more hear nothing.
const SENT_ON: usize = 64;
/// How long sessions may take to say goodbye, once all of them were asked to.
const FAREWELL: Duration = Duration::from_secs(4);

/// Why nothing can be had of an edge.
#[derive(Debug, Error)]
pub enum HubError {
    /// It has no session here.
    #[error("node {0} has no session with this replica")]
    NoSession(String),
    /// The stream cannot be opened.
    #[error("no stream to node {node}")]
    Stream {
        /// The node.
        node: String,
        /// Why not.
        #[source]
        source: link::LinkError,
    },
    /// The edge does not answer the request.
    #[error("node {node} does not answer")]
    Request {
        /// The node.
        node: String,
        /// Why not.
        #[source]
        source: hyper::Error,
    },
    /// The edge does not answer in time.
    #[error("node {node} does not answer within {limit:?}")]
    Timeout {
        /// The node.
        node: String,
        /// The limit.
        limit: Duration,
    },
}

/// What the hub tells edges about the cloud.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Name of this replica.
    pub replica: String,
    /// UID of the namespace `kube-system`.
    pub cluster_id: String,
    /// Where edges may connect, all of them, best first.
    pub endpoints: Vec<String>,
    /// Most sessions at once, as many as there are descriptors for; beyond, edges are sent to other replicas.
    pub max_sessions: usize,
}

/// What the hub works with.
#[derive(Debug)]
pub struct Parts<I, U> {
    /// The cluster.
    pub client: Client,
    /// The desired sets.
    pub index: Index,
    /// Identity records.
    pub identities: Arc<I>,
    /// Who takes what edges say.
    pub upstream: Arc<U>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// The watches that feed the index.
    pub watches: BTreeMap<Kind, WatchHandle>,
}

/// The hub. Clones are one and the same.
#[derive(Debug)]
pub struct Hub<I, U> {
    inner: Arc<Inner<I, U>>,
}

impl<I, U> Clone for Hub<I, U> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

#[derive(Debug)]
pub(crate) struct Inner<I, U> {
    parts: Parts<I, U>,
    config: HubConfig,
    registry: Registry,
    door: Door,
    newest: Newest,
    bodies: Bodies,
    shutdown: Shutdown,
}

impl<I: Identities, U: Upstream> Hub<I, U> {
    /// A hub without sessions.
    pub fn new(parts: Parts<I, U>, config: HubConfig, shutdown: Shutdown) -> Self {
        let door = Door::new(parts.clock.clone(), parts.metrics.clone());
        let (registry, newest, bodies) = (Registry::default(), Newest::default(), Bodies::new());
        Self { inner: Arc::new(Inner { parts, config, registry, door, newest, bodies, shutdown }) }
    }

    /// Accepts and serves edges until shutdown is asked for; then sends them to the other replicas, batch by batch, and
    /// serves those that wait for their turn as before.
    pub async fn run(&self, mut listener: Listener) -> Result<(), HubError> {
        let group = Group::new("sessions", self.inner.config.max_sessions);
        let sent_on = Group::new("no room", SENT_ON);
        let shutdown = self.inner.shutdown.clone();
        loop {
            let accepted = kit::select! {
                () = shutdown.requested() => break,
                accepted = listener.accept() => accepted,
            };
            let inner = Arc::clone(&self.inner);
            // Only this loop adds to it.
            if group.len() >= self.inner.config.max_sessions {
                self.inner.parts.metrics.refused.get_or_create(&reason("full")).inc();
                tracing::debug!(peer = %accepted.address(), "an edge is sent on: there is no room");
                sent_on.spawn(Box::pin(inner.send_on(accepted)));
                continue;
            }
            group.spawn(async move {
                // Boxed: what it takes to open a session is many times what an idle one keeps.
                if let Some(session) = Box::pin(inner.open(accepted)).await {
                    session.run().await;
                }
            });
        }
        drop(listener);
        let drained = tokio::time::timeout(drain::WINDOW + FAREWELL, self.drain(&group)).await;
        if drained.is_err() {
            tracing::warn!(sessions = group.len(), "sessions did not end in time");
        }
        Ok(())
    }

    async fn drain(&self, group: &Group) {
        let Inner { registry, parts, .. } = &*self.inner;
        let batch = drain::batch(registry.len());
        tracing::info!(sessions = registry.len(), batch, "sending edges to other replicas");
        // Also those whose session was being opened meanwhile. Whoever only connected and says nothing is not waited for.
        let mut quiet = Duration::ZERO;
        while !group.is_empty() && quiet < FAREWELL {
            let retry = || drain::retry_after_ms(kit::random::unit());
            let told = registry.stop_some(batch, "cloudcore shuts down", retry);
            parts.metrics.drained.inc_by(told as u64);
            quiet = if told == 0 && registry.len() == 0 { quiet + drain::GAP } else { Duration::ZERO };
            tokio::time::sleep(drain::GAP).await;
        }
    }

    /// Ends the sessions, and the identities, of Nodes that are deleted, until shutdown is asked for.
    pub async fn forget_deleted(&self) -> Result<(), HubError> {
        let shutdown = self.inner.shutdown.clone();
        kit::select! {
            () = shutdown.requested() => Ok(()),
            never = self.forget_forever() => match never {},
        }
    }

    async fn forget_forever(&self) -> std::convert::Infallible {
        loop {
            for node in self.inner.parts.index.deleted_nodes().await {
                self.inner.revoke(&node).await;
            }
        }
    }

    /// Opens a stream to an edge.
    pub async fn open_stream(&self, node: &str) -> Result<link::Stream, HubError> {
        let entry = self.inner.registry.get(node).ok_or_else(|| HubError::NoSession(node.to_owned()))?;
        entry.streams.open().await.map_err(|source| HubError::Stream { node: node.to_owned(), source })
    }

    /// Asks an edge over a stream whether it is well.
    pub async fn healthz(&self, node: &str) -> Result<Health, HubError> {
        health::ask(node, self.open_stream(node)).await
    }
}

impl<I: Identities, U: Upstream> Inner<I, U> {
    /// Makes a session of whoever came, where it may have one.
    async fn open(self: Arc<Self>, accepted: Accepted) -> Option<Box<live::Live<I, U>>> {
        let connection = self.handshake(accepted).await?;
        open::open_session(self, connection).await
    }

    /// Tells whoever came that there is no room here.
    async fn send_on(self: Arc<Self>, accepted: Accepted) {
        if let Some(connection) = self.handshake(accepted).await {
            open::send_on(&self, connection).await;
        }
    }

    async fn handshake(&self, accepted: Accepted) -> Option<Connection> {
        match self.door.handshake(accepted).await {
            Ok(connection) => Some(connection),
            Err((why, error)) => {
                self.parts.metrics.refused.get_or_create(&reason(why)).inc();
                tracing::warn!(peer = %error.peer, reason = error.reason, "connection refused");
                None
            }
        }
    }

    /// The Node is gone: its key opens no session any more, and the session that is open ends. Tried until it is
    /// written, or the process ends; the next `Hello` of that edge tries again.
    async fn revoke(&self, node: &str) {
        tracing::info!(node, "Node was deleted; its sessions and its certificate are revoked");
        self.stop(node, "the Node was deleted", 5_000);
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        for _ in 0..20 {
            let Err(error) = self.parts.identities.revoke(node).await else { break };
            tracing::warn!(node, error, "identity of a deleted Node could not be revoked yet");
            self.parts.clock.sleep(backoff.next(kit::random::unit())).await;
        }
        self.stop(node, "the Node was deleted", 5_000);
    }

    fn stop(&self, node: &str, why: &str, retry_after_ms: u32) {
        if let Some(entry) = self.registry.get(node) {
            entry.stop.ask(why, retry_after_ms);
        }
    }
}

pub(crate) const fn reason(reason: &'static str) -> crate::metrics::ReasonLabel {
    crate::metrics::ReasonLabel { reason }
}

/// Waits for something, but not longer; `false` where it did not happen.
pub(crate) async fn within(limit: Duration, happening: impl Future<Output = ()>) -> bool {
    kit::sim::leaf(tokio::time::timeout(limit, happening)).await.is_ok()
}
