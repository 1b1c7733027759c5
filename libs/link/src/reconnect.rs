//! When and where to connect next: pure.
//!
//! - Nobody answers: attempts follow each other within a second, for 15 minutes, then every 10 s. (Each attempt gives
//!   up by itself after [`crate::Config::connect_within`]; what it asked for may be answered later, see [`crate::Late`].)
//! - A peer answers and refuses: 200 ms doubling to 30 s with full jitter, or at the time it said.
//! - A session that lived ends: within a second, as if nothing had failed before; a replica that is gone had others,
//!   too, and those that stay get them all.
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
/// Nor when the session of a thousand others ended with one's own, and nobody said when to come.
const SCATTER: Duration = Duration::from_secs(1);
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

    /// The list of endpoints is another one from now on: for each the place it had in the old one, where it stood
    /// there. To be called before the outcome of an attempt at an old one is told.
    pub fn replace(&mut self, places: &[Option<usize>]) {
        let said = |place: &Option<usize>| place.and_then(|place| self.not_before.get(place)).copied();
        let mut not_before: Vec<Elapsed> =
            places.iter().map(|place| said(place).unwrap_or_default()).collect();
        if not_before.is_empty() {
            not_before.push(Elapsed::default());
        }
        self.not_before = not_before;
        // What is not in the new list any more has no turn: the next is the first.
        let kept = places.iter().position(|place| *place == Some(self.current));
        self.current = kept.unwrap_or(places.len());
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
                if said.is_some() { JITTER.mul_f64(random) } else { SCATTER.mul_f64(random) }
            }
            // Whoever says when has a plan; a back-off of our own on top would only come too late. A peer that always
            // says "at once" has none.
            Outcome::Refused(Some(said)) if said >= REFUSED_FIRST => {
                self.silent_since = None;
                self.remember(Some(said), now);
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
        let failed = matches!(outcome, Outcome::NoAnswer | Outcome::Refused(_));
        let first = usize::from(failed && self.current < count);
        let order = (first..count + first).map(|step| (self.current + step) % count);
        let with_time = order.filter_map(|at| self.not_before.get(at).map(|free| (at, *free)));
        // min_by_key keeps the first of equals, and whoever is free now is equal.
        with_time.min_by_key(|(_, free)| (*free).max(now)).unwrap_or((0, now))
    }
}

#[cfg(test)]
mod tests;
