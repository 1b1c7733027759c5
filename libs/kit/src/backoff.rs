//! Waiting longer after each failure.

use std::time::Duration;

/// Doubles from `first` to `most`, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts at `first`, never more than `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// How long to wait after one more failure. `random` in [0, 1) places the wait between half of the doubled time
    /// and all of it.
    pub fn next(&mut self, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        doubled.min(self.most).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// After a success the next wait is the first one again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn grows_to_its_cap_and_stays(steps in 1_usize..80, random in 0.0_f64..1.0) {
            let (first, most) = (Duration::from_millis(200), Duration::from_secs(30));
            let mut backoff = Backoff::new(first, most);
            let mut before = Duration::ZERO;
            for _ in 0..steps {
                let wait = backoff.next(random);
                prop_assert!(wait >= before && wait <= most && wait >= first / 2);
                before = wait;
            }
            backoff.reset();
            prop_assert!(backoff.next(random) <= first);
        }
    }
}
