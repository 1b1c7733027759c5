//! How long a unit, or a read, is left alone that had no answer.

use std::time::Duration;

/// After the first failure.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// However many failed.
pub(super) const MOST: Duration = Duration::from_mins(1);

/// After so many failures in a row: from a second, doubling to a minute. `random` in [0, 1) places it between half of
/// that and all of it, so that units that went together do not come back together.
pub(super) fn rest(failures: u32, random: f64) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST.saturating_mul(doubled).min(MOST).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_a_second_to_a_minute() {
        let seconds: Vec<u64> = (1..9).map(|failures| rest(failures, 1.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rest(u32::MAX, 1.0), MOST);
        assert_eq!(rest(1, 0.0), FIRST / 2);
        assert_eq!(rest(3, f64::NAN.max(0.5)), Duration::from_secs(3));
    }
}
