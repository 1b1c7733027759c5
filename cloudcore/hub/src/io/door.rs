//! Who comes in, and how many at a time: handshakes, then openings.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kit::{Clock, Elapsed};
use link::{Accepted, Connection, HandshakeError};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::admission::{Admission, Limits, Verdict};
use crate::metrics::Metrics;

/// TLS handshakes under way: each is a millisecond or two of a processor, and some tens of KiB, between which lies what stays.
const HANDSHAKES: usize = 64;
/// How long one waits for its turn. Whoever waits longer gives up before it would be through, and comes again.
const TURN: Duration = Duration::from_secs(3);
/// Each opening is a write of the Lease, and sometimes a read before it.
const OPENINGS: Limits =
    Limits { under_way: UNDER_WAY, per_second: 500, burst: 100, queue: Duration::from_secs(8) };
const UNDER_WAY: u32 = 64;
/// The longest wait for a turn, where openings got slower meanwhile: an edge waits 20 s for its answer, and opening takes time
/// too.
const WAIT: Duration = Duration::from_secs(10);

/// Who waited in vain comes again after so long.
const AGAIN: Duration = Duration::from_secs(2);

/// Lets edges in.
#[derive(Debug)]
pub(super) struct Door {
    handshakes: Semaphore,
    admission: Mutex<Admission>,
    /// In the order in which they came.
    turns: Semaphore,
    clock: Clock,
    metrics: Metrics,
}

impl Door {
    pub(super) const fn new(clock: Clock, metrics: Metrics) -> Self {
        let handshakes = Semaphore::const_new(HANDSHAKES);
        let turns = Semaphore::const_new(UNDER_WAY as usize);
        Self { handshakes, admission: Mutex::new(Admission::new(OPENINGS)), turns, clock, metrics }
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

    /// Lets an edge open a session, at once or in its turn, or says when it shall come again. Whoever drops this waits no
    /// longer.
    pub(super) async fn enter(&self) -> Result<Entered<'_>, Duration> {
        let later = match self.with(|admission| admission.ask(self.clock.elapsed(), kit::random::unit())) {
            Verdict::Enter => {
                let mut entered = self.entered();
                entered.turn = self.turns.acquire().await.ok();
                return Ok(entered);
            }
            Verdict::Wait => {
                let mut waiting = Waiting { door: self, over: false };
                if let Ok(turn) = tokio::time::timeout(WAIT, self.turns.acquire()).await {
                    waiting.over = true;
                    let pause = self.with(|admission| admission.turn(self.clock.elapsed()));
                    let mut entered = self.entered();
                    entered.turn = turn.ok();
                    self.clock.sleep(pause).await;
                    return Ok(entered);
                }
                AGAIN
            }
            Verdict::Later(wait) => wait,
        };
        self.metrics.come_again.set(later.as_secs_f64());
        Err(later)
    }

    /// Counted from here on, so that whoever gives up while its turn comes is not counted for ever.
    fn entered(&self) -> Entered<'_> {
        self.metrics.opening.inc();
        Entered { door: self, began: None, turn: None }
    }

    /// Edges were sent away and are to come again: more want a session than can have one now.
    pub(super) fn is_crowded(&self) -> bool {
        self.with(|admission| admission.is_crowded(self.clock.elapsed()))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Admission) -> T) -> T {
        work(&mut self.admission.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An edge that waits for its turn.
struct Waiting<'a> {
    door: &'a Door,
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.door.with(Admission::gave_up);
        }
    }
}

/// An opening under way. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    door: &'a Door,
    began: Option<Elapsed>,
    /// Held, and never looked at.
    turn: Option<SemaphorePermit<'a>>,
}

impl Entered<'_> {
    /// What comes now depends on the API server alone: from here on it is measured how long openings take.
    pub(super) fn begin(&mut self) {
        self.began = Some(self.door.clock.elapsed());
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        drop(self.turn.take());
        let took = self.began.map(|began| self.door.clock.elapsed().since(began));
        self.door.with(|admission| admission.left(took));
        self.door.metrics.opening.dec();
    }
}
