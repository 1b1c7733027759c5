//! The one thread that writes.
//!
//! Whatever waits in the queue when it looks becomes one transaction. Each job runs in a savepoint, so one that fails
//! takes nothing of the others with it. Callers are answered after the commit, and told of what failed it otherwise.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use kit::faults::{self, Fault};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use wire::Kind;

use crate::error::{Context, StoreError};
use crate::limits::Limits;
use crate::meta::{self, State};
use crate::open::Shared;
use crate::seal::Seal;
use crate::types::Stamp;

/// Jobs that may wait; more callers wait for room.
pub(crate) const QUEUE: usize = 256;

/// Jobs in one transaction at most, so that the first of them is not kept waiting by a stream of others.
const GROUP: usize = 128;

/// What a job works with.
pub(crate) struct Work<'c> {
    pub(crate) conn: &'c Connection,
    pub(crate) seal: &'c Seal,
    pub(crate) now: &'c Stamp,
    pub(crate) limits: &'c Limits,
    pub(crate) state: State,
    pub(crate) effects: Effects,
}

/// What others may want to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Objects of a kind changed.
    Kind(Kind),
    /// A report became pending.
    Reports,
    /// A token is wanted, came or went.
    Tokens,
    /// The journal has a new entry.
    Journal,
}

/// What must be told once the transaction is on the disk.
pub(crate) type Effects = BTreeSet<Topic>;

/// A piece of a transaction, with somebody waiting for its end.
pub(crate) trait Job: Send {
    /// Does it; an error rolls this job back.
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), StoreError>;
    /// Answers: `Ok` after the commit.
    fn done(self: Box<Self>, end: Result<(), StoreError>);
}

struct Call<T, F> {
    run: Option<F>,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Work<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), StoreError> {
        if let Some(run) = self.run.take() {
            self.value = Some(run(work)?);
        }
        Ok(())
    }

    fn done(self: Box<Self>, end: Result<(), StoreError>) {
        let Self { value, reply, .. } = *self;
        // A caller that went away does not want to know.
        drop(reply.send(end.and_then(|()| value.ok_or(StoreError::Closed))));
    }
}

/// Sends a job and waits for its end.
pub(crate) async fn call<T, F>(queue: &mpsc::Sender<Box<dyn Job>>, run: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce(&mut Work<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let job = Box::new(Call { run: Some(run), value: None, reply });
    kit::sim::leaf(queue.send(job)).await.map_err(|_| StoreError::Closed)?;
    kit::sim::leaf(answer).await.map_err(|_| StoreError::Closed)?
}

/// The thread's life: ends when the queue is closed.
pub(crate) fn run(mut conn: Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, shared: &Weak<Shared>) {
    while let Some(first) = jobs.blocking_recv() {
        let Some(shared) = shared.upgrade() else { return };
        commit_group(&mut conn, &shared, gather(first, &mut jobs));
    }
}

/// As [`run`], for a simulation: a task like any other, that may be killed before and after each commit.
#[cfg(feature = "testing")]
pub(crate) async fn run_simulated(
    mut conn: Connection,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
    shared: Weak<Shared>,
) {
    while let Some(first) = kit::sim::leaf(jobs.recv()).await {
        kit::sim::leaf(tokio::task::yield_now()).await;
        let Some(shared) = shared.upgrade() else { return };
        commit_group(&mut conn, &shared, gather(first, &mut jobs));
        if faults::on(Fault::AnsweredBeforeCommit) {
            kit::sim::leaf(tokio::task::yield_now()).await;
            // What was answered already cannot be told of a failure.
            drop(conn.execute_batch("COMMIT"));
        }
    }
}

/// What waits, with the first of it.
fn gather(first: Box<dyn Job>, jobs: &mut mpsc::Receiver<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let mut group = vec![first];
    while group.len() < GROUP {
        let Ok(next) = jobs.try_recv() else { break };
        group.push(next);
    }
    group
}

fn commit_group(conn: &mut Connection, shared: &Arc<Shared>, mut group: Vec<Box<dyn Job>>) {
    let mut ends = Vec::with_capacity(group.len());
    let committed = transaction(conn, shared, &mut group, &mut ends);
    if let Err(error) = &committed {
        // Some errors end the transaction by themselves.
        if !conn.is_autocommit()
            && let Err(error) = conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "store cannot roll back");
        }
        shared.note(error);
    }
    let ends = ends.into_iter().map(Some).chain(std::iter::repeat(None));
    for (job, end) in group.into_iter().zip(ends) {
        job.done(match (&committed, end) {
            (Err(error), _) => Err(error.clone()),
            (Ok(()), Some(end)) => end,
            (Ok(()), None) => Err(StoreError::Closed),
        });
    }
}

/// Runs the jobs in one transaction and makes the outcome known. `ends` says how each job fared.
fn transaction(
    conn: &Connection,
    shared: &Arc<Shared>,
    group: &mut [Box<dyn Job>],
    ends: &mut Vec<Result<(), StoreError>>,
) -> Result<(), StoreError> {
    let before = shared.state();
    let now = shared.stamp();
    let changes = conn.total_changes();
    conn.execute_batch("BEGIN IMMEDIATE").during("begin")?;
    let mut work = Work {
        conn,
        seal: &shared.seal,
        now: &now,
        limits: &shared.limits,
        state: before.clone(),
        effects: Effects::default(),
    };
    for job in group {
        let end = in_savepoint(&mut work, job.as_mut());
        if let Err(error) = &end {
            shared.note(error);
            if conn.is_autocommit() {
                // The whole transaction is gone, whatever the others thought.
                return Err(error.clone());
            }
        }
        ends.push(end);
    }
    if work.state != before || conn.total_changes() != changes {
        work.state.note_trusted(&now);
    }
    meta::save(conn, &before, &work.state)?;
    if !faults::on(Fault::AnsweredBeforeCommit) {
        conn.execute_batch("COMMIT").during("commit")?;
    }
    shared.publish(work.state, &work.effects);
    Ok(())
}

fn in_savepoint(work: &mut Work<'_>, job: &mut dyn Job) -> Result<(), StoreError> {
    let (state, effects) = (work.state.clone(), work.effects.clone());
    work.conn.execute_batch("SAVEPOINT job").during("begin")?;
    let end = job.run(work);
    if end.is_err() {
        work.state = state;
        work.effects = effects;
        if !work.conn.is_autocommit() {
            work.conn.execute_batch("ROLLBACK TO job; RELEASE job").during("roll back")?;
        }
        return end;
    }
    work.conn.execute_batch("RELEASE job").during("commit")
}
