//! How a replica that ends sends its edges away: not all at once, since they all go to the others. Pure.

use std::time::Duration;

/// How long sending all of them away may take.
pub(crate) const WINDOW: Duration = Duration::from_secs(15);
/// Between two batches.
pub(crate) const GAP: Duration = Duration::from_millis(100);
/// Smallest batch: few edges need no pace.
const BATCH: usize = 10;
/// An edge comes back within this time: at once, but not in step with the others of its batch. One that knows another
/// endpoint does not wait for it.
const RETRY_MS: f64 = 1_000.0;

/// How many of so many sessions are sent away at once, [`GAP`] apart.
pub(crate) fn batch(sessions: usize) -> usize {
    let batches = usize::try_from(WINDOW.as_millis() / GAP.as_millis().max(1)).unwrap_or(1).max(1);
    sessions.div_ceil(batches).max(BATCH)
}

/// When an edge that is sent away shall come back, in milliseconds. `random` in [0, 1).
pub(crate) fn retry_after_ms(random: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 1 and 1,000"
    )]
    let wait = (random.clamp(0.0, 1.0) * RETRY_MS) as u32;
    wait.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_sent_away_within_the_window() {
        for sessions in [0_usize, 1, 10, 11, 1_000, 10_000, 20_000, 123_456] {
            let batches = u32::try_from(sessions.div_ceil(batch(sessions))).unwrap();
            assert!(GAP * batches <= WINDOW, "{sessions}");
        }
        assert_eq!(batch(3), 10);
        assert!(batch(10_000) < 100, "ten thousand are not sent away together");
    }

    #[test]
    fn a_time_is_always_said() {
        assert_eq!((retry_after_ms(0.0), retry_after_ms(0.5)), (1, 500));
        assert!(retry_after_ms(0.999) < 1_000);
    }
}
