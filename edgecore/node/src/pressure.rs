//! Pure: whether memory, disk or process ids run short, by upstream's default thresholds.
//!
//! A pressure begins with the first look that finds too little, and ends only when no look has found too little for
//! five minutes, so that a condition does not flap.

use std::time::Duration;

use kit::Elapsed;

/// Least bytes of memory that must be available.
pub(crate) const MEMORY_AVAILABLE: u64 = 100 << 20;
/// How long a pressure lasts after it was found last.
const LASTS: Duration = Duration::from_mins(5);

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// Bytes that anybody may still write.
    pub(crate) available: u64,
    /// Bytes in all.
    pub(crate) total: u64,
    /// Files that may still be made.
    pub(crate) inodes_free: u64,
    /// Files in all; 0 where the file system does not count them.
    pub(crate) inodes: u64,
}

/// One look. What could not be read is absent, and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sample {
    /// Bytes of memory that new programs could have.
    pub(crate) memory_available: Option<u64>,
    /// The agent's file system.
    pub(crate) node_fs: Option<Room>,
    /// The file system of the images.
    pub(crate) image_fs: Option<Room>,
    /// Process ids in use, and at most.
    pub(crate) pids: Option<(u64, u64)>,
}

/// What runs short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pressure {
    /// Memory.
    pub(crate) memory: bool,
    /// Disk.
    pub(crate) disk: bool,
    /// Process ids.
    pub(crate) pid: bool,
}

/// When each shortage was found last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shortages {
    memory: Option<Elapsed>,
    disk: Option<Elapsed>,
    pid: Option<Elapsed>,
}

impl Shortages {
    /// Goes on from what was reported before a restart: a pressure that held is taken as found now.
    pub(crate) fn resume(reported: Pressure, now: Elapsed) -> Self {
        let found = |held: bool| held.then_some(now);
        Self { memory: found(reported.memory), disk: found(reported.disk), pid: found(reported.pid) }
    }

    /// Takes one look into account.
    #[must_use]
    pub(crate) fn step(self, sample: &Sample, now: Elapsed) -> (Self, Pressure) {
        let disk = [(sample.node_fs, 10), (sample.image_fs, 15)];
        let disk = disk.into_iter().filter_map(|(room, least)| Some(full(&room?, least)));
        let after = Self {
            memory: last(self.memory, sample.memory_available.map(|bytes| bytes < MEMORY_AVAILABLE), now),
            disk: last(self.disk, disk.reduce(|some, more| some || more), now),
            pid: last(
                self.pid,
                sample.pids.map(|(used, most)| below(most.saturating_sub(used), most, 5)),
                now,
            ),
        };
        let pressure =
            Pressure { memory: after.memory.is_some(), disk: after.disk.is_some(), pid: after.pid.is_some() };
        (after, pressure)
    }
}

fn full(room: &Room, least_percent: u64) -> bool {
    let inodes = room.inodes > 0 && below(room.inodes_free, room.inodes, 5);
    inodes || (room.total > 0 && below(room.available, room.total, least_percent))
}

fn below(available: u64, total: u64, percent: u64) -> bool {
    u128::from(available) * 100 < u128::from(total) * u128::from(percent)
}

/// When it was found last, or `None` where that no longer counts. Not looking neither finds it nor ends it.
fn last(before: Option<Elapsed>, found: Option<bool>, now: Elapsed) -> Option<Elapsed> {
    match found {
        Some(true) => Some(now),
        Some(false) => before.filter(|before| now.since(*before) < LASTS),
        None => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(seconds: u64) -> Elapsed {
        Elapsed::from_millis(seconds * 1000)
    }

    fn memory(bytes: u64) -> Sample {
        Sample { memory_available: Some(bytes), ..Sample::default() }
    }

    #[test]
    fn pressure_begins_at_once_and_ends_after_five_minutes() {
        let state = Shortages::default();
        let (state, pressure) = state.step(&memory(MEMORY_AVAILABLE), at(0));
        assert!(!pressure.memory);
        let (state, pressure) = state.step(&memory(MEMORY_AVAILABLE - 1), at(60));
        assert!(pressure.memory && !pressure.disk);
        let (state, pressure) = state.step(&memory(1 << 40), at(359));
        assert!(pressure.memory);
        let (state, unknown) = state.step(&Sample::default(), at(1000));
        assert!(unknown.memory, "a look that failed ends nothing");
        assert!(!state.step(&memory(1 << 40), at(1001)).1.memory);
    }

    #[test]
    fn a_restart_forgets_no_pressure() {
        let state = Shortages::resume(Pressure { disk: true, ..Pressure::default() }, at(5));
        let (state, pressure) = state.step(&memory(1 << 40), at(5));
        assert!(pressure.disk);
        let empty = Room { available: 99, total: 100, inodes_free: 0, inodes: 0 };
        let sample = Sample { node_fs: Some(empty), ..Sample::default() };
        assert!(!state.step(&sample, at(306)).1.disk);
    }

    #[test]
    fn either_file_system_counts_by_bytes_and_by_files() {
        let room = |available, inodes_free| Room { available, total: 1000, inodes_free, inodes: 100 };
        let disk = |node_fs, image_fs| {
            let sample = Sample { node_fs: Some(node_fs), image_fs: Some(image_fs), ..Sample::default() };
            Shortages::default().step(&sample, at(0)).1.disk
        };
        assert!(!disk(room(100, 5), room(150, 5)));
        assert!(disk(room(99, 5), room(150, 5)));
        assert!(disk(room(100, 4), room(150, 5)));
        assert!(disk(room(100, 5), room(149, 5)));
        let uncounted = Room { inodes: 0, inodes_free: 0, ..room(500, 0) };
        assert!(!disk(uncounted, uncounted));
    }

    proptest! {
        #[test]
        fn a_pressure_holds_exactly_while_it_was_found_in_the_last_five_minutes(
            looks in proptest::collection::vec((1_u64..200, any::<bool>()), 1..40),
        ) {
            let (mut state, mut now, mut found) = (Shortages::default(), 0, None);
            for (pause, short) in looks {
                now += pause;
                if short {
                    found = Some(now);
                }
                let (used, most) = if short { (96, 100) } else { (95, 100) };
                let (after, pressure) = state.step(&Sample { pids: Some((used, most)), ..Sample::default() }, at(now));
                prop_assert_eq!(pressure.pid, found.is_some_and(|found| now - found < 300));
                if !pressure.pid {
                    found = None;
                }
                state = after;
            }
        }
    }
}
