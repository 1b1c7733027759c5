//! The queue against a model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kit::Elapsed;
use proptest::prelude::*;

use crate::queue::{Limits, Queue, Started, Supersede};

/// Values of one key in the order they came; the last is the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Values(Vec<u32>);

impl Supersede for Values {
    fn supersede(&mut self, mut older: Self) {
        older.0.append(&mut self.0);
        self.0 = older.0;
    }
}

const LIMITS: Limits = Limits { running: 3, running_per_node: 2, keys_per_node: 3 };

fn queue() -> Queue<u8, Values> {
    let mut queue = Queue::new(LIMITS);
    for node in ["a", "b"] {
        queue.open(&Arc::from(node), 1);
    }
    queue
}

#[test]
fn the_latest_wins_and_none_is_lost_sight_of() {
    let mut queue = queue();
    for value in 1..=3 {
        queue.push("a", 1, Values(vec![value])).unwrap();
    }
    let started = queue.next(Elapsed::default()).unwrap();
    assert_eq!(started.item, Values(vec![1, 2, 3]));
    // While it is under way the key waits.
    queue.push("a", 1, Values(vec![4])).unwrap();
    assert_eq!(queue.next(Elapsed::default()), None);
    queue.retry(started, Elapsed::default(), 0.0, Duration::from_secs(9));
    // The time asked for, and the back-off on top of it.
    assert_eq!(queue.next(Elapsed::from_millis(9_124)), None);
    assert_eq!(queue.deadline(), Some(Elapsed::from_millis(9_125)));
    let again = queue.next(Elapsed::from_millis(9_125)).unwrap();
    assert_eq!((again.item, again.failures), (Values(vec![1, 2, 3, 4]), 1));
    queue.finish("a", 1, &1);
    assert!(queue.is_idle("a"));
}

#[test]
fn a_node_with_much_to_say_does_not_hold_up_another() {
    let mut queue = queue();
    for key in 0..3 {
        queue.push("a", key, Values(vec![0])).unwrap();
    }
    queue.push("b", 0, Values(vec![0])).unwrap();
    let nodes: Vec<_> = std::iter::from_fn(|| queue.next(Elapsed::default())).map(|s| s.node).collect();
    assert_eq!(nodes.iter().map(|node| &**node).collect::<Vec<_>>(), ["a", "b", "a"]);
    assert!(queue.push("a", 9, Values(vec![0])).is_err(), "a node's keys are bounded");
    assert!(queue.push("c", 0, Values(vec![0])).is_err(), "no session, no work");
}

#[test]
fn a_node_that_asks_too_much_waits_and_no_other_does() {
    let mut queue = queue();
    queue.push("a", 1, Values(vec![1])).unwrap();
    queue.push("b", 1, Values(vec![1])).unwrap();
    queue.hold("a", 1, Elapsed::from_millis(5_000));
    queue.hold("a", 1, Elapsed::from_millis(3_000));
    queue.hold("b", 7, Elapsed::from_millis(9_000));
    assert_eq!(queue.next(Elapsed::default()).map(|started| started.node.to_string()), Some("b".to_owned()));
    assert_eq!(queue.next(Elapsed::from_millis(4_999)), None);
    assert_eq!(queue.deadline(), Some(Elapsed::from_millis(5_000)));
    assert!(queue.next(Elapsed::from_millis(5_000)).is_some());
    assert_eq!((queue.len(), queue.running()), (2, 2));
}

#[test]
fn what_ends_after_its_session_makes_room_and_nothing_else() {
    let mut queue = queue();
    queue.push("a", 1, Values(vec![1])).unwrap();
    let old = queue.next(Elapsed::default()).unwrap();
    queue.open(&Arc::from("a"), 2);
    queue.push("a", 1, Values(vec![2])).unwrap();
    let new = queue.next(Elapsed::default()).unwrap();
    assert_eq!((new.epoch, &new.item), (2, &Values(vec![2])));
    queue.retry(old, Elapsed::default(), 0.0, Duration::ZERO);
    queue.close("a", 1);
    assert!(queue.is_open("a", 2), "the old session's end does not close the new one");
    queue.finish("a", 2, &1);
    assert!(queue.is_idle("a"));
    queue.close("a", 2);
    assert!(queue.push("a", 1, Values(vec![3])).is_err());
}

#[derive(Debug, Clone)]
enum Act {
    Push(bool, u8),
    Next,
    Finish(usize),
    Retry(usize, f64),
    Wait(u16),
    Reopen(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<bool>(), 0_u8..3).prop_map(|(node, key)| Act::Push(node, key)),
        4 => Just(Act::Next),
        2 => any::<usize>().prop_map(Act::Finish),
        2 => (any::<usize>(), 0.0_f64..1.0).prop_map(|(which, random)| Act::Retry(which, random)),
        1 => (0_u16..2000).prop_map(Act::Wait),
        1 => any::<bool>().prop_map(Act::Reopen),
    ]
}

fn name(node: bool) -> &'static str {
    if node { "a" } else { "b" }
}

/// What is under way keeps to the limits, in order per key.
fn check_running(running: &[Started<u8, Values>], epochs: &BTreeMap<&str, u64>) -> Result<(), TestCaseError> {
    prop_assert!(running.len() <= LIMITS.running);
    for (node, epoch) in epochs {
        let own: Vec<u8> =
            running.iter().filter(|s| &*s.node == *node && s.epoch == *epoch).map(|s| s.key).collect();
        prop_assert!(own.len() <= LIMITS.running_per_node);
        prop_assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), own.len(), "one of a key at once");
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_latest_value_is_done_in_order_within_the_limits(acts in proptest::collection::vec(act(), 1..200)) {
        let mut queue = queue();
        let mut epochs = BTreeMap::from([("a", 1_u64), ("b", 1)]);
        let mut running: Vec<Started<u8, Values>> = Vec::new();
        // Per node and key: values pushed and not done yet in this session.
        let mut open: BTreeMap<(&str, u8), Vec<u32>> = BTreeMap::new();
        let mut now = Elapsed::default();
        let mut value = 0;
        let settle = |started: &Started<u8, Values>, epochs: &BTreeMap<&str, u64>, open: &mut BTreeMap<(&str, u8), Vec<u32>>| {
            if epochs[&*started.node] != started.epoch { return; }
            let node = if &*started.node == "a" { "a" } else { "b" };
            if let Some(values) = open.get_mut(&(node, started.key)) {
                values.retain(|value| !started.item.0.contains(value));
                if values.is_empty() { open.remove(&(node, started.key)); }
            }
        };
        for act in acts {
            match act {
                Act::Push(node, key) => {
                    value += 1;
                    if queue.push(name(node), key, Values(vec![value])).is_ok() {
                        open.entry((name(node), key)).or_default().push(value);
                    }
                }
                Act::Next => {
                    if let Some(started) = queue.next(now) {
                        // Exactly what waits of the key, oldest first, never without the latest that was there.
                        prop_assert!(started.item.0.is_sorted());
                        running.push(started);
                    }
                    check_running(&running, &epochs)?;
                }
                Act::Finish(which) if !running.is_empty() => {
                    let started = running.swap_remove(which % running.len());
                    queue.finish(&started.node, started.epoch, &started.key);
                    settle(&started, &epochs, &mut open);
                }
                Act::Retry(which, random) if !running.is_empty() => {
                    let started = running.swap_remove(which % running.len());
                    queue.retry(started, now, random, Duration::ZERO);
                }
                Act::Finish(_) | Act::Retry(..) => {}
                Act::Wait(millis) => now = now.plus(Duration::from_millis(millis.into())),
                Act::Reopen(node) => {
                    let epoch = epochs.get_mut(name(node)).unwrap();
                    *epoch += 1;
                    queue.open(&Arc::from(name(node)), *epoch);
                    open.retain(|(of, _), _| *of != name(node));
                }
            }
            for node in ["a", "b"] {
                let keys: BTreeSet<u8> = open.keys().filter(|(of, _)| *of == node).map(|(_, key)| *key).collect();
                prop_assert_eq!(queue.keys(node), keys);
            }
        }
        // Left alone, all of it gets done.
        for started in running.drain(..) {
            queue.finish(&started.node, started.epoch, &started.key);
            settle(&started, &epochs, &mut open);
        }
        while let Some(at) = queue.deadline() {
            now = now.max(at);
            let started = queue.next(now);
            prop_assert!(started.is_some(), "something is due and nothing starts");
            let started = started.unwrap();
            queue.finish(&started.node, started.epoch, &started.key);
            settle(&started, &epochs, &mut open);
        }
        prop_assert!(open.is_empty());
        prop_assert!(queue.next(now.plus(Duration::from_hours(1))).is_none());
    }
}
