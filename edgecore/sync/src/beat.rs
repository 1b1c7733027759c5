//! Heartbeats: when, and which of them carry the digest.

use std::time::Duration;

use kit::Elapsed;

/// Every so many beats the digest rides along, so that drift is found within minutes and costs next to nothing.
const DIGEST_EVERY: u64 = 30;
/// What is taken from `Welcome`: less would be a flood, more would read as death.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);
const DEFAULT: Duration = Duration::from_secs(10);

/// The beats of one session.
#[derive(Debug)]
pub(crate) struct Beats {
    every: Duration,
    next: Elapsed,
    seq: u64,
    digest_wanted: bool,
}

/// A beat to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) seq: u64,
    pub(crate) with_digest: bool,
}

impl Beats {
    /// From `Welcome.heartbeat_ms`; 0 leaves it to us. The first beat is due within half an interval: a cloud that took its
    /// time to open the session has heard nothing since `Hello`, and must not take that for silence. `random` in [0, 1).
    pub(crate) fn new(heartbeat_ms: u32, now: Elapsed, random: f64) -> Self {
        let every = match heartbeat_ms {
            0 => DEFAULT,
            millis => Duration::from_millis(millis.into()).clamp(SHORTEST, LONGEST),
        };
        Self { every, next: now.plus(every.mul_f64(random / 2.0)), seq: 0, digest_wanted: false }
    }

    /// When the next is due.
    pub(crate) const fn due(&self) -> Elapsed {
        self.next
    }

    /// The beat due now, if one is. After a long sleep of the machine there is one, not all that were missed.
    pub(crate) fn step(&mut self, now: Elapsed) -> Option<Beat> {
        if now < self.next {
            return None;
        }
        self.next = now.plus(self.every);
        self.seq += 1;
        let with_digest = self.seq.is_multiple_of(DIGEST_EVERY) || std::mem::take(&mut self.digest_wanted);
        Some(Beat { seq: self.seq, with_digest })
    }

    /// The cloud's idea of our digest is another: the next beat carries it, so that the cloud can judge.
    pub(crate) const fn want_digest(&mut self) {
        self.digest_wanted = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_come_on_time_and_missed_ones_once() {
        let mut beats = Beats::new(10_000, Elapsed::from_millis(0), 0.8);
        assert_eq!(beats.step(Elapsed::from_millis(3_999)), None);
        assert_eq!(beats.step(Elapsed::from_millis(4_000)), Some(Beat { seq: 1, with_digest: false }));
        assert_eq!(beats.due(), Elapsed::from_millis(14_000));
        assert_eq!(beats.step(Elapsed::from_millis(99_000)), Some(Beat { seq: 2, with_digest: false }));
        assert_eq!(beats.due(), Elapsed::from_millis(109_000));
    }

    #[test]
    fn the_digest_rides_along_now_and_then_and_when_wanted() {
        let mut beats = Beats::new(0, Elapsed::default(), 0.0);
        let with: Vec<u64> = (1..=90)
            .filter_map(|n| beats.step(Elapsed::from_millis(n * 10_000)))
            .filter(|beat| beat.with_digest)
            .map(|beat| beat.seq)
            .collect();
        assert_eq!(with, [30, 60, 90]);
        beats.want_digest();
        assert!(beats.step(Elapsed::from_millis(1_000_000)).unwrap().with_digest);
        assert!(!beats.step(Elapsed::from_millis(2_000_000)).unwrap().with_digest);
    }

    #[test]
    fn a_silly_interval_is_bounded() {
        for (said, taken) in [(1, SHORTEST), (u32::MAX, LONGEST)] {
            let mut beats = Beats::new(said, Elapsed::default(), 0.0);
            beats.step(Elapsed::default());
            assert_eq!(beats.due(), Elapsed(taken));
        }
    }
}
