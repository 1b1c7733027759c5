//! What simulated nodes applied, and when.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::fleet::{Applied, Probe};
use crate::host;

/// An object on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) kind: String,
    pub(super) name: String,
}

/// Keeps every arrival until it is taken.
#[derive(Debug, Default, Clone)]
pub(super) struct Recorder {
    shared: Arc<(Mutex<Vec<Arrival>>, Condvar)>,
}

impl Recorder {
    pub(super) fn probe(&self) -> Probe {
        let recorder = self.clone();
        Arc::new(move |_, applied: &[Applied]| recorder.record(applied))
    }

    fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, applied: &[Applied]) {
        let at = host::now();
        let arrival =
            |applied: &Applied| Arrival { at, kind: applied.kind.clone(), name: applied.name.clone() };
        self.arrivals().extend(applied.iter().map(arrival));
        self.shared.1.notify_all();
    }

    /// Forgets what arrived so far, and says how much that was.
    pub(super) fn forget(&self) -> usize {
        std::mem::take(&mut *self.arrivals()).len()
    }

    /// Waits until so many objects that fit have arrived, and takes them; everything else is forgotten.
    pub(super) fn take(
        &self,
        count: usize,
        limit: Duration,
        fits: impl Fn(&Arrival) -> bool,
    ) -> Result<Vec<Arrival>> {
        let (mut found, end) = (Vec::new(), host::now() + limit);
        let mut arrivals = self.arrivals();
        loop {
            found.extend(std::mem::take(&mut *arrivals).into_iter().filter(&fits));
            if found.len() >= count {
                return Ok(found);
            }
            let left = end.saturating_duration_since(host::now());
            ensure!(
                !left.is_zero(),
                "{} of {count} objects arrived within {} s",
                found.len(),
                limit.as_secs()
            );
            let waited = self.shared.1.wait_timeout(arrivals, left).unwrap_or_else(PoisonError::into_inner);
            arrivals = waited.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_taken_and_the_rest_forgotten() {
        let recorder = Recorder::default();
        let applied = |kind: &str| Applied {
            kind: kind.to_owned(),
            name: "x".to_owned(),
            uid: "u".to_owned(),
            again: false,
        };
        recorder.record(&[applied("Pod"), applied("Secret")]);
        let taken = recorder.take(1, Duration::ZERO, |arrival| arrival.kind == "Secret").unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!(recorder.forget(), 0);
        assert!(recorder.take(1, Duration::ZERO, |_| true).is_err());
    }
}
