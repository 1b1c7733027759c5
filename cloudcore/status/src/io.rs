//! Takes reports, starts their writes, and answers.

mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudcore_index::Index;
use cloudcore_kube::Client;
use kit::tasks::Group;
use kit::{Clock, Elapsed, Shutdown};
use thiserror::Error;
use tokio::sync::Notify;
use wire::{
    DownFrame, Entry, EntryAck, Kind, Rejected, Report, ReportAck, ReportInventory, ReportRefused,
    WantReports,
};

use crate::compare::Compare;
use crate::metrics::{Metrics, WriteLabel};
use crate::queue::{Failure, Key, Queue};
use write::{Job, Outcome, Work};

/// Writes under way at once, over all nodes.
const WORKERS: usize = 16;

/// Why reports are no longer taken. There is no such reason yet: the API server being away is none.
#[derive(Debug, Error)]
pub enum StatusError {}

/// Tells whether a session still holds its node's Lease.
pub trait Fence: Send + Sync + 'static {
    /// Whether it does. The error is for people; it means that it cannot be told now.
    fn holds(&self, node: &str, epoch: u64) -> impl Future<Output = Result<bool, String>> + Send;
}

/// A session as far as its reports go.
#[derive(Clone)]
pub struct Session {
    /// Name of the node.
    pub node: Arc<str>,
    /// Number of the session.
    pub epoch: u64,
    /// Id of the edge's store.
    pub store_id: Arc<str>,
    /// Sends an answer; never blocks.
    pub reply: Arc<dyn Fn(DownFrame) + Send + Sync>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("node", &self.node)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Takes reports. Clones are one and the same.
#[derive(Debug)]
pub struct Status<F> {
    inner: Arc<Inner<F>>,
}

impl<F> Clone for Status<F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

#[derive(Debug)]
struct Inner<F> {
    client: Client,
    index: Index,
    fence: F,
    clock: Clock,
    metrics: Metrics,
    state: Mutex<State>,
    wake: Notify,
    workers: Group,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Job>,
    /// Writes under way.
    running: usize,
    nodes: BTreeMap<Arc<str>, Node>,
}

#[derive(Debug)]
struct Node {
    session: Session,
    compare: Compare,
}

impl<F: Fence> Status<F> {
    /// Takes reports and writes them, once [`Status::run`] runs.
    pub fn new(client: Client, index: Index, fence: F, clock: Clock, metrics: Metrics) -> Self {
        let inner = Inner {
            client,
            index,
            fence,
            clock,
            metrics,
            state: Mutex::default(),
            wake: Notify::new(),
            // Room for those that have finished and not yet left.
            workers: Group::new("status", WORKERS * 2),
        };
        Self { inner: Arc::new(inner) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session opened; `digest` and `count` are those of its last reports.
    pub fn opened(&self, session: Session, digest: wire::Digest, count: u32) {
        let shown = self.inner.index.statuses(&session.node);
        let mut compare = Compare::default();
        let equal = compare.opened(digest, count, &shown);
        let reply = Arc::clone(&session.reply);
        let mut state = self.state();
        // What an older session left is that edge's to say again.
        state.queue.forget(&session.node);
        state.nodes.insert(Arc::clone(&session.node), Node { session, compare });
        drop(state);
        if !equal {
            reply(WantReports { inventory: true, uids: Vec::new() }.into());
        }
    }

    /// A session ended: nothing of it is written any more.
    pub fn closed(&self, node: &str, epoch: u64) {
        let mut state = self.state();
        if state.nodes.get(node).is_some_and(|node| node.session.epoch == epoch) {
            state.nodes.remove(node);
            state.queue.forget(node);
        }
    }

    /// The edge tells what it last reported.
    pub fn report_inventory(&self, session: &Session, inventory: &ReportInventory) {
        let shown = self.inner.index.statuses(&session.node);
        let mut state = self.state();
        let Some(node) = state.nodes.get_mut(&session.node) else { return };
        let uids = node.compare.inventory(&inventory.items, &shown);
        drop(state);
        self.want(session, uids);
    }

    /// The cluster shows another status of these.
    pub fn statuses_changed(&self, session: &Session, changed: &BTreeSet<(Kind, Arc<str>)>) {
        self.look(&session.node, changed.iter().cloned().collect());
    }

    fn want(&self, session: &Session, uids: Vec<String>) {
        if !uids.is_empty() {
            self.inner.metrics.wanted.inc_by(uids.len() as u64);
            (session.reply)(WantReports { inventory: false, uids }.into());
        }
    }

    /// Compares keys of a node, and asks for those that differ and are not on their way already.
    fn look(&self, name: &Arc<str>, keys: Vec<(Kind, Arc<str>)>) {
        let now = self.inner.clock.elapsed();
        let shown = |(kind, uid): (Kind, Arc<str>)| {
            let object = match kind {
                Kind::Node => self.inner.index.named(kind, "", name),
                Kind::Pod | Kind::Service | Kind::ServiceAccount | Kind::ConfigMap | Kind::Secret => {
                    self.inner.index.object(kind, &uid)
                }
            };
            let uid = object.as_ref().map_or(uid, |object| Arc::clone(&object.uid));
            (kind, uid, object.and_then(|object| object.status_hash()))
        };
        let hashes: Vec<_> = keys.into_iter().map(shown).collect();
        let mut state = self.state();
        let State { queue, nodes, .. } = &mut *state;
        let Some(node) = nodes.get_mut(name) else { return };
        let mut wanted = Vec::new();
        for (kind, uid, hash) in hashes {
            if queue.has(name, &key_of(kind, &uid)) {
                node.compare.postpone(kind, &uid, now);
            } else if node.compare.shown(kind, &uid, hash, now, kit::random::unit()) {
                wanted.push(uid.to_string());
                // The edge may still know its Node by no UID.
                wanted.extend((kind == Kind::Node).then(String::new));
            }
        }
        let session = node.session.clone();
        drop(state);
        self.want(&session, wanted);
        self.inner.wake.notify_one();
    }

    /// A report. Refused at once where it is not this node's to give.
    pub fn report(&self, session: &Session, report: &Report) {
        let id = report.id;
        match Work::of_report(&self.inner.index, &session.node, report) {
            Ok(Some((key, work))) => self.push(session, key, work),
            // What it asks for is so already.
            Ok(None) => (session.reply)(ReportAck { ids: vec![id] }.into()),
            Err(reason) => {
                tracing::warn!(node = %session.node, report = id, reason, "report refused");
                (session.reply)(ReportRefused { id, reason }.into());
            }
        }
    }

    /// A journal entry.
    pub fn entry(&self, session: &Session, entry: &Entry) {
        match Work::of_entry(&self.inner.index, session, entry) {
            Ok(work) => self.push(session, Key::Entry(entry.seq), work),
            Err(reason) => {
                tracing::warn!(node = %session.node, seq = entry.seq, reason, "journal entry refused");
                (session.reply)(refused_entry(entry.seq, reason));
            }
        }
    }

    /// An object that the edge cannot apply becomes an Event.
    pub fn rejected(&self, session: &Session, rejected: &Rejected) {
        let now = self.inner.clock.wall();
        // Keys of entries count from 1; these come from above and never meet them.
        let key = Key::Entry(u64::MAX - u64::try_from(now.0).unwrap_or(0));
        self.push(session, key, Work::of_rejection(rejected, &session.node, now));
    }

    fn push(&self, session: &Session, key: Key, work: Work) {
        let job = Job { session: session.clone(), work, tries: 0 };
        let taken = self.state().queue.push(&session.node, key, job);
        if !taken {
            self.inner.metrics.overflows.inc();
        }
        self.inner.wake.notify_one();
    }

    /// Starts writes as they become possible, until shutdown is asked for.
    pub async fn run(&self, shutdown: Shutdown) -> Result<(), StatusError> {
        loop {
            let due = self.start();
            let clock = &self.inner.clock;
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = self.inner.wake.notified() => {}
                () = clock.sleep_until(due.unwrap_or_default()), if due.is_some() => {}
            }
        }
    }

    /// Starts what may start. Answers when there is something to do next.
    fn start(&self) -> Option<Elapsed> {
        let now = self.inner.clock.elapsed();
        let due: Vec<_> = {
            let state = self.state();
            state.nodes.iter().map(|(name, node)| (Arc::clone(name), node.compare.due(now))).collect()
        };
        for (name, keys) in due.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            self.look(&name, keys);
        }
        while let Some((node, key, job)) = self.next(now) {
            let status = self.clone();
            self.inner.workers.spawn(async move {
                let outcome = write::perform(
                    &status.inner.client,
                    &status.inner.index,
                    &status.inner.fence,
                    &status.inner.clock,
                    &job,
                )
                .await;
                status.finish(&node, key, job, outcome);
            });
        }
        let state = self.state();
        let looks = state.nodes.values().filter_map(|node| node.compare.next_due());
        looks.chain(state.queue.due(now)).min()
    }

    fn next(&self, now: Elapsed) -> Option<(Arc<str>, Key, Job)> {
        let mut state = self.state();
        if state.running >= WORKERS {
            return None;
        }
        let next = state.queue.next(now)?;
        state.running += 1;
        Some(next)
    }

    fn finish(&self, node: &Arc<str>, key: Key, mut job: Job, outcome: Outcome) {
        let now = self.inner.clock.elapsed();
        let count = |result| {
            self.inner.metrics.patches.get_or_create(&WriteLabel { kind: job.work.kind(), result }).inc();
        };
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
        // Of a session that is over: what it left is its edge's to say again.
        if state.nodes.get(node).is_none_or(|node| node.session.epoch != job.session.epoch) {
            drop(state);
            self.inner.wake.notify_one();
            return;
        }
        match outcome {
            Outcome::Written => {
                count("ok");
                state.queue.done(node, &key);
                if let (Some((kind, uid, hash)), Some(known)) =
                    (job.work.reported(&self.inner.index, node), state.nodes.get_mut(node))
                {
                    known.compare.written(kind, &uid, hash, now);
                }
                drop(state);
                answer(&job, None);
            }
            Outcome::Refused(reason) => {
                count("refused");
                state.queue.done(node, &key);
                drop(state);
                tracing::warn!(%node, what = job.work.kind(), reason, "the cluster refused a report");
                answer(&job, Some(reason));
            }
            Outcome::Superseded => {
                state.queue.done(node, &key);
                drop(state);
                tracing::info!(%node, epoch = job.session.epoch, "a newer session holds the node; nothing is written");
            }
            Outcome::Again { reason, after } => {
                count("retried");
                // One line at first, then only now and then.
                if job.tries.is_power_of_two() || job.tries == 0 {
                    tracing::warn!(%node, what = job.work.kind(), reason, tries = job.tries, "report waits to be written");
                }
                job.tries = job.tries.saturating_add(1);
                state.queue.again(
                    node,
                    key,
                    job,
                    Failure { now, at_least: after, random: kit::random::unit() },
                );
                drop(state);
            }
        }
        self.inner.wake.notify_one();
    }
}

fn key_of(kind: Kind, uid: &Arc<str>) -> Key {
    if kind == Kind::Node { Key::Node } else { Key::Pod(Arc::clone(uid)) }
}

fn refused_entry(seq: u64, reason: String) -> DownFrame {
    EntryAck { seqs: vec![seq], refused: vec![seq], reasons: vec![reason] }.into()
}

/// Tells the edge what came of its report or entry.
fn answer(job: &Job, refusal: Option<String>) {
    let frame = match (&job.work, refusal) {
        (Work::Rejection { .. }, _) => return,
        (Work::Pod { id, .. } | Work::Node { id, .. }, None) => ReportAck { ids: vec![*id] }.into(),
        (Work::Pod { id, .. } | Work::Node { id, .. }, Some(reason)) => {
            ReportRefused { id: *id, reason }.into()
        }
        (Work::Entry { seq, .. }, None) => {
            EntryAck { seqs: vec![*seq], refused: Vec::new(), reasons: Vec::new() }.into()
        }
        (Work::Entry { seq, .. }, Some(reason)) => refused_entry(*seq, reason),
    };
    (job.session.reply)(frame);
}
