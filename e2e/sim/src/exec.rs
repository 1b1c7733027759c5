//! The executor: one thread, one task polled at a time, the next one chosen by the seed; and processes that can be
//! killed whenever one of their tasks waits.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::rng::Rng;

/// Whose task it is. What belongs to a process dies with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    /// Chaos, and what watches over the run.
    World,
    /// The network between the two sides.
    Network,
    /// The API server.
    Api,
    /// The edge's process.
    Edge,
    /// A replica's process.
    Cloud(usize),
}

impl Actor {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::Network => "network",
            Self::Api => "api",
            Self::Edge => "edge",
            Self::Cloud(0) => "cloud-0",
            Self::Cloud(_) => "cloud-1",
        }
    }
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    actor: Actor,
    future: Boxed,
    waker: Waker,
    /// The judge looks at the store after each of its steps.
    looked_at: bool,
}

/// Spawns and wakes. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<Changes>,
    ready: Mutex<BTreeSet<u64>>,
    root: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct Changes {
    next: u64,
    born: Vec<(u64, Actor, bool, Boxed)>,
    aborted: Vec<u64>,
    current: Option<Actor>,
}

struct TaskWaker {
    id: u64,
    shared: Arc<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.shared.ready).insert(self.id);
        if let Some(root) = &*lock(&self.shared.root) {
            root.wake_by_ref();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// Starts a task of an actor; answers its id.
    pub(crate) fn spawn(&self, actor: Actor, task: impl Future<Output = ()> + Send + 'static) -> u64 {
        self.add(actor, false, Box::pin(task))
    }

    /// As [`Handle::spawn`]; the judge looks at the store after each step.
    pub(crate) fn spawn_looked_at(&self, actor: Actor, task: impl Future<Output = ()> + Send + 'static) {
        self.add(actor, true, Box::pin(task));
    }

    /// Starts a task of whichever actor is being polled.
    pub(crate) fn spawn_here(&self, task: Boxed) -> u64 {
        let actor = lock(&self.shared.state).current.unwrap_or(Actor::World);
        self.add(actor, false, task)
    }

    fn add(&self, actor: Actor, looked_at: bool, task: Boxed) -> u64 {
        let mut state = lock(&self.shared.state);
        state.next += 1;
        let id = state.next;
        state.born.push((id, actor, looked_at, task));
        drop(state);
        if let Some(root) = &*lock(&self.shared.root) {
            root.wake_by_ref();
        }
        id
    }

    /// Ends a task before its next step.
    pub(crate) fn abort(&self, id: u64) {
        lock(&self.shared.state).aborted.push(id);
    }
}

/// All tasks.
pub(crate) struct Executor {
    handle: Handle,
    rng: Rng,
    tasks: BTreeMap<u64, Task>,
    /// Processes that stand still (SIGSTOP).
    stopped: BTreeSet<Actor>,
    /// Steps that end in waiting until the process is killed at the latest.
    fuses: BTreeMap<Actor, u64>,
}

/// Whether a process is to be killed after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fuse {
    /// No.
    Unlit,
    /// At a later step, or now.
    Burning,
    /// Now.
    Burnt,
}

/// What a step was.
pub(crate) struct Step {
    pub(crate) actor: Actor,
    pub(crate) looked_at: bool,
    /// Its process is to be killed now, or may be.
    pub(crate) fuse: Fuse,
}

impl Executor {
    pub(crate) fn new(handle: Handle, rng: Rng) -> Self {
        Self { handle, rng, tasks: BTreeMap::new(), stopped: BTreeSet::new(), fuses: BTreeMap::new() }
    }

    /// Whoever is woken from outside wakes this.
    pub(crate) fn watch(&self, cx: &Context<'_>) {
        *lock(&self.handle.shared.root) = Some(cx.waker().clone());
    }

    fn adopt(&mut self) {
        loop {
            let (born, aborted) = {
                let mut state = lock(&self.handle.shared.state);
                (std::mem::take(&mut state.born), std::mem::take(&mut state.aborted))
            };
            if born.is_empty() && aborted.is_empty() {
                return;
            }
            for (id, actor, looked_at, future) in born {
                let waker = Waker::from(Arc::new(TaskWaker { id, shared: Arc::clone(&self.handle.shared) }));
                self.tasks.insert(id, Task { actor, future, waker, looked_at });
                lock(&self.handle.shared.ready).insert(id);
            }
            for id in aborted {
                // Its end may start or end others.
                drop(self.tasks.remove(&id));
            }
        }
    }

    /// One step of a task that is ready, `None` where none is. `before` hears whether the step may be a process's last.
    pub(crate) fn step(&mut self, before: impl FnOnce(Actor, bool)) -> Option<Step> {
        self.adopt();
        let ready: Vec<u64> = lock(&self.handle.shared.ready).iter().copied().collect();
        let may_run: Vec<u64> = ready
            .into_iter()
            .filter(|id| self.tasks.get(id).is_none_or(|task| !self.stopped.contains(&task.actor)))
            .collect();
        let id = *self.rng.pick(&may_run)?;
        lock(&self.handle.shared.ready).remove(&id);
        let Some(task) = self.tasks.get_mut(&id) else {
            // Somebody woke a task that is no more.
            return Some(Step { actor: Actor::World, looked_at: false, fuse: Fuse::Unlit });
        };
        let (actor, looked_at) = (task.actor, task.looked_at);
        before(actor, self.fuses.contains_key(&actor));
        lock(&self.handle.shared.state).current = Some(actor);
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        let mut fuse = Fuse::Unlit;
        match polled {
            Poll::Ready(()) => drop(self.tasks.remove(&id)),
            Poll::Pending => {
                if let Some(left) = self.fuses.get_mut(&actor) {
                    *left = left.saturating_sub(1);
                    fuse = if *left == 0 { Fuse::Burnt } else { Fuse::Burning };
                }
            }
        }
        lock(&self.handle.shared.state).current = None;
        Some(Step { actor, looked_at, fuse })
    }

    /// Kills a process: its tasks are gone, wherever they wait.
    pub(crate) fn kill(&mut self, actor: Actor) {
        self.adopt();
        self.fuses.remove(&actor);
        self.stopped.remove(&actor);
        let (gone, rest) =
            std::mem::take(&mut self.tasks).into_iter().partition(|(_, task)| task.actor == actor);
        self.tasks = rest;
        let gone: BTreeMap<u64, Task> = gone;
        drop(gone);
    }

    /// Kills a process after so many more of its steps, at the latest.
    pub(crate) fn light(&mut self, actor: Actor, steps: u64) {
        self.fuses.insert(actor, steps.max(1));
    }

    /// Lets a process stand still, or go on.
    pub(crate) fn stop(&mut self, actor: Actor, stopped: bool) {
        if stopped {
            self.stopped.insert(actor);
        } else {
            self.stopped.remove(&actor);
            if let Some(root) = &*lock(&self.handle.shared.root) {
                root.wake_by_ref();
            }
        }
    }

    /// No process is to be killed any more.
    pub(crate) fn unlight(&mut self) {
        self.fuses.clear();
    }
}
