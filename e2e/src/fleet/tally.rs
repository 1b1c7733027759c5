//! How a fleet fares, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Numbers of one moment: the line that `lab sim` prints every second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Nodes with an open session.
    pub connected: u64,
    /// Of those, the ones that hold what the cloud wants.
    pub in_sync: u64,
    /// Sessions opened, apart from each node's first.
    pub reconnects: u64,
    /// File descriptors of this process.
    pub fds: u64,
}

/// The counters behind [`Counts`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    connected: AtomicU64,
    in_sync: AtomicU64,
    opened: AtomicU64,
    first: AtomicU64,
    applied: AtomicU64,
    /// Of the objects applied, those that came in a version that was held already.
    again: AtomicU64,
    /// Why the last attempt or session ended, for whoever waits in vain.
    trouble: Mutex<String>,
    /// Why the fleet will never be whole.
    failure: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let fds = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Counts {
            connected: read(&self.connected),
            in_sync: read(&self.in_sync),
            reconnects: read(&self.opened).saturating_sub(read(&self.first)),
            // The listing's own descriptor is no longer open.
            fds: u64::try_from(fds).unwrap_or(u64::MAX).saturating_sub(1),
        }
    }

    /// Nodes in sync, without looking at the process's descriptors: for whoever asks often.
    pub(super) fn in_sync(&self) -> u64 {
        self.in_sync.load(Ordering::Relaxed)
    }

    pub(super) fn applied_some(&self, objects: usize, again: usize) {
        let add =
            |to: &AtomicU64, count| to.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        add(&self.applied, objects);
        add(&self.again, again);
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    pub(super) fn again(&self) -> u64 {
        self.again.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self, reason: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn trouble(&self, reason: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub(super) fn last_trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One open session's part in the tally; it ends with the value.
#[derive(Debug)]
pub(super) struct Part<'a> {
    tally: &'a Tally,
    in_sync: bool,
}

impl<'a> Part<'a> {
    /// A session was opened; `first` where its node had none before.
    pub(super) fn enter(tally: &'a Tally, first: bool) -> Self {
        tally.connected.fetch_add(1, Ordering::Relaxed);
        tally.opened.fetch_add(1, Ordering::Relaxed);
        tally.first.fetch_add(u64::from(first), Ordering::Relaxed);
        Self { tally, in_sync: false }
    }

    /// The last comparison came out like this.
    pub(super) fn compared(&mut self, equal: bool) {
        match (std::mem::replace(&mut self.in_sync, equal), equal) {
            (false, true) => self.tally.in_sync.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.tally.in_sync.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.compared(false);
        self.tally.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tally: &Tally) -> (u64, u64, u64) {
        let counts = tally.counts();
        (counts.connected, counts.in_sync, counts.reconnects)
    }

    #[test]
    fn a_session_counts_while_it_is_there() {
        let tally = Tally::default();
        let mut first = Part::enter(&tally, true);
        let mut second = Part::enter(&tally, true);
        first.compared(true);
        first.compared(true);
        second.compared(true);
        second.compared(false);
        assert_eq!(numbers(&tally), (2, 1, 0));
        drop(first);
        drop(second);
        assert_eq!(numbers(&tally), (0, 0, 0));
        let _again = Part::enter(&tally, false);
        assert_eq!(numbers(&tally), (1, 0, 1));
    }

    #[test]
    fn the_line_has_exactly_the_keys_promised() {
        let counts = Counts { connected: 1, in_sync: 2, reconnects: 3, fds: 4 };
        let line = serde_json::to_string(&counts).unwrap();
        assert_eq!(line, r#"{"connected":1,"in_sync":2,"reconnects":3,"fds":4}"#);
    }
}
