//! Who comes in, and how many at a time: handshakes, then openings.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kit::{Clock, Elapsed};
use link::{Accepted, Connection, HandshakeError};
use tokio::sync::Semaphore;

use crate::admission::{Admission, Limits, Verdict};
use crate::metrics::Metrics;

/// TLS handshakes under way: each is a millisecond or two of a processor, and some tens of KiB.
const HANDSHAKES: usize = 256;
/// How long one waits for its turn. Whoever waits longer gives up before it would be through, and comes again.
const TURN: Duration = Duration::from_secs(3);
/// Each opening is a write of the Lease, and sometimes a read before it.
const OPENINGS: Limits = Limits { under_way: 64, per_second: 500, burst: 100 };

/// Lets edges in.
#[derive(Debug)]
pub(super) struct Door {
    handshakes: Semaphore,
    admission: Mutex<Admission>,
    clock: Clock,
    metrics: Metrics,
}

impl Door {
    pub(super) const fn new(clock: Clock, metrics: Metrics) -> Self {
        let handshakes = Semaphore::const_new(HANDSHAKES);
        Self { handshakes, admission: Mutex::new(Admission::new(OPENINGS)), clock, metrics }
    }

    /// Shakes hands with a peer, in its turn. A peer that says nothing takes nobody's turn.
    pub(super) async fn handshake(
        &self,
        accepted: Accepted,
    ) -> Result<Connection, (&'static str, HandshakeError)> {
        let peer = accepted.address();
        let refused = |why, reason: &str| (why, HandshakeError { peer, reason: reason.to_owned() });
        accepted.greeted().await.map_err(|error| ("handshake", error))?;
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN, self.handshakes.acquire()).await else {
            return Err(refused("busy", "too many handshakes are under way"));
        };
        self.metrics.handshakes.inc();
        let shaken = Box::pin(accepted.handshake()).await;
        self.metrics.handshakes.dec();
        shaken.map_err(|error| ("handshake", error))
    }

    /// Lets an edge open a session, or says when it shall come again.
    pub(super) fn enter(&self) -> Result<Entered<'_>, Duration> {
        match self.with(|admission| admission.ask(self.clock.elapsed(), kit::random::unit())) {
            Verdict::Enter => {
                self.metrics.opening.inc();
                Ok(Entered { door: self, began: None })
            }
            Verdict::Later(wait) => {
                self.metrics.come_again.set(wait.as_secs_f64());
                Err(wait)
            }
        }
    }

    /// Edges were sent away and are to come again: more want a session than can have one now.
    pub(super) fn is_crowded(&self) -> bool {
        self.with(|admission| admission.is_crowded(self.clock.elapsed()))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Admission) -> T) -> T {
        work(&mut self.admission.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An opening under way. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    door: &'a Door,
    began: Option<Elapsed>,
}

impl Entered<'_> {
    /// What comes now depends on the API server alone: from here on it is measured how long openings take.
    pub(super) fn begin(&mut self) {
        self.began = Some(self.door.clock.elapsed());
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let took = self.began.map(|began| self.door.clock.elapsed().since(began));
        self.door.with(|admission| admission.left(took));
        self.door.metrics.opening.dec();
    }
}
