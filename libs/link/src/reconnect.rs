//! When and where to connect next: pure.
//!
//! - Nobody answers: attempts follow each other within a second, for 15 minutes, then every 10 s. (Each attempt gives
//!   up by itself after [`crate::Config::connect_within`].)
//! - A peer answers and refuses: 200 ms doubling to 30 s with full jitter, or not before the time it said.
//! - A session that lived ends: at once, and as if nothing had failed before.
//! - The network changed: at once (but within a second only once), and the 15 minutes begin anew.
//! - Several endpoints take turns; only when all have failed in turn does a back-off count.

use std::time::Duration;

use kit::Elapsed;

/// Between the starts of two attempts nobody answers, at first.
const SPACING: Duration = Duration::from_secs(1);
/// For so long.
const EAGER: Duration = Duration::from_mins(15);
/// Between the starts of two attempts afterwards.
const PATIENT: Duration = Duration::from_secs(10);
const REFUSED_FIRST: Duration = Duration::from_millis(200);
const REFUSED_MOST: Duration = Duration::from_secs(30);
/// A peer that says "later" is believed up to this.
const SAID_MOST: Duration = Duration::from_mins(10);
/// Nobody comes back at the very instant a thousand others do.
const JITTER: Duration = Duration::from_millis(200);
/// A session this long was one; a shorter one counts as refused, else accepting and dropping would be a tight loop.
const LIVED: Duration = Duration::from_secs(10);

/// How the last attempt, or the session that came of it, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody answered.
    NoAnswer,
    /// Somebody answered and refused, perhaps saying when to come back.
    Refused(Option<Duration>),
    /// A session was open and ended, perhaps saying when to come back (`GoAway`).
    Ended(Option<Duration>),
    /// The network changed while waiting; nothing was attempted.
    NetworkChanged,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Which endpoint to try, by its place in the list.
    pub endpoint: usize,
    /// After how long.
    pub delay: Duration,
}

/// Decides when and where to connect next.
#[derive(Debug, Clone)]
pub struct Reconnect {
    /// Per endpoint: not before this time, because it said so.
    not_before: Vec<Elapsed>,
    current: usize,
    /// When the attempt now running started, or the one now waited for is to start.
    started: Elapsed,
    /// When the last attempt really started.
    attempted: Elapsed,
    silent_since: Option<Elapsed>,
    /// Refusals since the last session, counted per endpoint tried.
    refusals: u32,
}

impl Reconnect {
    /// For so many endpoints (at least one), the first attempt being made now at endpoint 0.
    pub fn new(endpoints: usize, now: Elapsed) -> Self {
        Self {
            not_before: vec![Elapsed::default(); endpoints.max(1)],
            current: 0,
            started: now,
            attempted: now,
            silent_since: None,
            refusals: 0,
        }
    }

    /// The list of endpoints is another one from now on; what was learned about the old ones is forgotten.
    pub fn replace(&mut self, endpoints: usize) {
        self.not_before = vec![Elapsed::default(); endpoints.max(1)];
        self.current = 0;
    }

    /// What to do after this outcome. `random` in [0, 1).
    pub fn next(&mut self, outcome: Outcome, now: Elapsed, random: f64) -> Wait {
        let random = random.clamp(0.0, 1.0);
        if self.started <= now {
            self.attempted = self.started;
        }
        let delay = match outcome {
            Outcome::NetworkChanged => {
                self.silent_since = None;
                // At once, but networks that keep changing (every pod has a link of its own) make no tight loop.
                SPACING.saturating_sub(now.since(self.attempted))
            }
            Outcome::NoAnswer => self.unanswered(now, random),
            Outcome::Ended(said) if now.since(self.started) >= LIVED => {
                self.silent_since = None;
                self.refusals = 0;
                self.remember(said, now);
                JITTER.mul_f64(random)
            }
            Outcome::Refused(said) | Outcome::Ended(said) => {
                self.silent_since = None;
                self.remember(said, now);
                self.refused(random)
            }
        };
        let (endpoint, free) = self.turn(now, outcome);
        // Who said "later" said it to many: they spread over a tenth more.
        let said = free.since(now);
        let said = said.saturating_add(said.mul_f64(random / 10.0));
        self.begin(endpoint, delay.max(said), now)
    }

    fn begin(&mut self, endpoint: usize, delay: Duration, now: Elapsed) -> Wait {
        self.current = endpoint;
        self.started = now.plus(delay);
        Wait { endpoint, delay }
    }

    fn unanswered(&mut self, now: Elapsed, random: f64) -> Duration {
        let began = self.started.min(now);
        let since = *self.silent_since.get_or_insert(began);
        let spacing = if now.since(since) < EAGER { SPACING } else { PATIENT };
        // From start to start, so that an attempt that fails at once does not spin and a slow one loses no time.
        let left = spacing.saturating_sub(now.since(self.started));
        left.max(JITTER.mul_f64(random))
    }

    fn refused(&mut self, random: f64) -> Duration {
        let round = u32::try_from(self.not_before.len()).unwrap_or(u32::MAX);
        let failed_rounds = self.refusals / round;
        let within_round = !(self.refusals + 1).is_multiple_of(round);
        self.refusals = self.refusals.saturating_add(1).min(round.saturating_mul(31));
        if within_round {
            return JITTER.mul_f64(random);
        }
        let doubled = REFUSED_FIRST.saturating_mul(1_u32.checked_shl(failed_rounds).unwrap_or(u32::MAX));
        doubled.min(REFUSED_MOST).mul_f64(random)
    }

    fn remember(&mut self, said: Option<Duration>, now: Elapsed) {
        if let (Some(said), Some(slot)) = (said, self.not_before.get_mut(self.current)) {
            *slot = now.plus(said.min(SAID_MOST));
        }
    }

    /// Whose turn it is: after a failure the next endpoint that may be tried now, else the one that may be tried
    /// soonest. Where no attempt failed (a session ended, the network changed) the current endpoint comes first.
    fn turn(&self, now: Elapsed, outcome: Outcome) -> (usize, Elapsed) {
        let count = self.not_before.len();
        let first = usize::from(matches!(outcome, Outcome::NoAnswer | Outcome::Refused(_)));
        let order = (first..count + first).map(|step| (self.current + step) % count);
        let with_time = order.filter_map(|at| self.not_before.get(at).map(|free| (at, *free)));
        // min_by_key keeps the first of equals, and whoever is free now is equal.
        with_time.min_by_key(|(_, free)| (*free).max(now)).unwrap_or((0, now))
    }
}

#[cfg(test)]
mod tests;
