//! What other parts of the process may know of the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit::{Clock, Elapsed};

/// The engine counts as alive if it turned within this time; it turns at least every third of it.
const LATELY: Duration = Duration::from_secs(30);

/// Tells whether the engine still turns; heartbeats carry it to the cloud.
#[derive(Debug, Clone)]
pub struct Alive {
    clock: Clock,
    /// Milliseconds since boot of the last turn, plus one; 0 before the first.
    last: Arc<AtomicU64>,
}

impl Alive {
    /// Before the first turn.
    pub fn new(clock: Clock) -> Self {
        Self { clock, last: Arc::default() }
    }

    /// The engine turned.
    pub fn beat(&self) {
        let now = u64::try_from(self.clock.elapsed().0.as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(now + 1, Ordering::Relaxed);
    }

    /// When it turned last.
    pub fn last(&self) -> Option<Elapsed> {
        self.last.load(Ordering::Relaxed).checked_sub(1).map(Elapsed::from_millis)
    }

    /// Whether it turned lately.
    pub fn is_alive(&self) -> bool {
        self.last().is_some_and(|last| self.clock.elapsed().since(last) < LATELY)
    }

    /// The longest time the engine may sleep.
    pub(crate) const fn longest_sleep() -> Duration {
        Duration::from_secs(10)
    }
}

/// Whether the container runtime answers; what the Node's `Ready` condition is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeState {
    /// The last look succeeded.
    pub ok: bool,
    /// Why not.
    pub message: String,
}

impl Default for RuntimeState {
    fn default() -> Self {
        Self { ok: false, message: "container runtime was not asked yet".to_owned() }
    }
}
