//! What waits to be written: the latest per key, in turn between nodes, never two of one key at once. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kit::faults::{self, Fault};
use kit::{Backoff, Elapsed};

/// First wait after a failure that may pass, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// What takes the place of an older one.
pub(crate) trait Supersede {
    /// Takes over what must not be lost of the older one.
    fn supersede(&mut self, older: Self);
}

/// How much at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Under way in all.
    pub(crate) running: usize,
    /// Under way per node.
    pub(crate) running_per_node: usize,
    /// Keys that wait or are under way per node.
    pub(crate) keys_per_node: usize,
}

/// Something to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started<K, T> {
    /// For whom.
    pub(crate) node: Arc<str>,
    /// In which session.
    pub(crate) epoch: u64,
    /// Under which key.
    pub(crate) key: K,
    /// What.
    pub(crate) item: T,
    /// How often it failed already.
    pub(crate) failures: u32,
}

/// The queue of all nodes.
#[derive(Debug)]
pub(crate) struct Queue<K, T> {
    limits: Limits,
    running: usize,
    nodes: BTreeMap<Arc<str>, Node<K, T>>,
    /// Nodes with something that waits, each once.
    turn: VecDeque<Arc<str>>,
}

#[derive(Debug)]
struct Node<K, T> {
    epoch: u64,
    running: usize,
    /// Nothing of the node starts before.
    not_before: Elapsed,
    jobs: BTreeMap<K, Job<T>>,
    /// Keys of `jobs` that wait and are not under way.
    order: VecDeque<K>,
}

#[derive(Debug)]
struct Job<T> {
    waiting: Option<T>,
    running: bool,
    not_before: Elapsed,
    backoff: Backoff,
    failures: u32,
}

impl<T> Job<T> {
    const fn new() -> Self {
        Self {
            waiting: None,
            running: false,
            not_before: Elapsed(Duration::ZERO),
            backoff: Backoff::new(RETRY.0, RETRY.1),
            failures: 0,
        }
    }
}

impl<K: Ord + Clone, T: Supersede> Queue<K, T> {
    /// An empty queue.
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { limits, running: 0, nodes: BTreeMap::new(), turn: VecDeque::new() }
    }

    /// A session opens; what waited for an earlier one of the node is dropped.
    pub(crate) fn open(&mut self, node: &Arc<str>, epoch: u64) {
        let fresh = Node {
            epoch,
            running: 0,
            not_before: Elapsed::default(),
            jobs: BTreeMap::new(),
            order: VecDeque::new(),
        };
        self.nodes.insert(Arc::clone(node), fresh);
        self.turn.retain(|waiting| waiting != node);
    }

    /// A session is over; what waits for it is dropped.
    pub(crate) fn close(&mut self, node: &str, epoch: u64) {
        if self.is_open(node, epoch) {
            self.nodes.remove(node);
            self.turn.retain(|waiting| &**waiting != node);
        }
    }

    /// Whether that session is the node's.
    pub(crate) fn is_open(&self, node: &str, epoch: u64) -> bool {
        self.nodes.get(node).is_some_and(|known| known.epoch == epoch)
    }

    /// Whether something of that key waits or is under way.
    pub(crate) fn is_busy(&self, node: &str, key: &K) -> bool {
        self.nodes.get(node).is_some_and(|known| known.jobs.contains_key(key))
    }

    /// Whether nothing waits or is under way for the node.
    pub(crate) fn is_idle(&self, node: &str) -> bool {
        self.nodes.get(node).is_none_or(|known| known.jobs.is_empty())
    }

    /// Takes something to be done; gives it back where the node has too much waiting, or no session.
    pub(crate) fn push(&mut self, name: &str, key: K, mut item: T) -> Result<(), T> {
        let Some(node) = self.nodes.get_mut(name) else { return Err(item) };
        if !node.jobs.contains_key(&key) && node.jobs.len() >= self.limits.keys_per_node {
            return Err(item);
        }
        let job = node.jobs.entry(key.clone()).or_insert_with(Job::new);
        match job.waiting.take() {
            Some(older) if faults::on(Fault::OlderReportKept) => {
                let newer = std::mem::replace(&mut item, older);
                item.supersede(newer);
            }
            Some(older) => item.supersede(older),
            None if !job.running => node.order.push_back(key),
            None => {}
        }
        job.waiting = Some(item);
        Self::wait_turn(&mut self.turn, name, node);
        Ok(())
    }

    /// The next thing to do; every node in its turn.
    pub(crate) fn next(&mut self, now: Elapsed) -> Option<Started<K, T>> {
        if self.running >= self.limits.running {
            return None;
        }
        for _ in 0..self.turn.len() {
            let name = self.turn.pop_front()?;
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            if node.order.is_empty() {
                continue;
            }
            self.turn.push_back(Arc::clone(&name));
            if node.running >= self.limits.running_per_node || node.not_before > now {
                continue;
            }
            let due = |key: &K| node.jobs.get(key).is_some_and(|job| job.not_before <= now);
            let Some(key) = node.order.iter().position(due).and_then(|at| node.order.remove(at)) else {
                continue;
            };
            let Some(job) = node.jobs.get_mut(&key) else { continue };
            let Some(item) = job.waiting.take() else { continue };
            job.running = true;
            node.running += 1;
            self.running += 1;
            return Some(Started { node: name, epoch: node.epoch, key, item, failures: job.failures });
        }
        None
    }

    /// It is done, for good or ill.
    pub(crate) fn finish(&mut self, name: &str, epoch: u64, key: &K) {
        let Some(node) = Self::end(&mut self.running, &mut self.nodes, name, epoch) else { return };
        if let Some(job) = node.jobs.get_mut(key) {
            if job.waiting.is_some() {
                *job = Job { waiting: job.waiting.take(), ..Job::new() };
                node.order.push_back(key.clone());
            } else {
                node.jobs.remove(key);
            }
        }
        Self::wait_turn(&mut self.turn, name, node);
    }

    /// It failed and is to be tried again, not before so long; a later one of the same key takes its place.
    pub(crate) fn retry(&mut self, started: Started<K, T>, now: Elapsed, random: f64, at_least: Duration) {
        let Started { node: name, epoch, key, item, .. } = started;
        let Some(node) = Self::end(&mut self.running, &mut self.nodes, &name, epoch) else { return };
        if let Some(job) = node.jobs.get_mut(&key) {
            job.running = false;
            job.failures = job.failures.saturating_add(1);
            // On top of what was asked for, or all that were told the same would come back at the same moment.
            job.not_before = now.plus(at_least).plus(job.backoff.next(random));
            match &mut job.waiting {
                Some(newer) => newer.supersede(item),
                None => job.waiting = Some(item),
            }
            node.order.push_back(key);
        }
        Self::wait_turn(&mut self.turn, &name, node);
    }

    /// Starts nothing of the node before then.
    pub(crate) fn hold(&mut self, name: &str, epoch: u64, until: Elapsed) {
        if let Some(node) = self.nodes.get_mut(name).filter(|node| node.epoch == epoch) {
            node.not_before = node.not_before.max(until);
        }
    }

    /// Keys that wait or are under way, of all nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.values().map(|node| node.jobs.len()).sum()
    }

    /// Jobs under way.
    pub(crate) const fn running(&self) -> usize {
        self.running
    }

    /// When something that waits becomes due; `None` where nothing does, or only an end can make room.
    pub(crate) fn deadline(&self) -> Option<Elapsed> {
        if self.running >= self.limits.running {
            return None;
        }
        let with_room = self.turn.iter().filter_map(|name| self.nodes.get(name));
        with_room
            .filter(|node| node.running < self.limits.running_per_node)
            .flat_map(|node| {
                let jobs = node.order.iter().filter_map(|key| node.jobs.get(key));
                jobs.map(|job| job.not_before.max(node.not_before))
            })
            .min()
    }

    /// One fewer is under way. The node, where the session is still its own.
    fn end<'a>(
        running: &mut usize,
        nodes: &'a mut BTreeMap<Arc<str>, Node<K, T>>,
        name: &str,
        epoch: u64,
    ) -> Option<&'a mut Node<K, T>> {
        *running = running.saturating_sub(1);
        let node = nodes.get_mut(name).filter(|node| node.epoch == epoch)?;
        node.running = node.running.saturating_sub(1);
        Some(node)
    }

    fn wait_turn(turn: &mut VecDeque<Arc<str>>, name: &str, node: &Node<K, T>) {
        if !node.order.is_empty() && !turn.iter().any(|waiting| &**waiting == name) {
            turn.push_back(name.into());
        }
    }

    /// Keys known of a node, for checks.
    #[cfg(test)]
    pub(crate) fn keys(&self, node: &str) -> std::collections::BTreeSet<K> {
        self.nodes.get(node).map(|node| node.jobs.keys().cloned().collect()).unwrap_or_default()
    }
}
