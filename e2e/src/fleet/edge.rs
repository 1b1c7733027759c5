//! One simulated edge: connects, again and again, by the rules of a real one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kit::random::NoRandomness;
use link::reconnect::{Outcome, Reconnect};
use link::{ConnectError, FrameSender};
use pki::NodeIdentity;
use tokio::sync::watch;

use super::held::Held;
use super::reports::Reporter;
use super::{Shared, session};

/// A simulated edge. What it holds outlives its sessions.
pub(super) struct SimulatedEdge {
    pub(super) number: usize,
    pub(super) fleet: Arc<Shared>,
    pub(super) place: Arc<Place>,
    pub(super) identity: NodeIdentity,
    pub(super) reporter: Reporter,
    pub(super) held: Held,
    pub(super) store_id: String,
    pub(super) cluster_id: String,
    /// Epoch of the last session; 0 before the first.
    pub(super) epoch: u64,
    /// Reports sent.
    pub(super) reports: u64,
}

impl SimulatedEdge {
    /// An edge whose store is empty.
    pub(super) fn new(
        number: usize,
        fleet: Arc<Shared>,
        place: Arc<Place>,
        identity: NodeIdentity,
        reporter: Reporter,
    ) -> Result<Self, NoRandomness> {
        let (store_id, cluster_id) = (kit::random::uuid()?, String::new());
        let held = Held::default();
        Ok(Self {
            number,
            fleet,
            place,
            identity,
            reporter,
            held,
            store_id,
            cluster_id,
            epoch: 0,
            reports: 0,
        })
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let fleet = Arc::clone(&self.fleet);
        let (clock, endpoints) = (&fleet.clock, &fleet.endpoints);
        let mut reconnect = Reconnect::new(endpoints.len(), clock.elapsed());
        // Replicas get equal shares at first.
        let mut at = self.number % endpoints.len().max(1);
        loop {
            self.place.resumed().await;
            let outcome = self.attempt(at).await;
            let wait = reconnect.next(outcome, clock.elapsed(), kit::random::unit());
            clock.sleep(wait.delay).await;
            at = wait.endpoint;
        }
    }

    async fn attempt(&mut self, at: usize) -> Outcome {
        let fleet = Arc::clone(&self.fleet);
        let Some(endpoint) = fleet.endpoints.get(at) else { return Outcome::NoAnswer };
        let failed = |reason: String| fleet.tally.trouble(format!("{}: {reason}", self.reporter.node));
        let tls = match pki::link_client(&self.identity, &fleet.bundle, &fleet.clock) {
            Ok(tls) => tls,
            Err(error) => {
                failed(kit::errors::chain(&error));
                return Outcome::NoAnswer;
            }
        };
        match link::connect(endpoint, tls, &fleet.link).await {
            Ok(connection) => session::run(self, connection).await,
            Err(error) => {
                failed(error.to_string());
                match error {
                    ConnectError::NoAnswer { .. } => Outcome::NoAnswer,
                    ConnectError::Refused { retry_after, .. } => Outcome::Refused(retry_after),
                }
            }
        }
    }
}

/// An edge's place in the fleet, where others look at it and hold it.
#[derive(Debug)]
pub(super) struct Place {
    held_back: watch::Sender<bool>,
    line: Mutex<Option<Line>>,
    held: AtomicUsize,
}

/// The connection of a session.
#[derive(Debug)]
struct Line {
    sender: FrameSender,
    /// Bytes sent and received before Hello.
    before: (u64, u64),
}

impl Default for Place {
    fn default() -> Self {
        Self { held_back: watch::Sender::new(false), line: Mutex::default(), held: AtomicUsize::new(0) }
    }
}

impl Place {
    fn line(&self) -> MutexGuard<'_, Option<Line>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self, sender: &FrameSender) {
        let before = (sender.bytes_sent(), sender.bytes_received());
        *self.line() = Some(Line { sender: sender.clone(), before });
    }

    pub(super) fn disconnected(&self) {
        *self.line() = None;
    }

    /// So many objects are held now.
    pub(super) fn holds(&self, objects: usize) {
        self.held.store(objects, Ordering::Relaxed);
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes on the socket both ways since just before Hello; `None` without a connection.
    pub(super) fn traffic(&self) -> Option<u64> {
        let line = self.line();
        let Line { sender, before } = line.as_ref()?;
        Some((sender.bytes_sent() - before.0) + (sender.bytes_received() - before.1))
    }

    /// Ends the session and keeps the edge from opening another one, or lets it.
    pub(super) fn hold_back(&self, hold: bool) {
        self.held_back.send_replace(hold);
    }

    pub(super) async fn paused(&self) {
        self.until(true).await;
    }

    async fn resumed(&self) {
        self.until(false).await;
    }

    async fn until(&self, wanted: bool) {
        let mut held_back = self.held_back.subscribe();
        // The sender is ours, so waiting cannot fail.
        let _ = held_back.wait_for(|held_back| *held_back == wanted).await;
    }
}
