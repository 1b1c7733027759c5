//! What is to be looked at, and when: each key once, whatever happens meanwhile, and ever more rarely where it fails. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kit::{Backoff, Elapsed};

/// First wait after a failure, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(5));

/// Keys with the times they are due.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    by_time: BTreeSet<(Elapsed, K)>,
    by_key: BTreeMap<K, Elapsed>,
    /// Being looked at; what is marked meanwhile waits.
    busy: BTreeSet<K>,
    failing: BTreeMap<K, Backoff>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            by_time: BTreeSet::new(),
            by_key: BTreeMap::new(),
            busy: BTreeSet::new(),
            failing: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// To be looked at at that time, or earlier where it is due earlier.
    pub(crate) fn mark(&mut self, key: &K, at: Elapsed) {
        if self.by_key.get(key).is_some_and(|due| *due <= at) {
            return;
        }
        if let Some(due) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(due, key.clone()));
        }
        self.by_time.insert((at, key.clone()));
    }

    /// The next one to be looked at now; it is busy until [`Queue::done`] or [`Queue::failed`].
    pub(crate) fn next(&mut self, now: Elapsed) -> Option<K> {
        let mut due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        let (at, key) = due.find(|(_, key)| !self.busy.contains(key))?.clone();
        self.by_time.remove(&(at, key.clone()));
        self.by_key.remove(&key);
        self.busy.insert(key.clone());
        Some(key)
    }

    /// When the next one is due that is not busy.
    pub(crate) fn due(&self) -> Option<Elapsed> {
        self.by_time.iter().find(|(_, key)| !self.busy.contains(key)).map(|(at, _)| *at)
    }

    /// Looked at.
    pub(crate) fn done(&mut self, key: &K) {
        self.busy.remove(key);
        self.failing.remove(key);
    }

    /// To be looked at again, later each time.
    pub(crate) fn failed(&mut self, key: &K, now: Elapsed, random: f64) {
        self.busy.remove(key);
        let backoff = self.failing.entry(key.clone()).or_insert_with(|| Backoff::new(RETRY.0, RETRY.1));
        let at = now.plus(backoff.next(random));
        self.mark(key, at);
    }

    /// Nothing is to be looked at any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Elapsed {
        Elapsed::from_millis(millis)
    }

    #[test]
    fn the_earliest_time_counts_and_a_busy_key_waits() {
        let mut queue = Queue::default();
        queue.mark(&"a", at(10));
        queue.mark(&"a", at(5));
        queue.mark(&"a", at(20));
        assert_eq!((queue.due(), queue.next(at(4))), (Some(at(5)), None));
        assert_eq!(queue.next(at(5)), Some("a"));
        queue.mark(&"a", at(6));
        assert_eq!((queue.next(at(9)), queue.due()), (None, None), "it is being looked at");
        queue.done(&"a");
        assert_eq!(queue.next(at(9)), Some("a"), "what happened meanwhile is not lost");
        queue.done(&"a");
        assert_eq!((queue.next(at(99)), queue.due()), (None, None));
    }

    #[test]
    fn failures_wait_longer_each_time_and_hold_up_nobody() {
        let mut queue = Queue::default();
        queue.mark(&"a", at(0));
        queue.mark(&"b", at(1));
        let mut now = at(1);
        let mut before = Duration::ZERO;
        for _ in 0..5 {
            assert_eq!(queue.next(now), Some("a"));
            queue.failed(&"a", now, 1.0);
            assert_eq!(queue.next(now), Some("b"));
            queue.done(&"b");
            queue.mark(&"b", now);
            let wait = queue.by_key["a"].since(now);
            assert!(wait > before);
            before = wait;
            now = now.plus(wait);
            // Due since earlier than "a": take it out of the way.
            assert_eq!(queue.next(now), Some("b"));
            queue.done(&"b");
            queue.mark(&"b", now.plus(Duration::from_millis(1)));
            now = now.plus(Duration::from_millis(1));
        }
    }
}
