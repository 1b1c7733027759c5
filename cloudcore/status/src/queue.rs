//! Which write comes next. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kit::{Backoff, Elapsed};

/// Writes of one node under way at once: one node must not take all workers.
const PER_NODE: usize = 4;
/// Journal entries of one node that may wait.
const MAX_ENTRIES: usize = 4096;
/// First wait after a failure, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// What a write is for. A node's own status comes before its pods', and those before its journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The Node.
    Node,
    /// A pod, by UID.
    Pod(Arc<str>),
    /// A journal entry, by sequence number.
    Entry(u64),
}

/// A write that failed.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// When.
    pub now: Elapsed,
    /// Not to be tried again before so long.
    pub at_least: Duration,
    /// For jitter, in [0, 1).
    pub random: f64,
}

#[derive(Debug)]
struct Waiting<J> {
    job: J,
    not_before: Elapsed,
}

#[derive(Debug)]
struct NodeQueue<J> {
    waiting: BTreeMap<Key, Waiting<J>>,
    under_way: BTreeSet<Key>,
    /// Keys that failed last time.
    failing: BTreeMap<Key, Backoff>,
}

impl<J> Default for NodeQueue<J> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), under_way: BTreeSet::new(), failing: BTreeMap::new() }
    }
}

/// Jobs by node and key.
#[derive(Debug)]
pub struct Queue<J> {
    nodes: BTreeMap<Arc<str>, NodeQueue<J>>,
    /// Whose turn it is.
    turns: VecDeque<Arc<str>>,
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self { nodes: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<J> Queue<J> {
    /// Adds a job; one that waits under the same key is replaced. `false` where too many entries wait.
    pub fn push(&mut self, node: &Arc<str>, key: Key, job: J) -> bool {
        if !self.nodes.contains_key(node) {
            self.turns.push_back(Arc::clone(node));
        }
        let queue = self.nodes.entry(Arc::clone(node)).or_default();
        if let Some(waiting) = queue.waiting.get_mut(&key) {
            waiting.job = job;
            return true;
        }
        let is_entry = matches!(key, Key::Entry(_));
        if is_entry && queue.waiting.len() >= MAX_ENTRIES {
            return false;
        }
        queue.waiting.insert(key, Waiting { job, not_before: Elapsed::default() });
        true
    }

    /// The next job that may start. It is under way until [`Queue::done`] or [`Queue::again`].
    pub fn next(&mut self, now: Elapsed) -> Option<(Arc<str>, Key, J)> {
        for _ in 0..self.turns.len() {
            let node = self.turns.pop_front()?;
            self.turns.push_back(Arc::clone(&node));
            let Some(queue) = self.nodes.get_mut(&node) else { continue };
            if queue.under_way.len() >= PER_NODE {
                continue;
            }
            let key = queue
                .waiting
                .iter()
                .find(|(key, waiting)| waiting.not_before <= now && !queue.under_way.contains(key))
                .map(|(key, _)| key.clone());
            if let Some(key) = key
                && let Some(waiting) = queue.waiting.remove(&key)
            {
                queue.under_way.insert(key.clone());
                return Some((node, key, waiting.job));
            }
        }
        None
    }

    /// When the next job that waits for a time may start; `None` where none does.
    pub fn due(&self, now: Elapsed) -> Option<Elapsed> {
        let waiting = self.nodes.values().flat_map(|queue| {
            queue.waiting.iter().filter(|(key, _)| !queue.under_way.contains(key)).map(|(_, waiting)| waiting)
        });
        waiting.map(|waiting| waiting.not_before).filter(|at| *at > now).min()
    }

    /// A job is finished for good.
    pub fn done(&mut self, node: &str, key: &Key) {
        if let Some(queue) = self.nodes.get_mut(node) {
            queue.under_way.remove(key);
            queue.failing.remove(key);
        }
        self.tidy(node);
    }

    /// A job failed and is to be tried again, unless a newer one of its key waits: that one then waits as long.
    pub fn again(&mut self, node: &str, key: Key, job: J, failure: Failure) {
        let Some(queue) = self.nodes.get_mut(node) else { return };
        // Its session ended in the meantime: the edge will say it again.
        if !queue.under_way.remove(&key) {
            return;
        }
        let backoff = queue.failing.entry(key.clone()).or_insert(Backoff::new(RETRY.0, RETRY.1));
        let not_before = failure.now.plus(backoff.next(failure.random).max(failure.at_least));
        queue.waiting.entry(key).or_insert(Waiting { job, not_before }).not_before = not_before;
    }

    /// Whether something of this key waits or is under way.
    pub fn has(&self, node: &str, key: &Key) -> bool {
        self.nodes
            .get(node)
            .is_some_and(|queue| queue.waiting.contains_key(key) || queue.under_way.contains(key))
    }

    /// Forgets what waits of a node, and that anything is under way.
    pub fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
        self.turns.retain(|turn| **turn != *node);
    }

    fn tidy(&mut self, node: &str) {
        if self.nodes.get(node).is_some_and(|queue| queue.waiting.is_empty() && queue.under_way.is_empty()) {
            self.forget(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pod(n: u8) -> Key {
        Key::Pod(format!("u{n}").into())
    }

    #[test]
    fn nodes_take_turns_and_the_last_value_wins() {
        let mut queue = Queue::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        for n in 0..10 {
            queue.push(&a, pod(n), 1);
        }
        queue.push(&b, pod(0), 1);
        queue.push(&b, pod(0), 2);
        queue.push(&a, Key::Node, 3);
        let now = Elapsed::default();
        let order: Vec<_> = std::iter::from_fn(|| queue.next(now))
            .map(|(node, key, job)| (node.to_string(), key, job))
            .collect();
        assert_eq!(order[0], ("a".to_owned(), Key::Node, 3));
        assert_eq!(order[1], ("b".to_owned(), pod(0), 2));
        assert_eq!(order.len(), 1 + PER_NODE, "one node takes no more than its share");
    }

    #[test]
    fn a_failed_key_waits_and_its_newer_value_too() {
        let mut queue = Queue::default();
        let a: Arc<str> = "a".into();
        queue.push(&a, pod(0), 1);
        let now = Elapsed::default();
        let (_, key, job) = queue.next(now).unwrap();
        queue.push(&a, pod(0), 2);
        assert_eq!(queue.next(now), None, "never two of one key at once");
        queue.again("a", key, job, Failure { now, at_least: Duration::from_secs(1), random: 0.5 });
        assert_eq!(queue.next(now), None);
        let due = queue.due(now).unwrap();
        assert_eq!(due, now.plus(Duration::from_secs(1)));
        assert_eq!(queue.next(due).unwrap().2, 2);
    }

    proptest! {
        /// Every key's last value is written, never two of a key at once, whatever fails.
        #[test]
        fn nothing_is_lost(steps in proptest::collection::vec((0_u8..3, 0_u8..3, 0_u8..4), 0..80)) {
            let mut queue = Queue::default();
            let mut now = Elapsed::default();
            let mut last = BTreeMap::new();
            let mut written = BTreeMap::new();
            let mut running = Vec::new();
            for (count, (node, key, what)) in steps.into_iter().enumerate() {
                let node: Arc<str> = format!("n{node}").into();
                match what {
                    0 | 1 => {
                        queue.push(&node, pod(key), count);
                        last.insert((node, pod(key)), count);
                    }
                    2 => running.extend(queue.next(now)),
                    _ => if let Some((node, key, job)) = running.pop() {
                        queue.again(&node, key, job, Failure { now, at_least: Duration::ZERO, random: 0.5 });
                    },
                }
                let mut keys: Vec<_> = running.iter().map(|(node, key, _)| (node, key)).collect();
                keys.sort();
                keys.dedup();
                prop_assert_eq!(keys.len(), running.len());
            }
            loop {
                for (node, key, job) in running.drain(..) {
                    queue.done(&node, &key);
                    written.insert((node, key), job);
                }
                running.extend(queue.next(now));
                if running.is_empty() {
                    match queue.due(now) {
                        Some(at) => now = at,
                        None => break,
                    }
                }
            }
            prop_assert_eq!(written, last);
            prop_assert!(queue.nodes.is_empty() && queue.turns.is_empty());
        }
    }
}
