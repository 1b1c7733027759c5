//! Which versions of a desired value came already.

use std::collections::BTreeSet;

/// How many are kept one by one.
const MOST: usize = 16;

/// The highest versions that came; all up to `floor` count as seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    versions: BTreeSet<u64>,
    floor: Option<u64>,
}

impl Seen {
    /// Whether this is the first time that the version comes, as far as is known.
    pub(super) fn first_time(&mut self, version: u64) -> bool {
        if self.floor.is_some_and(|floor| version <= floor) || !self.versions.insert(version) {
            return false;
        }
        if self.versions.len() > MOST {
            self.floor = self.floor.max(self.versions.pop_first());
        }
        true
    }
}
