//! Where a simulation takes the machine's place: tasks, randomness, the order of `select!`, and planted faults.
//!
//! With the feature `testing` a thread may [`enter`] a [`World`]; from then on what runs on it spawns into that world
//! and draws from it, so that one seed makes one run. Without the feature nothing of it exists: [`leaf`] hands back
//! the future it is given, and [`crate::select`] is `tokio::select!`.

/// Waits at the border of the product: for the disk, the network, the API server or the time. A simulation learns
/// here where a task stands when it is killed.
#[cfg(not(feature = "testing"))]
pub const fn leaf<F: Future>(future: F) -> F {
    future
}

/// As `tokio::select!`. In a simulation the seed chooses which branch is asked first.
#[cfg(not(feature = "testing"))]
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => { ::tokio::select! { $($branches)* } };
}

/// As `tokio::select!`, where the seed chooses which branch is asked first. tokio has no stable way to seed its own
/// choice; this takes the rule by which its macro passes that choice on to itself.
#[cfg(feature = "testing")]
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => { ::tokio::select! { biased; $($branches)* } };
    ($($branches:tt)*) => {
        ::tokio::select! { @{ start={ $crate::sim::branch(BRANCHES) }; () } $($branches)* }
    };
}

#[cfg(feature = "testing")]
pub use world::{Entered, World, branch, enter, fault, is_entered, leaf};
#[cfg(feature = "testing")]
pub(crate) use world::{fill, spawn};

#[cfg(feature = "testing")]
mod world {
    use std::cell::RefCell;
    use std::fmt;
    use std::pin::Pin;
    use std::rc::Rc;

    use crate::faults::Fault;

    /// A task to be run.
    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
    /// Ends a task when called.
    pub(crate) type Abort = Box<dyn Fn() + Send + Sync>;

    /// What a simulation decides.
    pub trait World {
        /// Runs a task; answers what ends it.
        fn spawn(&self, task: Task) -> Abort;
        /// Random bytes.
        fn fill(&self, bytes: &mut [u8]);
        /// Which of so many branches is asked first.
        fn branch(&self, branches: u32) -> u32;
        /// The task that is being polled waits here.
        fn waits(&self);
        /// Whether a fault is planted.
        fn fault(&self, fault: Fault) -> bool;
    }

    thread_local! {
        static WORLD: RefCell<Option<Rc<dyn World>>> = const { RefCell::new(None) };
    }

    /// Leaves the world when dropped.
    pub struct Entered(());

    impl fmt::Debug for Entered {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Entered")
        }
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            let left = WORLD.with(|world| world.borrow_mut().take());
            drop(left);
        }
    }

    /// Makes this thread part of a world.
    #[must_use]
    pub fn enter(world: Rc<dyn World>) -> Entered {
        WORLD.with(|known| *known.borrow_mut() = Some(world));
        Entered(())
    }

    fn world() -> Option<Rc<dyn World>> {
        WORLD.with(|world| world.borrow().clone())
    }

    /// Whether this thread is part of a world.
    pub fn is_entered() -> bool {
        WORLD.with(|world| world.borrow().is_some())
    }

    /// Which of so many branches is asked first: the first, outside of a world.
    pub fn branch(branches: u32) -> u32 {
        world().map_or(0, |world| world.branch(branches))
    }

    /// Whether a fault is planted.
    pub fn fault(fault: Fault) -> bool {
        world().is_some_and(|world| world.fault(fault))
    }

    /// Fills from the world's randomness; `false` outside of one.
    pub(crate) fn fill(bytes: &mut [u8]) -> bool {
        world().is_some_and(|world| {
            world.fill(bytes);
            true
        })
    }

    /// Runs a task in the world; gives it back outside of one.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(task: F) -> Result<Abort, F> {
        match world() {
            Some(world) => Ok(world.spawn(Box::pin(task))),
            None => Err(task),
        }
    }

    /// Waits at the border of the product; the world is told where.
    pub async fn leaf<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if polled.is_pending()
                && let Some(world) = world()
            {
                world.waits();
            }
            polled
        })
        .await
    }
}
