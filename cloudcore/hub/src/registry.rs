//! Which sessions are open in this replica.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use link::Streams;
use tokio::sync::Notify;
use wire::GoAway;

/// Why a session ends whose node has a newer one.
pub(crate) const NEWER: &str = "a newer session of this node was opened";

/// Sessions by node.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    sessions: Mutex<BTreeMap<Arc<str>, Entry>>,
}

/// An open session.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) epoch: u64,
    pub(crate) stop: Arc<Stop>,
    pub(crate) streams: Arc<Streams>,
}

/// Ends a session from outside.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    farewell: Mutex<Option<GoAway>>,
    asked: Notify,
}

impl Stop {
    /// Asks for the end. The first reason stays.
    pub(crate) fn ask(&self, reason: &str, retry_after_ms: u32) {
        let farewell = GoAway { reason: reason.to_owned(), retry_after_ms };
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(farewell);
        self.asked.notify_one();
    }

    fn is_asked(&self) -> bool {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns when the end is asked for.
    pub(crate) async fn asked(&self) -> GoAway {
        loop {
            let asked = self.asked.notified();
            if let Some(farewell) = self.farewell.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return farewell;
            }
            asked.await;
        }
    }
}

impl Registry {
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a session and ends an older one of the same node; `false` where a newer one is there.
    pub(crate) fn enter(&self, node: &Arc<str>, entry: Entry) -> bool {
        let mut sessions = self.sessions();
        if let Some(other) = sessions.get(node) {
            if other.epoch > entry.epoch {
                return false;
            }
            other.stop.ask(NEWER, 0);
        }
        sessions.insert(Arc::clone(node), entry);
        true
    }

    /// Takes a session out, unless a newer one took its place.
    pub(crate) fn leave(&self, node: &str, epoch: u64) {
        let mut sessions = self.sessions();
        if sessions.get(node).is_some_and(|entry| entry.epoch == epoch) {
            sessions.remove(node);
        }
    }

    pub(crate) fn get(&self, node: &str) -> Option<Entry> {
        self.sessions().get(node).cloned()
    }

    /// How many sessions are open.
    pub(crate) fn len(&self) -> usize {
        self.sessions().len()
    }

    /// Ends so many sessions that were not asked to end yet; how many it were.
    pub(crate) fn stop_some(&self, most: usize, reason: &str, retry_after_ms: impl Fn() -> u32) -> usize {
        let sessions = self.sessions();
        let left = sessions.values().filter(|entry| !entry.stop.is_asked()).take(most);
        left.map(|entry| entry.stop.ask(reason, retry_after_ms())).count()
    }
}
