//! When to ask again, and when to give up: pure.

use std::time::Duration;

use kit::{Backoff, Elapsed};

/// How long joining is tried.
const PATIENCE: Duration = Duration::from_mins(1);
/// A cloud that says "later" is believed up to this.
const SAID_MOST: Duration = Duration::from_secs(30);

/// What came of asking one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The cluster decided: asking anybody again changes nothing.
    Refused(String),
    /// Not now; perhaps it said when.
    Later(String, Option<Duration>),
    /// Nobody answers: another endpoint may, or this one later.
    Unreachable(String),
    /// Somebody answers who is not the token's cloud: another endpoint may be, this one will not become it.
    Stranger(String),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask the next endpoint after so long.
    Wait(Duration),
    /// Give up, for this reason.
    GiveUp(String),
}

/// Decides.
#[derive(Debug)]
pub(super) struct Retry {
    until: Elapsed,
    backoff: Backoff,
    endpoints: usize,
    failures: usize,
    /// Strangers met without anything else between.
    strangers: usize,
}

impl Retry {
    pub(super) fn new(endpoints: usize, now: Elapsed) -> Self {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
        Self { until: now.plus(PATIENCE), backoff, endpoints: endpoints.max(1), failures: 0, strangers: 0 }
    }

    pub(super) fn next(&mut self, outcome: Outcome, now: Elapsed, random: f64) -> Next {
        self.failures += 1;
        self.strangers = if matches!(outcome, Outcome::Stranger(_)) { self.strangers + 1 } else { 0 };
        let (why, said) = match outcome {
            Outcome::Refused(why) => return Next::GiveUp(why),
            Outcome::Stranger(why) if self.strangers >= self.endpoints => return Next::GiveUp(why),
            Outcome::Later(why, said) => (why, said),
            Outcome::Unreachable(why) | Outcome::Stranger(why) => (why, None),
        };
        // A wait only after every endpoint had its turn.
        let wait = if self.failures.is_multiple_of(self.endpoints) {
            self.backoff.next(random).max(said.unwrap_or_default().min(SAID_MOST))
        } else {
            Duration::ZERO
        };
        if now.plus(wait) >= self.until {
            return Next::GiveUp(format!("gave up after {} attempts; the last: {why}", self.failures));
        }
        Next::Wait(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_final() {
        let mut retry = Retry::new(3, Elapsed::default());
        let next = retry.next(Outcome::Refused("used up".to_owned()), Elapsed::default(), 0.5);
        assert_eq!(next, Next::GiveUp("used up".to_owned()));
    }

    #[test]
    fn strangers_everywhere_are_final_and_one_is_not() {
        let mut retry = Retry::new(2, Elapsed::default());
        let stranger = || Outcome::Stranger("wrong CA pin".to_owned());
        let mut next = |outcome| retry.next(outcome, Elapsed::default(), 0.5);
        assert_eq!(next(stranger()), Next::Wait(Duration::ZERO));
        assert!(matches!(next(Outcome::Unreachable(String::new())), Next::Wait(_)));
        assert!(matches!(next(stranger()), Next::Wait(_)));
        assert_eq!(next(stranger()), Next::GiveUp("wrong CA pin".to_owned()));
    }

    #[test]
    fn others_are_asked_at_once_and_all_of_it_ends() {
        let mut now = Elapsed::default();
        let mut retry = Retry::new(2, now);
        let mut waits = Vec::new();
        let last = loop {
            match retry.next(Outcome::Unreachable("no route".to_owned()), now, 0.5) {
                Next::Wait(wait) => waits.push(wait),
                Next::GiveUp(why) => break why,
            }
            now = now.plus(waits.last().copied().unwrap_or_default());
        };
        assert!(waits.iter().step_by(2).all(Duration::is_zero));
        assert!(waits.iter().skip(1).step_by(2).all(|wait| !wait.is_zero()));
        assert!(now.0 <= PATIENCE && last.contains("no route"), "{last}");
    }

    #[test]
    fn the_time_that_was_said_is_kept_within_reason() {
        let mut retry = Retry::new(1, Elapsed::default());
        let later = |secs| Outcome::Later("busy".to_owned(), Some(Duration::from_secs(secs)));
        assert_eq!(retry.next(later(20), Elapsed::default(), 0.0), Next::Wait(Duration::from_secs(20)));
        assert_eq!(retry.next(later(4000), Elapsed::default(), 0.0), Next::Wait(SAID_MOST));
    }
}
