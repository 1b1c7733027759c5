//! How a shaped link treats frames, one direction: loss, delay, jitter, rate, duplicates, reordering. Pure:
//! time and randomness come in as arguments.
//!
//! The order of a frame's way: it may be lost; it waits for the frames before it at the link's rate (what
//! does not fit in the buffer is dropped, as in any router); it may be doubled; then it travels for the
//! delay plus or minus the jitter. Jitter alone reorders nothing; a frame chosen for reordering is held back
//! so that later ones overtake it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The treatment of a link, the same in both directions. Percentages are 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Shape {
    /// Frames lost, in percent.
    pub loss: f64,
    /// One way, in milliseconds.
    pub delay_ms: u32,
    /// The delay varies by so many milliseconds up and down.
    pub jitter_ms: u32,
    /// Kilobits a second; 0 is unlimited.
    pub rate_kbit: u32,
    /// Frames that arrive twice, in percent.
    pub duplicate: f64,
    /// Frames that later ones overtake, in percent.
    pub reorder: f64,
}

impl Shape {
    /// Refuses what no link can do.
    ///
    /// # Errors
    /// A percentage is none, or the jitter is more than the delay.
    pub fn check(&self) -> Result<(), String> {
        for (name, percent) in [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder)]
        {
            if !(0.0..=100.0).contains(&percent) {
                return Err(format!("{name} {percent}: a percentage is 0 to 100"));
            }
        }
        if self.jitter_ms > self.delay_ms {
            return Err(format!(
                "jitter {} ms is more than the delay of {} ms",
                self.jitter_ms, self.delay_ms
            ));
        }
        Ok(())
    }
}

/// A buffer of this length in time belongs to a limited link, as in an ordinary modem.
const BUFFER: Duration = Duration::from_millis(250);
/// But never less than a few full frames.
const LEAST_BUFFER_BYTES: u64 = 32 * 1024;
/// Bytes under way on an unlimited link.
const MOST_QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// How long a frame is held back for reordering where the link has no delay to speak of.
const LEAST_HOLD: Duration = Duration::from_millis(10);

/// The random numbers of one direction (xorshift64*), so that a test can repeat them.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A sequence that depends on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Evenly from 0 up to 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = u32::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32).unwrap_or(0);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }

    fn hits(&mut self, percent: f64) -> bool {
        self.roll() * 100.0 < percent
    }
}

/// What happened to the frames of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Came in.
    pub taken: u64,
    /// Lost by the dice.
    pub lost: u64,
    /// Dropped because the buffer was full.
    pub overflowed: u64,
}

/// The frames under way in one direction. Times are since any fixed point.
#[derive(Debug)]
pub struct Line {
    shape: Shape,
    dice: Dice,
    /// When the last frame taken has left at the link's rate.
    busy_until: Duration,
    /// When the last frame that is not held back arrives.
    last_due: Duration,
    queue: BTreeMap<(Duration, u64), Vec<u8>>,
    queued_bytes: usize,
    counts: Counts,
}

impl Line {
    /// An empty line.
    pub fn new(shape: Shape, dice: Dice) -> Self {
        let (busy_until, last_due) = (Duration::ZERO, Duration::ZERO);
        Self {
            shape,
            dice,
            busy_until,
            last_due,
            queue: BTreeMap::new(),
            queued_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Treats frames differently from now on; those under way keep their time.
    pub fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a frame that came in at `now`.
    pub fn submit(&mut self, now: Duration, frame: Vec<u8>) {
        self.counts.taken += 1;
        if self.dice.hits(self.shape.loss) {
            self.counts.lost += 1;
            return;
        }
        let Some(left) = self.leave(now, frame.len()) else {
            self.counts.overflowed += 1;
            return;
        };
        if self.dice.hits(self.shape.duplicate) {
            self.travel(left, frame.clone());
        }
        self.travel(left, frame);
    }

    /// The frames that arrive by `now`, in order.
    pub fn due(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let mut arrived = Vec::new();
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= now) {
            let frame = entry.remove();
            self.queued_bytes -= frame.len();
            arrived.push(frame);
        }
        arrived
    }

    /// When the next frame arrives.
    pub fn next_due(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((due, _), _)| *due)
    }

    /// When a frame of this length has left at the link's rate, `None` if the buffer has no room for it.
    fn leave(&mut self, now: Duration, length: usize) -> Option<Duration> {
        if self.queued_bytes + length > MOST_QUEUED_BYTES {
            return None;
        }
        if self.shape.rate_kbit == 0 {
            return Some(now);
        }
        let bytes_per_second = u64::from(self.shape.rate_kbit) * 125;
        let time_of =
            |bytes: u64| Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / bytes_per_second);
        let waiting = self.busy_until.saturating_sub(now);
        if waiting > BUFFER.max(time_of(LEAST_BUFFER_BYTES)) {
            return None;
        }
        self.busy_until = now + waiting + time_of(length as u64);
        Some(self.busy_until)
    }

    fn travel(&mut self, left: Duration, frame: Vec<u8>) {
        let delay = Duration::from_millis(u64::from(self.shape.delay_ms));
        let jitter = Duration::from_millis(u64::from(self.shape.jitter_ms));
        let mut due =
            (left + delay + jitter.mul_f64(2.0 * self.dice.roll())).saturating_sub(jitter).max(left);
        if self.dice.hits(self.shape.reorder) {
            due += (delay + jitter).max(LEAST_HOLD);
        } else {
            due = due.max(self.last_due);
            self.last_due = due;
        }
        self.queued_bytes += frame.len();
        // Frames of one instant keep the order they came in.
        let number =
            self.queue.last_key_value().map_or(0, |((_, number), _)| *number).max(self.counts.taken * 2);
        self.queue.insert((due, number + 1), frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn line(shape: Shape) -> Line {
        Line::new(shape, Dice::new(42))
    }

    /// Submits frames numbered 0.. one every `gap` and returns (number, arrival in ms) as they arrive.
    fn pass(line: &mut Line, frames: u32, length: usize, gap: Duration) -> Vec<(u32, u128)> {
        let mut now = Duration::ZERO;
        for number in 0..frames {
            let mut frame = number.to_be_bytes().to_vec();
            frame.resize(length, 0);
            line.submit(now, frame);
            now += gap;
        }
        let mut arrived = Vec::new();
        while let Some(due) = line.next_due() {
            for frame in line.due(due) {
                arrived.push((u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]), due.as_millis()));
            }
        }
        arrived
    }

    #[test]
    fn a_link_without_a_shape_passes_everything_on_at_once_and_in_order() {
        let arrived = pass(&mut line(Shape::default()), 100, 60, MS);
        assert_eq!(arrived, (0..100).map(|n| (n, u128::from(n))).collect::<Vec<_>>());
    }

    #[test]
    fn frames_of_one_instant_keep_their_order() {
        let shape = Shape { delay_ms: 5, duplicate: 50.0, ..Shape::default() };
        let numbers: Vec<u32> =
            pass(&mut line(shape), 200, 60, Duration::ZERO).iter().map(|(n, _)| *n).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }

    #[test]
    fn loss_takes_its_share_and_counts_it() {
        let mut line = line(Shape { loss: 30.0, ..Shape::default() });
        let arrived = pass(&mut line, 10_000, 60, MS).len();
        assert!((6_700..7_300).contains(&arrived), "{arrived}");
        assert_eq!(line.counts(), Counts { taken: 10_000, lost: 10_000 - arrived as u64, overflowed: 0 });
        assert_eq!(pass(&mut self::line(Shape { loss: 100.0, ..Shape::default() }), 100, 60, MS), []);
    }

    #[test]
    fn delay_and_jitter_stay_within_bounds_and_reorder_nothing() {
        let shape = Shape { delay_ms: 100, jitter_ms: 20, ..Shape::default() };
        let arrived = pass(&mut line(shape), 1_000, 60, MS);
        assert_eq!(arrived.len(), 1_000);
        assert!(arrived.is_sorted());
        for (number, at) in arrived {
            assert!((80..=120).contains(&(at - u128::from(number))), "{number} at {at}");
        }
    }

    #[test]
    fn reordering_lets_later_frames_overtake_and_loses_none() {
        let arrived = pass(&mut line(Shape { reorder: 10.0, ..Shape::default() }), 1_000, 60, MS);
        let mut numbers: Vec<u32> = arrived.iter().map(|(number, _)| *number).collect();
        assert!(!numbers.is_sorted());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn duplicates_arrive_twice() {
        assert_eq!(pass(&mut line(Shape { duplicate: 100.0, ..Shape::default() }), 50, 60, MS).len(), 100);
    }

    #[test]
    fn a_rate_spaces_frames_and_a_full_buffer_drops() {
        let shape = Shape { rate_kbit: 1_000, ..Shape::default() };
        // 1,250 bytes take 10 ms at 1 Mbit/s; one every 10 ms fits exactly.
        let mut slow = line(shape);
        let arrived = pass(&mut slow, 100, 1_250, 10 * MS);
        assert_eq!(arrived.last(), Some(&(99, 1_000)));
        // All at once: a frame is taken as long as at most 262 ms of others (32 KiB) wait before it.
        let mut flooded = line(shape);
        assert_eq!(pass(&mut flooded, 1_000, 1_250, Duration::ZERO).len(), 27);
        assert_eq!(flooded.counts().overflowed, 973);
    }

    #[test]
    fn a_new_shape_leaves_frames_under_way_alone() {
        let mut line = line(Shape { delay_ms: 100, ..Shape::default() });
        line.submit(Duration::ZERO, vec![1]);
        line.set_shape(Shape::default());
        line.submit(MS, vec![2]);
        assert_eq!(line.due(100 * MS), [vec![1], vec![2]], "in order, as jitter alone reorders nothing");
    }
}
