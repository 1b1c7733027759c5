//! Tasks with names, watched until they end.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::task::{AbortHandle, JoinSet};

use crate::errors::chain;
use crate::shutdown::Shutdown;

/// Why the process ends.
#[derive(Debug, Error)]
#[error("task {name} ended: {reason}")]
pub struct TaskEnded {
    /// Name of the task.
    pub name: String,
    /// The whole chain of its error, or that it ended unasked, or panicked.
    pub reason: String,
}

/// The tasks of a process. The only spawner.
#[derive(Debug)]
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    names: BTreeMap<tokio::task::Id, String>,
    shutdown: Shutdown,
}

impl Tasks {
    /// No tasks yet; a task that fails will ask this shutdown for the end.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { set: JoinSet::new(), names: BTreeMap::new(), shutdown }
    }

    /// Starts a task that must not end before shutdown is asked for.
    pub fn spawn<E>(&mut self, name: &str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: std::error::Error + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        let handle = self.set.spawn(async move {
            match task.await {
                Ok(()) if shutdown.is_requested() => Ok(()),
                Ok(()) => Err("returned although nobody asked it to".to_owned()),
                Err(error) => Err(chain(&error)),
            }
        });
        self.names.insert(handle.id(), name.to_owned());
    }

    /// Runs until shutdown is asked for and every task has ended, or `grace` has passed since; then aborts the rest.
    /// The first task that ended unasked, failed or panicked is the error.
    pub async fn join(mut self, grace: Duration) -> Result<(), TaskEnded> {
        let mut first = None;
        let shutdown = self.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                ended = self.set.join_next_with_id() => match ended {
                    None => break,
                    Some(ended) => self.note(ended, &mut first),
                },
                () = shutdown.requested() => break,
            }
        }
        let drained = async {
            while let Some(ended) = self.set.join_next_with_id().await {
                note_end(&mut self.names, &shutdown, ended, &mut first);
            }
        };
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(tasks = ?self.names.values(), "tasks did not end in time and were aborted");
            self.set.abort_all();
        }
        first.map_or(Ok(()), Err)
    }

    fn note(
        &mut self,
        ended: Result<(tokio::task::Id, Result<(), String>), tokio::task::JoinError>,
        first: &mut Option<TaskEnded>,
    ) {
        note_end(&mut self.names, &self.shutdown, ended, first);
    }
}

fn note_end(
    names: &mut BTreeMap<tokio::task::Id, String>,
    shutdown: &Shutdown,
    ended: Result<(tokio::task::Id, Result<(), String>), tokio::task::JoinError>,
    first: &mut Option<TaskEnded>,
) {
    let (id, reason) = match ended {
        Ok((id, Ok(()))) => (id, None),
        Ok((id, Err(reason))) => (id, Some(reason)),
        Err(error) => (error.id(), Some(error.to_string())),
    };
    let name = names.remove(&id).unwrap_or_default();
    if let Some(reason) = reason {
        tracing::error!(task = name, reason, "task ended");
        shutdown.request("a task ended");
        first.get_or_insert(TaskEnded { name, reason });
    }
}

/// Starts short-lived work beside a task: connections, streams, workers. Ends (aborts) all of it when dropped.
///
/// Bounded: [`Group::spawn`] refuses beyond `limit`. A panic in one is logged by name and takes nothing else down.
#[derive(Debug, Clone)]
pub struct Group {
    inner: Arc<GroupInner>,
}

#[derive(Debug)]
struct GroupInner {
    name: String,
    limit: usize,
    running: Mutex<BTreeMap<u64, Running>>,
    next: std::sync::atomic::AtomicU64,
}

impl Group {
    /// An empty group; `limit` is the most that may run at once.
    pub fn new(name: &str, limit: usize) -> Self {
        Self {
            inner: Arc::new(GroupInner {
                name: name.to_owned(),
                limit,
                running: Mutex::default(),
                next: std::sync::atomic::AtomicU64::new(0),
            }),
        }
    }

    /// Starts work; `false` where the group is full and nothing was started.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() >= self.inner.limit {
            return false;
        }
        let id = self.inner.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let leaving = Leave { group: Arc::downgrade(&self.inner), id };
        // Boxed: a future that holds another one and awaits it has room for it twice, and there may be ten thousand.
        let work = Box::pin(work);
        let task = async move {
            let _leaving = leaving;
            work.await;
        };
        // The lock is held, so the task cannot have left before it is entered.
        running.insert(id, Running::start(task));
        true
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for GroupInner {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (_, handle) in std::mem::take(running) {
            handle.abort();
        }
    }
}

/// What ends a task that runs.
enum Running {
    Tokio(AbortHandle),
    #[cfg(feature = "testing")]
    Simulated(Box<dyn Fn() + Send + Sync>),
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running")
    }
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    fn start(task: impl Future<Output = ()> + Send + 'static) -> Self {
        #[cfg(feature = "testing")]
        let task = match crate::sim::spawn(task) {
            Ok(abort) => return Self::Simulated(abort),
            Err(task) => task,
        };
        Self::Tokio(tokio::spawn(task).abort_handle())
    }

    fn abort(&self) {
        match self {
            Self::Tokio(handle) => handle.abort(),
            #[cfg(feature = "testing")]
            Self::Simulated(abort) => abort(),
        }
    }
}

/// Takes a task out of its group when it ends, however it ends.
struct Leave {
    group: std::sync::Weak<GroupInner>,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(group) = self.group.upgrade() {
            if std::thread::panicking() {
                tracing::error!(group = group.name, "work panicked");
            }
            group.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Error)]
    #[error("no luck")]
    struct NoLuck;

    #[tokio::test]
    async fn a_failed_task_ends_all_and_is_named() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let waits = shutdown.clone();
        tasks.spawn("waits", async move {
            waits.requested().await;
            Ok::<(), NoLuck>(())
        });
        tasks.spawn("fails", async { Err(NoLuck) });
        let ended = tasks.join(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!((ended.name.as_str(), ended.reason.as_str()), ("fails", "no luck"));
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn an_early_return_is_a_failure() {
        let mut tasks = Tasks::new(Shutdown::new());
        tasks.spawn("gone", async { Ok::<(), NoLuck>(()) });
        assert_eq!(tasks.join(Duration::ZERO).await.unwrap_err().name, "gone");
    }

    #[tokio::test]
    async fn a_group_is_bounded_and_empties() {
        let group = Group::new("g", 1);
        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
        assert!(group.spawn(async move {
            let _ = rx.await;
        }));
        assert!(!group.spawn(async {}));
        tx.send(()).unwrap();
        while !group.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(group.spawn(async {}));
    }
}
