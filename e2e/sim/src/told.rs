//! What the rest of the agent told the store, and what the store answered: the edge's own memory of the run, which no
//! crash takes away.

use std::collections::BTreeMap;

use wire::ObjectKey;

/// What was said of one object.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) key: ObjectKey,
    /// Mark of the last report that the store took.
    pub(crate) accepted: u64,
    /// Mark of the last report that was offered; it may or may not have been taken.
    pub(crate) tried: u64,
    /// The store took that nothing is left of it.
    pub(crate) deleted: bool,
}

/// Reports and journal entries that were offered to the store.
#[derive(Debug, Default)]
pub(crate) struct Told {
    mark: u64,
    pub(crate) reports: BTreeMap<String, Said>,
    /// Journal entries by what they say; whether the store answered that it has them.
    pub(crate) entries: BTreeMap<String, bool>,
    /// Reports that the store said to be news.
    pub(crate) produced: u64,
}

impl Told {
    /// A number that no other report or entry has.
    pub(crate) const fn next(&mut self) -> u64 {
        self.mark += 1;
        self.mark
    }

    /// A report is offered.
    pub(crate) fn offers(&mut self, key: &ObjectKey, uid: &str, mark: u64) {
        let said = || Said { key: key.clone(), accepted: 0, tried: 0, deleted: false };
        self.reports.entry(uid.to_owned()).or_insert_with(said).tried = mark;
    }

    /// The store took it, or had it already.
    pub(crate) fn accepted(&mut self, uid: &str, mark: u64, news: bool, deleted: bool) {
        self.produced += u64::from(news);
        if let Some(said) = self.reports.get_mut(uid) {
            said.accepted = mark;
            said.deleted = deleted;
        }
    }

    /// The pod's report may leave with it from now on.
    pub(crate) fn retiring(&mut self, uid: &str) {
        if let Some(said) = self.reports.get_mut(uid) {
            said.accepted = 0;
        }
    }

    /// The pod is gone from the machine, and its report with it.
    pub(crate) fn retires(&mut self, uid: &str) {
        self.reports.remove(uid);
    }
}
