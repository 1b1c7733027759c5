//! Waiting longer before each restart, as upstream's kubelet does.
//!
//! The first restart is at once. Then 10 s after the end, doubling to 5 min; a run of more than 10 min starts anew.
//! Waits count elapsed time of one boot: after a reboot nothing waits.

use std::time::Duration;

use kit::Elapsed;
use serde::{Deserialize, Serialize};

/// First wait.
const FIRST: Duration = Duration::from_secs(10);
/// Longest wait.
const MOST: Duration = Duration::from_mins(5);
/// A run longer than this makes the next wait the first again.
const LONG_RUN: Duration = Duration::from_mins(10);

/// The moment, in all the ways decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// Since boot.
    pub elapsed: Elapsed,
    /// For people.
    pub wall: kit::WallTime,
    /// Which boot.
    pub boot: std::sync::Arc<str>,
    /// The cloud confirmed the wall time.
    pub trusted: bool,
    /// Milliseconds that the machine's clock, which the runtime reads, is behind.
    pub offset_ms: i64,
}

impl Now {
    /// This moment, to be kept.
    pub fn mark(&self) -> Mark {
        Mark {
            boot: self.boot.to_string(),
            ms: u64::try_from(self.elapsed.0.as_millis()).unwrap_or(u64::MAX),
            wall_ms: self.wall.0,
            sure: self.trusted,
        }
    }

    /// A time that the runtime took from the machine's clock, as well as it is known now.
    pub const fn correct(&self, ms: i64) -> i64 {
        if ms == 0 { 0 } else { ms.saturating_add(self.offset_ms) }
    }
}

/// A moment that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Boot in which it was.
    pub boot: String,
    /// Milliseconds since that boot.
    pub ms: u64,
    /// Wall time then, milliseconds since 1970.
    pub wall_ms: i64,
    /// That wall time is what the cloud's clock showed.
    #[serde(default)]
    pub sure: bool,
}

impl Mark {
    /// The moment on the clock of this boot; `None` where it was in another.
    pub fn elapsed(&self, now: &Now) -> Option<Elapsed> {
        (*self.boot == *now.boot).then(|| Elapsed::from_millis(self.ms))
    }

    /// Puts the wall time right, once, where the cloud's clock became known within the same boot.
    pub fn correct(&mut self, now: &Now) {
        if let (false, true, Some(then)) = (self.sure, now.trusted, self.elapsed(now)) {
            let age = i64::try_from(now.elapsed.since(then).as_millis()).unwrap_or(i64::MAX);
            self.wall_ms = now.wall.0.saturating_sub(age);
            self.sure = true;
        }
    }

    /// Time since then: elapsed time within one boot, else by wall time as well as it is known.
    pub fn age(&self, now: &Now) -> Duration {
        self.elapsed(now).map_or_else(
            || Duration::from_millis(u64::try_from(now.wall.0.saturating_sub(self.wall_ms)).unwrap_or(0)),
            |then| now.elapsed.since(then),
        )
    }
}

/// When the next run may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Now.
    Now,
    /// Then; `wait` is the whole back-off, for the message.
    At {
        /// Not before.
        then: Elapsed,
        /// The whole back-off.
        wait: Duration,
    },
}

/// When a container may run again. `wait` is its present back-off (`None` before the first restart), `ended` when it
/// ended, `ran` for how long it ran.
pub fn when(wait: Option<Duration>, ended: &Mark, ran: Duration, now: &Now) -> Restart {
    let (Some(wait), Some(ended)) = (wait, ended.elapsed(now)) else { return Restart::Now };
    let then = ended.plus(wait);
    if ran > LONG_RUN || then <= now.elapsed { Restart::Now } else { Restart::At { then, wait } }
}

/// The back-off after one more restart.
pub fn next_wait(wait: Option<Duration>, ran: Duration) -> Duration {
    match wait {
        Some(wait) if ran <= LONG_RUN => wait.saturating_mul(2).min(MOST),
        _ => FIRST,
    }
}

/// A duration as Go prints it, which upstream's messages contain: `10s`, `2m40s`, `5m0s`.
pub fn go_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}
