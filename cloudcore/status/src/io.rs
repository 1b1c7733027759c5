//! The engine: takes what sessions say, starts writes, answers.

mod settle;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloudcore_index::Index;
use cloudcore_kube::Client;
use kit::faults::{self, Fault};
use kit::tasks::Group;
use kit::{Clock, Elapsed, Shutdown};
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use wire::{Entry, EntryAck, Kind, Rejected, Report, ReportInventory, ReportRefused, WantReports};

use crate::compare::{Compare, Shown};
use crate::event::{self, Draft};
use crate::metrics::{Depth, Metrics};
use crate::origin::Opened;
use crate::queue::{Limits, Queue, Started, Supersede};
use crate::report::{self, Key, Reported};

/// Writes under way, in all and per node; and what may wait for one node.
const LIMITS: Limits = Limits { running: 16, running_per_node: 4, keys_per_node: 4096 };
/// Tasks: more than writes under way, since a task ends a little after its write.
const TASKS: usize = 64;
/// How long writes that are under way at the end may take.
const LAST_WRITES: Duration = Duration::from_secs(3);
/// UIDs in one frame.
const ASK_AT_ONCE: usize = 256;
/// Events about objects that one edge rejected: so many at once, then one in so long.
const REJECTIONS: (u32, Duration) = (20, Duration::from_secs(15));

/// What is done one at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum JobKey {
    Report(Key),
    Rejected(Arc<str>),
    Entry(u64),
}

/// What is done, and since when it is to be.
#[derive(Debug)]
struct Job {
    since: Elapsed,
    task: Task,
}

#[derive(Debug)]
enum Task {
    Report(Box<Reported>),
    /// An Event: of the journal, written as the node; or cloudcore's own.
    Event {
        draft: Box<Draft>,
        seq: Option<u64>,
    },
}

impl Supersede for Job {
    fn supersede(&mut self, older: Self) {
        if let (Task::Report(newer), Task::Report(older)) = (&mut self.task, older.task) {
            newer.ids.extend(older.ids.iter().filter(|id| !newer.ids.contains(id)).collect::<Vec<_>>());
        }
    }
}

impl Job {
    /// Kind of what is written.
    fn kind(&self) -> &'static str {
        match &self.task {
            Task::Report(reported) => reported.object.kind.name(),
            Task::Event { .. } => "Event",
        }
    }
}

/// Reports of all edges, on their way into the cluster. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Statuses {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    index: Index,
    clock: Clock,
    metrics: Metrics,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    queue: Queue<JobKey, Job>,
    sessions: BTreeMap<Arc<str>, Session>,
    /// Not before this anything of `sessions` is to be asked for.
    ask_at: Option<Elapsed>,
}

#[derive(Debug)]
struct Session {
    opened: Opened,
    compare: Compare,
    /// A report found no room: everything is compared again once there is.
    dropped: bool,
    rejections: u32,
    rejections_since: Elapsed,
}

impl State {
    fn session(&mut self, node: &str, epoch: u64) -> Option<&mut Session> {
        self.sessions.get_mut(node).filter(|session| session.opened.epoch == epoch)
    }
}

impl Session {
    fn refuse(&self, ids: &[u64], reason: &str) {
        for &id in ids {
            self.opened.answers.send(ReportRefused { id, reason: reason.to_owned() }.into());
        }
    }

    fn refuse_entry(&self, seq: u64, reason: String) {
        let ack = EntryAck { seqs: vec![seq], refused: vec![seq], reasons: vec![reason] };
        self.opened.answers.send(ack.into());
    }

    fn want_inventory(&self) {
        self.opened.answers.send(WantReports { inventory: true, uids: Vec::new() }.into());
    }

    /// Whether one more rejection may be told of.
    fn may_tell(&mut self, now: Elapsed) -> bool {
        let (burst, refill) = REJECTIONS;
        while self.rejections > 0 && now.since(self.rejections_since) >= refill {
            self.rejections -= 1;
            self.rejections_since = self.rejections_since.plus(refill);
        }
        if self.rejections == 0 {
            self.rejections_since = now;
        }
        let may = self.rejections < burst;
        self.rejections += u32::from(may);
        may
    }
}

impl Statuses {
    /// Nothing is done before [`Statuses::run`] runs.
    pub fn new(client: Client, index: Index, clock: Clock) -> Self {
        let state = State { queue: Queue::new(LIMITS), sessions: BTreeMap::new(), ask_at: None };
        let (metrics, state, wake) = (Metrics::default(), Mutex::new(state), Notify::new());
        Self { inner: Arc::new(Inner { client, index, clock, metrics, state, wake }) }
    }

    /// Registers the counters, and the queue's depth, which is read when asked for.
    pub fn register(&self, registry: &mut Registry) {
        let inner = Arc::downgrade(&self.inner);
        self.inner.metrics.register(registry, move || {
            let inner = inner.upgrade()?;
            let state = inner.state();
            Some(Depth { keys: state.queue.len(), running: state.queue.running() })
        });
    }

    /// Writes until shutdown is asked for, and lets what is under way then come to its end. What waits comes again by
    /// itself, through another replica.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let workers = Group::new("status", TASKS);
        loop {
            let deadline = self.inner.step(&workers);
            let due = async {
                match deadline {
                    Some(at) => self.inner.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            kit::select! {
                () = shutdown.requested() => break,
                () = self.inner.wake.notified() => {}
                () = due => {}
            }
        }
        let ended = async {
            while !workers.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(LAST_WRITES, ended).await.is_err() {
            tracing::warn!(writes = workers.len(), "writes were given up at the end");
        }
        Ok(())
    }

    /// A session is open: where the cluster does not show what the edge last said, the edge is asked.
    pub fn opened(&self, opened: Opened) {
        let shown = self.inner.index.statuses(&opened.node);
        let (compare, differ) = Compare::open(opened.reports_digest, opened.reports_count, shown);
        let (node, epoch) = (Arc::clone(&opened.node), opened.epoch);
        let rejections_since = self.inner.clock.elapsed();
        let session = Session { opened, compare, dropped: false, rejections: 0, rejections_since };
        if differ {
            session.want_inventory();
        }
        let mut state = self.inner.state();
        state.queue.open(&node, epoch);
        state.sessions.insert(node, session);
    }

    /// The session is over: what waits is dropped; the edge keeps it.
    pub fn closed(&self, node: &str, epoch: u64) {
        let mut state = self.inner.state();
        state.queue.close(node, epoch);
        if state.session(node, epoch).is_some() {
            state.sessions.remove(node);
        }
    }

    /// The edge reports.
    pub fn report(&self, node: &str, epoch: u64, report: Report) {
        let (id, kind) = (report.id, kind_label(&report.kind));
        let read = report::read(node, report).and_then(|reported| {
            self.inner.check(node, &reported)?;
            Ok(reported)
        });
        let mut state = self.inner.state();
        let State { queue, sessions, .. } = &mut *state;
        let Some(session) = sessions.get_mut(node).filter(|session| session.opened.epoch == epoch) else {
            return;
        };
        match read {
            Ok(reported) => {
                if faults::on(Fault::ReportAckedBeforeWrite) {
                    session.opened.answers.send(wire::ReportAck { ids: vec![id] }.into());
                }
                let key = reported.key();
                session.compare.told(&key, reported.hash);
                let job = Job { since: self.inner.clock.elapsed(), task: Task::Report(Box::new(reported)) };
                if queue.push(node, JobKey::Report(key), job).is_err() {
                    session.dropped = true;
                    self.inner.metrics.count(kind, "dropped");
                }
                drop(state);
                self.inner.wake.notify_one();
            }
            Err(reason) => {
                tracing::warn!(node, reason, "report is refused");
                self.inner.metrics.count(kind, "refused");
                session.refuse(&[id], &reason);
            }
        }
    }

    /// The edge tells what it last reported.
    pub fn report_inventory(&self, node: &str, epoch: u64, inventory: ReportInventory) {
        let shown = |key: &Key| self.inner.shown(node, key);
        let mut state = self.inner.state();
        let State { queue, sessions, .. } = &mut *state;
        let Some(session) = sessions.get_mut(node).filter(|session| session.opened.epoch == epoch) else {
            return;
        };
        let differ = session.compare.inventory(inventory, shown);
        let differ: Vec<Key> =
            differ.into_iter().filter(|key| !queue.is_busy(node, &JobKey::Report(key.clone()))).collect();
        self.inner.ask(session, &differ);
    }

    /// The cluster shows another status of these objects, as far as the edge owns it.
    pub fn statuses_changed(&self, node: &str, epoch: u64, changed: &BTreeSet<(Kind, Arc<str>)>) {
        let now = self.inner.clock.elapsed();
        let mut state = self.inner.state();
        let Some(session) = state.session(node, epoch) else { return };
        for key in changed {
            let shown = self.inner.shown(node, key);
            session.compare.changed(key, shown, now, kit::random::unit());
        }
        let due = session.compare.deadline();
        state.ask_at = earliest(state.ask_at, due);
        drop(state);
        self.inner.wake.notify_one();
    }

    /// An entry of the edge's journal.
    pub fn entry(&self, node: &str, epoch: u64, entry: &Entry) {
        let mut state = self.inner.state();
        let State { queue, sessions, .. } = &mut *state;
        let Some(session) = sessions.get_mut(node).filter(|session| session.opened.epoch == epoch) else {
            return;
        };
        let draft = if entry.stream == "events" {
            event::entry(node, &session.opened.store_id, entry).and_then(|draft| {
                self.inner.check_bound(node, &draft.about)?;
                Ok(draft)
            })
        } else {
            Err(format!("entry {}: stream {:?} is not known", entry.seq, entry.stream))
        };
        match draft {
            Ok(draft) => {
                if faults::on(Fault::EntryAckedBeforeWrite) {
                    let seqs = vec![entry.seq];
                    session.opened.answers.send(EntryAck { seqs, ..EntryAck::default() }.into());
                }
                let task = Task::Event { draft: Box::new(draft), seq: Some(entry.seq) };
                let job = Job { since: self.inner.clock.elapsed(), task };
                if queue.push(node, JobKey::Entry(entry.seq), job).is_err() {
                    // Not acknowledged, so the edge keeps it for its next session.
                    self.inner.metrics.count("Event", "dropped");
                }
                drop(state);
                self.inner.wake.notify_one();
            }
            Err(reason) => {
                tracing::warn!(node, reason, "journal entry is refused");
                self.inner.metrics.count("Event", "refused");
                session.refuse_entry(entry.seq, reason);
            }
        }
    }

    /// The edge cannot apply an object: told by log, and by an Event on it.
    pub fn rejected(&self, node: &str, epoch: u64, rejected: &Rejected) {
        let Rejected { kind, namespace, name, uid, reason } = rejected;
        tracing::warn!(node, kind, namespace, name, uid, reason, "the edge cannot apply an object");
        let known = Kind::parse(kind).and_then(|kind| self.inner.index.object(kind, uid));
        let known = known.filter(|object| object.key.namespace == *namespace && object.key.name == *name);
        let draft = event::rejected(node, rejected, self.inner.clock.wall());
        // An edge's word makes no Event about what does not exist, or is a pod of another node.
        let (Some(_), Some(draft), Ok(())) = (known, draft, self.inner.check_bound(node, uid)) else {
            return;
        };
        let now = self.inner.clock.elapsed();
        let mut state = self.inner.state();
        if !state.session(node, epoch).is_some_and(|session| session.may_tell(now)) {
            return;
        }
        let job = Job { since: now, task: Task::Event { draft: Box::new(draft), seq: None } };
        if state.queue.push(node, JobKey::Rejected(uid.as_str().into()), job).is_err() {
            self.inner.metrics.count("Event", "dropped");
        }
        drop(state);
        self.inner.wake.notify_one();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what can be started, asks for what is to be asked for. Answers when to come again.
    fn step(self: &Arc<Self>, workers: &Group) -> Option<Elapsed> {
        let now = self.clock.elapsed();
        let mut started: Vec<Started<JobKey, Job>> = Vec::new();
        let mut state = self.state();
        while let Some(next) = state.queue.next(now) {
            started.push(next);
        }
        if state.ask_at.is_some_and(|at| at <= now) {
            let State { queue, sessions, ask_at } = &mut *state;
            *ask_at = None;
            for (node, session) in sessions.iter_mut() {
                let busy = |key: &Key| queue.is_busy(node, &JobKey::Report(key.clone()));
                let shown = |key: &Key| self.shown(node, key);
                let wanted = session.compare.due(now, kit::random::unit, busy, shown);
                self.ask(session, &wanted);
                *ask_at = earliest(*ask_at, session.compare.deadline());
            }
        }
        let deadline = earliest(state.ask_at, state.queue.deadline());
        drop(state);
        for job in started {
            settle::start(self, workers, job);
        }
        deadline
    }

    fn ask(&self, session: &Session, keys: &[Key]) {
        for chunk in keys.chunks(ASK_AT_ONCE) {
            for (kind, _) in chunk {
                self.metrics.count_asked(kind.name());
            }
            let uids = chunk.iter().map(|(_, uid)| uid.to_string()).collect();
            session.opened.answers.send(WantReports { inventory: false, uids }.into());
        }
    }

    /// What the cluster shows of an object of the node.
    fn shown(&self, node: &str, (kind, uid): &Key) -> Shown {
        let object = if *kind == Kind::Node {
            self.index.named(Kind::Node, "", node)
        } else {
            self.index.object(*kind, uid)
        };
        let Some(object) = object else {
            return if *kind == Kind::Node && uid.is_empty() { Shown::Missing } else { Shown::Absent };
        };
        let elsewhere = object.pod().is_some_and(|pod| &*pod.node != node);
        let another = !uid.is_empty() && object.uid != *uid;
        match object.status_hash() {
            Some(hash) if !elsewhere && !another => {
                Shown::Status(hash, object.pod().is_some_and(|pod| pod.deleting))
            }
            _ => Shown::Absent,
        }
    }

    /// Refuses what the index knows to be none of the node's, without asking the API server.
    fn check(&self, node: &str, reported: &Reported) -> Result<(), String> {
        self.check_bound(node, &reported.uid)?;
        let known = self.index.object(reported.object.kind, &reported.uid);
        match known.filter(|known| known.key != reported.object) {
            Some(known) => {
                Err(format!("uid {} is of {}, not of {}", reported.uid, known.key, reported.object))
            }
            None => Ok(()),
        }
    }

    /// Refuses a pod that is known to be bound to another node, or to none.
    fn check_bound(&self, node: &str, uid: &str) -> Result<(), String> {
        let pod = self.index.object(Kind::Pod, uid);
        match pod.as_ref().and_then(|pod| Some((&pod.key, pod.pod()?))) {
            Some((key, pod)) if &*pod.node != node => {
                Err(format!("spec.nodeName of {key} is {:?}, not {node}", &*pod.node))
            }
            _ => Ok(()),
        }
    }
}

fn earliest(left: Option<Elapsed>, right: Option<Elapsed>) -> Option<Elapsed> {
    left.into_iter().chain(right).min()
}

/// The kind as a label: what an edge makes up must not make up metrics.
fn kind_label(kind: &str) -> &'static str {
    Kind::parse(kind).map_or("other", Kind::name)
}
