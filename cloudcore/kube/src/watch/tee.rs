//! Two observers of one watch: a kind is listed and watched once, whoever wants to know of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{Named, Observer};
use crate::error::KubeError;

/// Tells the first observer, then the second, if there is one. The first decides what counts as unreadable.
pub struct Tee<A> {
    first: Arc<A>,
    second: Option<Arc<dyn Observer>>,
}

impl<A: fmt::Debug> fmt::Debug for Tee<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tee").field("first", &self.first).finish_non_exhaustive()
    }
}

impl<A: Observer> Tee<A> {
    /// Both hear everything, in this order.
    pub fn new(first: Arc<A>, second: Option<Arc<dyn Observer>>) -> Self {
        Self { first, second }
    }
}

impl<A: Observer> Observer for Tee<A> {
    fn applied(&self, raw: &[u8]) -> Result<(), String> {
        let judged = self.first.applied(raw);
        if let Some(second) = &self.second
            && let Err(reason) = second.applied(raw)
            && judged.is_ok()
        {
            tracing::warn!(object = %super::name::name(raw), reason, "object cannot be read by controllers");
        }
        judged
    }

    fn skipped(&self, named: &Named) {
        self.first.skipped(named);
        self.second.iter().for_each(|second| second.skipped(named));
    }

    fn deleted(&self, uid: &str) {
        self.first.deleted(uid);
        self.second.iter().for_each(|second| second.deleted(uid));
    }

    fn listed(&self, seen: Option<&BTreeSet<String>>) {
        self.first.listed(seen);
        self.second.iter().for_each(|second| second.listed(seen));
    }

    fn coming(&self, resource_version: &str) {
        self.first.coming(resource_version);
        self.second.iter().for_each(|second| second.coming(resource_version));
    }

    fn progressed(&self, resource_version: &str) {
        self.first.progressed(resource_version);
        self.second.iter().for_each(|second| second.progressed(resource_version));
    }

    fn broken(&self, error: &KubeError) {
        self.first.broken(error);
        self.second.iter().for_each(|second| second.broken(error));
    }

    fn healthy(&self) {
        self.first.healthy();
        self.second.iter().for_each(|second| second.healthy());
    }
}
