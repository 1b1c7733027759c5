//! Everybody gets in, nobody too fast, and few have to ask twice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use kit::Elapsed;
use proptest::prelude::*;

use crate::admission::{Admission, Limits, Verdict};

const LIMITS: Limits = Limits { under_way: 64, per_second: 500, burst: 100, queue: Duration::from_secs(8) };

/// What came of a crowd that all came at once.
#[derive(Default)]
struct Told {
    asked: u64,
    last: Elapsed,
    /// Openings begun, by second.
    begun: BTreeMap<u64, u32>,
    most_under_way: u32,
    longest_wait: Duration,
}

impl Told {
    fn begins(&mut self, at: Elapsed, admission: &Admission) {
        self.last = self.last.max(at);
        *self.begun.entry(at.0.as_secs()).or_default() += 1;
        self.most_under_way = self.most_under_way.max(admission.under_way());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Over,
    Comes,
}

/// `edges` come within `within`; each opening takes `takes`. An edge comes when it was told, or up to a tenth later.
fn crowd(edges: u32, within: Duration, takes: Duration, seed: u64) -> Told {
    let mut admission = Admission::new(LIMITS);
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
    };
    let mut events: BinaryHeap<Reverse<(Elapsed, Event)>> = BinaryHeap::new();
    for _ in 0..edges {
        events.push(Reverse((Elapsed(within.mul_f64(random())), Event::Comes)));
    }
    let mut told = Told::default();
    let mut waiting: VecDeque<Elapsed> = VecDeque::new();
    while let Some(Reverse((now, event))) = events.pop() {
        if event == Event::Over {
            admission.left(Some(takes));
            if let Some(since) = waiting.pop_front() {
                let begins = now.plus(admission.turn(now));
                told.longest_wait = told.longest_wait.max(begins.since(since));
                told.begins(begins, &admission);
                events.push(Reverse((begins.plus(takes), Event::Over)));
            }
            continue;
        }
        told.asked += 1;
        match admission.ask(now, random()) {
            Verdict::Enter => {
                told.begins(now, &admission);
                events.push(Reverse((now.plus(takes), Event::Over)));
            }
            // Nobody is under way only where the pace forbids it, and then nobody's end wakes the queue.
            Verdict::Wait if admission.under_way() == 0 => {
                let begins = now.plus(admission.turn(now));
                told.begins(begins, &admission);
                events.push(Reverse((begins.plus(takes), Event::Over)));
            }
            Verdict::Wait => waiting.push_back(now),
            Verdict::Later(wait) => {
                let late = wait.mul_f64(random() / 10.0);
                events.push(Reverse((now.plus(wait).plus(late), Event::Comes)));
            }
        }
    }
    told
}

#[test]
fn ten_thousand_that_come_together_get_in_at_the_pace_allowed() {
    let told = crowd(10_000, Duration::from_secs(1), Duration::from_millis(20), 1);
    assert!(told.last < Elapsed::from_millis(40_000), "the last one got in after {:?}", told.last.0);
    assert!(told.asked < 20_000, "they asked {} times", told.asked);
    assert!(told.longest_wait < Duration::from_secs(10), "one waited {:?}", told.longest_wait);
}

#[test]
fn an_api_server_that_is_slow_makes_the_waits_longer_and_not_more() {
    // 64 under way of half a second each: 128 a second, whatever the limit says.
    let told = crowd(5_000, Duration::from_secs(1), Duration::from_millis(500), 2);
    assert!(told.last < Elapsed::from_millis(90_000), "the last one got in after {:?}", told.last.0);
    assert!(told.asked < 12_000, "they asked {} times", told.asked);
}

#[test]
fn a_few_do_not_wait_and_the_wait_grows_with_the_crowd() {
    let mut admission = Admission::new(LIMITS);
    let now = Elapsed::from_millis(5_000);
    for _ in 0..LIMITS.under_way {
        assert_eq!(admission.ask(now, 0.5), Verdict::Enter);
    }
    assert!(!admission.is_crowded(now));
    let queue = (0..10_000).take_while(|_| admission.ask(now, 0.5) == Verdict::Wait).count();
    assert!((1_000..5_000).contains(&queue), "{queue} wait");
    let mut wait = || match admission.ask(now, 0.5) {
        Verdict::Later(wait) => wait,
        verdict @ (Verdict::Enter | Verdict::Wait) => panic!("{verdict:?}, and the queue is full"),
    };
    let first = wait();
    let last = (0..2_000).map(|_| wait()).last().unwrap();
    assert!(admission.is_crowded(now) && !admission.is_crowded(now.plus(last.mul_f64(1.3))));
    assert!(first < Duration::from_secs(9) && last > Duration::from_secs(11), "{first:?} {last:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn nobody_is_left_out_and_no_limit_is_passed(
        edges in 1_u32..3_000,
        within in 1_u64..5_000,
        takes in 1_u64..1_000,
        seed in any::<u64>(),
    ) {
        let told = crowd(edges, Duration::from_millis(within), Duration::from_millis(takes), seed);
        prop_assert_eq!(told.begun.values().sum::<u32>(), edges);
        prop_assert!(told.most_under_way <= LIMITS.under_way);
        // A burst may lie on either side of a second's end.
        prop_assert!(told.begun.values().all(|begun| *begun <= LIMITS.per_second + LIMITS.burst));
    }
}
