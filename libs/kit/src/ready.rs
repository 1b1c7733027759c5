//! Ready when nothing is pending any more.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What is not ready yet, by name.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    pending: Arc<Mutex<BTreeSet<String>>>,
}

impl Readiness {
    /// Ready until somebody says otherwise.
    pub fn new() -> Self {
        Self::default()
    }

    /// Not ready until the guard is dropped.
    pub fn block(&self, name: &str) -> Guard {
        self.set(name, false);
        Guard { readiness: self.clone(), name: name.to_owned() }
    }

    /// Marks one thing ready or not; for what comes and goes.
    pub fn set(&self, name: &str, ready: bool) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if ready {
            pending.remove(name);
        } else {
            pending.insert(name.to_owned());
        }
    }

    /// Names of what is pending; empty means ready.
    pub fn pending(&self) -> Vec<String> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Holds readiness back.
#[derive(Debug)]
pub struct Guard {
    readiness: Readiness,
    name: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.readiness.set(&self.name, true);
    }
}
