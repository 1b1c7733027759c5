//! The one clock.
//!
//! Two times exist. [`Elapsed`] counts since the machine booted, sleep included (`CLOCK_BOOTTIME`), never jumps, and
//! is what deadlines, back-offs and ages are made of. [`WallTime`] is what people and the API server read; on an
//! edge it may be years off after a boot, so it carries a correction learned from the cloud.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since boot of the machine (in tests: since the clock was made).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Elapsed(pub Duration);

impl Elapsed {
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Later by so much.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// Time from `earlier` to here; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Wall time in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Later (or, by a negative number, earlier) by so many milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// From RFC 3339, as the Kubernetes API writes times; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }

    /// As the Kubernetes API writes times: RFC 3339, whole seconds, `Z`.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_second(self.0.div_euclid(1000)) {
            Ok(time) => time.to_string(),
            Err(_) => String::from("1970-01-01T00:00:00Z"),
        }
    }

    /// As the Kubernetes API writes a `MicroTime`: with six decimals of the second.
    pub fn micro_rfc3339(self) -> String {
        let seconds = self.rfc3339();
        format!("{}.{:06}Z", seconds.trim_end_matches('Z'), self.0.rem_euclid(1000) * 1000)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Reads time. Clones read the same time and share the correction.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    correction: Arc<Correction>,
}

/// What the cloud taught about wall time.
#[derive(Debug, Default)]
struct Correction {
    /// Milliseconds to add to the machine's wall clock.
    offset_ms: AtomicI64,
    /// Whether the offset was ever learned.
    known: std::sync::atomic::AtomicBool,
    /// No wall time is earlier than this (build time, or the last trusted time on disk).
    floor_ms: AtomicI64,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual {
        elapsed_ms: Arc<AtomicU64>,
        wall_ms: Arc<AtomicI64>,
        moved: Arc<tokio::sync::Notify>,
    },
    /// tokio's time, which a simulation holds still and moves on; and what the wall clock showed at the boot.
    #[cfg(feature = "testing")]
    Simulated {
        boot: tokio::time::Instant,
        wall_ms: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { source: Source::System, correction: Arc::default() }
    }

    /// A clock for tests that stands until it is moved with [`Clock::advance`].
    pub fn manual(wall: WallTime) -> Self {
        Self {
            source: Source::Manual {
                elapsed_ms: Arc::default(),
                wall_ms: Arc::new(AtomicI64::new(wall.0)),
                moved: Arc::default(),
            },
            correction: Arc::default(),
        }
    }

    /// The clock of a simulated machine: time is tokio's, counted since `boot`, when the wall clock showed `wall_ms`
    /// (milliseconds since 1970); whoever changes that makes the wall clock jump.
    #[cfg(feature = "testing")]
    pub fn simulated(boot: tokio::time::Instant, wall_ms: Arc<AtomicI64>) -> Self {
        Self { source: Source::Simulated { boot, wall_ms }, correction: Arc::default() }
    }

    /// Moves a manual clock on; the machine's clock ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { elapsed_ms, wall_ms, moved } = &self.source {
            let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            elapsed_ms.fetch_add(millis, Ordering::SeqCst);
            wall_ms.fetch_add(i64::try_from(millis).unwrap_or(i64::MAX), Ordering::SeqCst);
            moved.notify_waiters();
        }
    }

    /// Time since boot.
    pub fn elapsed(&self) -> Elapsed {
        match &self.source {
            Source::System => Elapsed(duration(clock_gettime(ClockId::Boottime))),
            Source::Manual { elapsed_ms, .. } => Elapsed::from_millis(elapsed_ms.load(Ordering::SeqCst)),
            #[cfg(feature = "testing")]
            Source::Simulated { boot, .. } => Elapsed(boot.elapsed()),
        }
    }

    /// Wall time, corrected where a correction is known, and never before the floor.
    pub fn wall(&self) -> WallTime {
        let corrected = self.machine_wall().plus_millis(self.correction.offset_ms.load(Ordering::SeqCst));
        WallTime(corrected.0.max(self.correction.floor_ms.load(Ordering::SeqCst)))
    }

    /// Whether wall time was confirmed by the cloud since this process started.
    pub fn trusted(&self) -> bool {
        self.correction.known.load(Ordering::SeqCst)
    }

    /// Milliseconds that the machine's wall clock is behind what the cloud says; 0 before that is known. For times
    /// that others took from the machine's clock.
    pub fn offset_ms(&self) -> i64 {
        self.correction.offset_ms.load(Ordering::SeqCst)
    }

    /// Learns from the cloud what time it is. Differences under two seconds are the link's delay and change nothing. What
    /// an authenticated cloud says now also lowers the floor: it may stem from a cloud whose clock was wrong.
    pub fn learn(&self, cloud: WallTime) {
        let offset = cloud.0.saturating_sub(self.machine_wall().0);
        let offset = if offset.abs() < 2_000 { 0 } else { offset };
        self.correction.offset_ms.store(offset, Ordering::SeqCst);
        self.correction.floor_ms.fetch_min(cloud.0, Ordering::SeqCst);
        self.correction.known.store(true, Ordering::SeqCst);
    }

    /// Says that wall time cannot be before this.
    pub fn not_before(&self, floor: WallTime) {
        self.correction.floor_ms.fetch_max(floor.0, Ordering::SeqCst);
    }

    /// Sleeps for that long.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.elapsed().plus(time)).await;
    }

    /// Sleeps until then; returns at once if then is past.
    pub async fn sleep_until(&self, then: Elapsed) {
        match &self.source {
            Source::System => tokio::time::sleep(then.since(self.elapsed())).await,
            #[cfg(feature = "testing")]
            Source::Simulated { boot, .. } => {
                let Some(then) = boot.checked_add(then.0) else { return std::future::pending().await };
                crate::sim::leaf(tokio::time::sleep_until(then)).await;
            }
            Source::Manual { moved, .. } => loop {
                let wake = moved.notified();
                tokio::pin!(wake);
                // Registered before the look, so that a move between look and wait is not missed.
                wake.as_mut().enable();
                if self.elapsed() >= then {
                    return;
                }
                wake.await;
            },
        }
    }

    /// What the machine's own wall clock says.
    fn machine_wall(&self) -> WallTime {
        match &self.source {
            Source::System => {
                let time = clock_gettime(ClockId::Realtime);
                WallTime(time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000))
            }
            Source::Manual { wall_ms, .. } => WallTime(wall_ms.load(Ordering::SeqCst)),
            #[cfg(feature = "testing")]
            Source::Simulated { boot, wall_ms } => {
                let since = i64::try_from(boot.elapsed().as_millis()).unwrap_or(i64::MAX);
                WallTime(wall_ms.load(Ordering::SeqCst).saturating_add(since))
            }
        }
    }
}

fn duration(time: rustix::time::Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_corrected_and_has_a_floor() {
        let clock = Clock::manual(WallTime(0));
        clock.not_before(WallTime(5_000));
        assert_eq!(clock.wall(), WallTime(5_000));
        assert!(!clock.trusted());
        clock.learn(WallTime(1_000_000));
        assert!(clock.trusted());
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.wall(), WallTime(1_001_000));
        assert_eq!(clock.wall().rfc3339(), "1970-01-01T00:16:41Z");
    }

    #[test]
    fn times_of_the_api_are_read() {
        assert_eq!(WallTime::parse("1970-01-01T00:16:41Z"), Some(WallTime(1_001_000)));
        assert_eq!(WallTime::parse("1970-01-01T01:16:41.5+01:00"), Some(WallTime(1_001_500)));
        assert_eq!(WallTime::parse("yesterday"), None);
    }

    #[test]
    fn a_cloud_that_was_wrong_once_is_not_believed_for_ever() {
        let clock = Clock::manual(WallTime(1_000_000));
        clock.not_before(WallTime(90_000_000));
        assert_eq!(clock.wall(), WallTime(90_000_000));
        clock.learn(WallTime(1_000_500));
        assert_eq!(clock.wall(), WallTime(1_000_500));
    }

    #[test]
    fn the_delay_of_the_link_is_no_error_of_the_clock() {
        let clock = Clock::manual(WallTime(1_000_000));
        clock.learn(WallTime(1_001_500));
        assert_eq!(clock.wall(), WallTime(1_000_000));
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_moved() {
        let clock = Clock::manual(WallTime(0));
        let sleeper = clock.clone();
        let slept = async move { sleeper.sleep(Duration::from_secs(3)).await };
        tokio::pin!(slept);
        assert!(futures::poll!(&mut slept).is_pending());
        clock.advance(Duration::from_secs(2));
        assert!(futures::poll!(&mut slept).is_pending());
        clock.advance(Duration::from_secs(2));
        slept.await;
    }
}
