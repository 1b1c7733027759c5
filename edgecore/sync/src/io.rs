//! Connecting, again and again.

mod down;
mod expire;
mod session;
mod up;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgecore_store::{Store, StoreError};
use kit::{Clock, Elapsed, Shutdown};
use link::reconnect::{Outcome, Reconnect, Wait};
use link::{Endpoint, Late, NetworkChanges};
use thiserror::Error;

use crate::metrics::Metrics;
use crate::state::{LinkStatus, Phase};
use session::{End, Session};

/// Where there is no identity yet, it is looked for this often.
const LOOK_FOR_IDENTITY: Duration = Duration::from_secs(2);

/// Attempts because of a changed network are at least so far apart.
const CHANGE_GAP: Duration = Duration::from_millis(250);

/// Why sync ended.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The store ended under it.
    #[error("sync lost its store")]
    Store(#[from] StoreError),
}

/// Who connects, and where to.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the node; the certificate must bear it.
    pub node_name: String,
    /// Version of the agent.
    pub agent_version: String,
    /// Endpoints of the configuration. Those that the cloud said last are tried first.
    pub endpoints: Vec<Endpoint>,
    /// Key and certificate chain.
    pub identity: PathBuf,
    /// CA certificates the cloud is verified by; replaced when the cloud says so.
    pub bundle: PathBuf,
    /// Times and limits of the link.
    pub link: link::Config,
}

/// What sync asks of, and hands to, the rest of the agent.
#[derive(Clone)]
pub struct Hooks {
    /// Whether the pod engine made a round lately: the cloud renews the node's Lease on it.
    pub engine_alive: Arc<dyn Fn() -> bool + Send + std::marker::Sync>,
    /// Takes a stream that the cloud opened.
    pub stream: Arc<dyn Fn(link::Stream) + Send + std::marker::Sync>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooks")
    }
}

/// Keeps the node in step with the cloud.
#[derive(Debug, Clone)]
pub struct Sync {
    /// Who connects, and where to.
    pub config: Config,
    /// The store.
    pub store: Store,
    /// The clock; learns from the cloud.
    pub clock: Clock,
    /// The rest of the agent.
    pub hooks: Hooks,
    /// Counters.
    pub metrics: Metrics,
    /// How the link fares.
    pub status: LinkStatus,
}

impl Sync {
    /// Runs until shutdown is asked for. No failure of the link or the cloud ends it.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), SyncError> {
        kit::select! {
            () = shutdown.requested() => Ok(()),
            ended = self.forever(&shutdown) => ended,
            ended = self.expire() => ended,
        }
    }

    async fn forever(&self, shutdown: &Shutdown) -> Result<(), SyncError> {
        self.note_agent().await?;
        let mut network = Network::watch();
        let mut late = Late::new(self.clock.clone());
        let mut endpoints = self.endpoints();
        let mut reconnect = Reconnect::new(endpoints.len(), self.clock.elapsed());
        let mut place = 0;
        loop {
            let outcome = match endpoints.get(place) {
                Some(endpoint) => self.attempt(endpoint, &mut late, shutdown).await?,
                None => Outcome::NoAnswer,
            };
            let now = self.endpoints();
            if now != endpoints {
                let place = |endpoint: &Endpoint| endpoints.iter().position(|old| old == endpoint);
                reconnect.replace(&now.iter().map(place).collect::<Vec<_>>());
                endpoints = now;
            }
            let wait = reconnect.next(outcome, self.clock.elapsed(), kit::random::unit());
            place = self.pause(wait, &mut reconnect, &mut network).await;
        }
    }

    /// A full disk at the start is no reason to end: objects rejected by an older agent wait a little longer.
    async fn note_agent(&self) -> Result<(), SyncError> {
        match self.store.set_agent(&self.config.agent_version).await {
            Err(StoreError::Closed) => Err(StoreError::Closed.into()),
            Err(error) => {
                tracing::warn!(error = kit::errors::chain(&error), "cannot note the agent's version");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What the cloud said last, then what the configuration says.
    fn endpoints(&self) -> Vec<Endpoint> {
        let mut all: Vec<Endpoint> = Vec::new();
        let said = self.store.meta().endpoints;
        let said = said.iter().filter_map(|text| text.parse().ok());
        for endpoint in said.chain(self.config.endpoints.iter().cloned()) {
            if !all.contains(&endpoint) {
                all.push(endpoint);
            }
        }
        all
    }

    /// Waits; returns which endpoint is next. A change of the network shortens the wait, but never below what a peer
    /// that said "later" asked for: [`Reconnect`] remembers that.
    async fn pause(&self, mut wait: Wait, reconnect: &mut Reconnect, network: &mut Network) -> usize {
        loop {
            let until = self.clock.elapsed().plus(wait.delay);
            let changed = kit::select! {
                () = self.clock.sleep_until(until) => return wait.endpoint,
                changed = network.changed() => changed,
            };
            if let Err(error) = changed {
                tracing::warn!(%error, "cannot watch the network any more");
                network.changes = None;
                wait.delay = until.since(self.clock.elapsed());
                continue;
            }
            // A pod that starts changes the network ten times in as many milliseconds.
            self.clock.sleep_until(network.used.plus(CHANGE_GAP).min(until)).await;
            network.used = self.clock.elapsed();
            tracing::debug!("the network changed");
            let sooner = reconnect.next(Outcome::NetworkChanged, network.used, 0.0);
            wait = Wait { delay: sooner.delay.min(until.since(network.used)), ..sooner };
        }
    }

    /// One attempt, and the session that comes of it.
    async fn attempt(
        &self,
        endpoint: &Endpoint,
        late: &mut Late,
        shutdown: &Shutdown,
    ) -> Result<Outcome, SyncError> {
        let tls = match self.tls() {
            Ok(tls) => tls,
            Err(reason) => {
                self.note(Phase::Disconnected, &reason);
                self.clock.sleep(LOOK_FOR_IDENTITY).await;
                return Ok(Outcome::NoAnswer);
            }
        };
        let connection = match link::connect_again(endpoint, tls, &self.config.link, late).await {
            Ok(connection) => connection,
            Err(error) => return Ok(self.unconnected(&error)),
        };
        late.clear();
        self.metrics.attempt("connected");
        let (end, open) = Session::run(self, endpoint, connection, shutdown).await;
        self.metrics.session(end.name());
        let outcome = self.outcome(&end, open);
        if let End::Store(error @ StoreError::Closed) = end {
            return Err(error.into());
        }
        Ok(outcome)
    }

    fn unconnected(&self, error: &link::ConnectError) -> Outcome {
        match error {
            link::ConnectError::NoAnswer { .. } => {
                self.metrics.attempt("no_answer");
                self.note(Phase::Disconnected, &error.to_string());
                Outcome::NoAnswer
            }
            link::ConnectError::Refused { retry_after, .. } => {
                self.metrics.attempt("refused");
                self.note(Phase::Refused, &error.to_string());
                Outcome::Refused(*retry_after)
            }
        }
    }

    fn outcome(&self, end: &End, open: bool) -> Outcome {
        let phase = if matches!(end, End::NotWelcome(_)) { Phase::Refused } else { Phase::Disconnected };
        self.note(phase, &end.to_string());
        match end {
            End::NotWelcome(refusal) => {
                if refusal.lasting() {
                    tracing::error!("{refusal}; what runs here goes on");
                }
                Outcome::Refused(refusal.retry_after())
            }
            End::GoAway { retry_after, .. } => Outcome::Ended(*retry_after),
            End::NoAnswer | End::Broken(_) | End::Link(_) | End::Shutdown | End::Store(_) if open => {
                Outcome::Ended(None)
            }
            End::NoAnswer | End::Broken(_) | End::Link(_) | End::Shutdown | End::Store(_) => {
                Outcome::Refused(None)
            }
        }
    }

    /// Enters a phase; logged where it is news.
    fn note(&self, phase: Phase, reason: &str) {
        if self.status.set(phase, reason, self.clock.elapsed()) {
            tracing::info!(state = phase.name(), reason, "link");
        }
    }

    /// Read anew for each attempt, so that a node that joins or renews needs no restart.
    fn tls(&self) -> Result<Arc<rustls::ClientConfig>, String> {
        let Config { identity, bundle, .. } = &self.config;
        let chain = |error: pki::PkiError| kit::errors::chain(&error);
        let identity_found = pki::io::load_identity(identity).map_err(chain)?;
        let bundle_found = pki::io::load_bundle(bundle).map_err(chain)?;
        match (identity_found, bundle_found) {
            (Some(identity), Some(bundle)) => {
                pki::link_client(&identity, &bundle, &self.clock).map_err(chain)
            }
            (None, _) => {
                Err(format!("this node has not joined: {} is missing (edgecore join)", identity.display()))
            }
            (_, None) => {
                Err(format!("this node has not joined: {} is missing (edgecore join)", bundle.display()))
            }
        }
    }
}

/// Changes of the network, and what was made of them.
struct Network {
    /// None where they cannot be watched.
    changes: Option<NetworkChanges>,
    /// The last time an attempt was made because of one.
    used: Elapsed,
}

impl Network {
    fn watch() -> Self {
        let changes = link::network_changes();
        if let Err(error) = &changes {
            tracing::warn!(%error, "cannot watch the network: a way back is only found by trying");
        }
        Self { changes: changes.ok(), used: Elapsed::default() }
    }

    /// Returns at a change; never where they cannot be watched.
    async fn changed(&mut self) -> std::io::Result<()> {
        match &mut self.changes {
            Some(changes) => changes.next().await,
            None => std::future::pending().await,
        }
    }
}
