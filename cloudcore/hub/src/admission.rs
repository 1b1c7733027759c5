//! How many sessions may open at once, and when those who must wait shall come again. Pure.
//!
//! An opening costs requests to the API server. So many may be under way, and so many begin in a second. Whoever comes
//! beyond that waits in a queue while it is short: to come again would cost another handshake. Where it is long, an edge is
//! sent away at once, with a time to come again. These times stand one behind the other at the pace at which openings
//! really go, so ten thousand edges that come together come back one by one, and none of them waits in vain on an open
//! connection.

use std::time::Duration;

use kit::Elapsed;

/// Shortest time anybody is sent away for.
const LEAST: Duration = Duration::from_millis(250);
/// The longest: who was sent away for so long finds another replica, or a queue that is shorter than it looked.
const MOST: Duration = Duration::from_mins(2);
/// A time to come again is moved by up to so much of it, either way.
const SPREAD: f64 = 0.2;

/// What may go on at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Openings under way.
    pub under_way: u32,
    /// Openings begun in a second, in the long run.
    pub per_second: u32,
    /// Openings that may begin at once after a quiet time.
    pub burst: u32,
    /// The queue is no longer than takes this time.
    pub queue: Duration,
}

/// What an edge is told that wants a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its session may open; [`Admission::left`] must follow.
    Enter,
    /// It waits for its turn, behind those who wait; [`Admission::turn`] or [`Admission::gave_up`] must follow.
    Wait,
    /// Not now: it shall come again after this time.
    Later(Duration),
}

/// Decides who may open a session now.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    under_way: u32,
    /// Edges that wait for their turn.
    waiting: u32,
    /// When the next opening would begin, if they all kept the pace.
    next: Elapsed,
    /// Up to when times were given to those who were sent away.
    given: Elapsed,
    /// How long an opening takes, smoothed.
    takes: Duration,
}

impl Admission {
    /// Nobody has come yet.
    pub const fn new(limits: Limits) -> Self {
        let never = Elapsed(Duration::ZERO);
        Self { limits, under_way: 0, waiting: 0, next: never, given: never, takes: Duration::ZERO }
    }

    /// An edge wants a session. `random` in [0, 1).
    pub fn ask(&mut self, now: Elapsed, random: f64) -> Verdict {
        let pace = self.pace();
        let next = self.next.max(now);
        let ahead = pace.saturating_mul(self.limits.burst.saturating_sub(1));
        if self.waiting == 0 && self.under_way < self.limits.under_way && next.since(now) <= ahead {
            self.next = next.plus(pace);
            self.under_way += 1;
            return Verdict::Enter;
        }
        let queue = pace.saturating_mul(self.waiting.saturating_add(1)).saturating_add(next.since(now));
        if queue <= self.limits.queue {
            self.waiting += 1;
            return Verdict::Wait;
        }
        let place = self.given.max(now.plus(queue));
        self.given = place.plus(pace);
        let moved = 1.0 + SPREAD * 2.0f64.mul_add(random.clamp(0.0, 1.0), -1.0);
        Verdict::Later(place.since(now).mul_f64(moved).clamp(LEAST, MOST))
    }

    /// An edge that waits has its turn, since another opening is over. It begins after this time.
    pub fn turn(&mut self, now: Elapsed) -> Duration {
        self.gave_up();
        self.under_way += 1;
        let next = self.next.max(now);
        self.next = next.plus(self.pace());
        let ahead = self.pace().saturating_mul(self.limits.burst.saturating_sub(1));
        next.since(now).saturating_sub(ahead)
    }

    /// An edge waits no longer.
    pub const fn gave_up(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// An opening is over, for good or ill; `took` where it tells how long openings take.
    pub fn left(&mut self, took: Option<Duration>) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(took) = took {
            self.takes = (self.takes * 7 + took) / 8;
        }
    }

    /// Some who were sent away have not yet had the time to come again.
    pub fn is_crowded(&self, now: Elapsed) -> bool {
        self.given > now
    }

    /// Openings under way.
    pub const fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Time from one opening to the next: what the limit allows, or what the API server is good for.
    fn pace(&self) -> Duration {
        let allowed = Duration::from_secs(1) / self.limits.per_second.max(1);
        allowed.max(self.takes / self.limits.under_way.max(1))
    }
}
