//! Whether the cluster shows what the edge last said, and when to ask the edge for it. Pure, one per session.
//!
//! The edge's last word per object is known from the reports of the session and from the inventory that is asked
//! for where digests differ at its start. Where the cluster shows another hash, the report is asked for: at the
//! start at once, later a second after the change (the watch may be behind our own write), and for the same object
//! again ever more rarely, so that a difference that writing does not remove costs next to nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kit::{Backoff, Elapsed};
use wire::{Digest, Kind, ReportInventory, Version};

use crate::report::{Key, MAX_TEXT};

/// First wait before an object is asked for, and the longest.
const ASK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// An object that was not asked for during this time starts with the first wait again.
const FORGET: Duration = Duration::from_mins(10);
/// Objects of one edge whose last word is remembered.
const MOST: usize = 8192;

/// What the cluster shows of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// There is no such object, and there should be none.
    Absent,
    /// There is no such object, and the report would make it.
    Missing,
    /// A status with this hash; whether the object is being deleted.
    Status(Version, bool),
}

/// What is known of one session's reports.
#[derive(Debug)]
pub(crate) struct Compare {
    /// Hash of "nothing is left of the pod".
    deleted: Version,
    told: BTreeMap<Key, Version>,
    asks: BTreeMap<Key, Ask>,
    /// The edge was asked for its inventory, which is not complete yet.
    taking: bool,
}

#[derive(Debug)]
struct Ask {
    due: Option<Elapsed>,
    touched: Elapsed,
    backoff: Backoff,
}

impl Compare {
    /// A session opens. `true` where the edge's inventory is wanted.
    pub(crate) fn open(digest: Digest, count: u32, shown: Vec<(Kind, Arc<str>, Version)>) -> (Self, bool) {
        let deleted = wire::owned::report_hash(Kind::Pod, &serde_json::json!({"deleted": true}));
        let shows =
            shown.iter().fold(Digest::EMPTY, |sum, (kind, uid, hash)| sum.with(kind.name(), uid, *hash));
        let equal = shows == digest && shown.len() == count as usize;
        let told = if equal {
            shown.into_iter().map(|(kind, uid, hash)| ((kind, uid), hash)).collect()
        } else {
            BTreeMap::new()
        };
        (Self { deleted, told, asks: BTreeMap::new(), taking: !equal }, !equal)
    }

    /// The inventory is wanted once more.
    pub(crate) const fn take_again(&mut self) {
        self.taking = true;
    }

    /// A part of the inventory. Answers the keys that differ; parts that nobody asked for are ignored.
    pub(crate) fn inventory(&mut self, part: ReportInventory, shown: impl Fn(&Key) -> Shown) -> Vec<Key> {
        if !self.taking {
            return Vec::new();
        }
        self.taking = !part.last;
        let mut differ = Vec::new();
        for item in part.items {
            let kind = Kind::parse(&item.kind).filter(|kind| matches!(kind, Kind::Pod | Kind::Node));
            let (Some(kind), Some(hash)) = (kind, Version::from_slice(&item.hash)) else { continue };
            // No object has such a UID.
            if item.uid.len() > MAX_TEXT {
                continue;
            }
            let key = (kind, Arc::from(item.uid));
            self.told(&key, hash);
            if self.differs(&key, shown(&key)) == Some(true) {
                differ.push(key);
            }
        }
        differ
    }

    /// The edge said something of an object.
    pub(crate) fn told(&mut self, key: &Key, hash: Version) {
        if key.0 == Kind::Node {
            // One Node per edge: another UID is its successor.
            self.told.retain(|(kind, uid), _| *kind != Kind::Node || *uid == key.1);
            self.asks.retain(|(kind, uid), _| *kind != Kind::Node || *uid == key.1);
        }
        if self.told.len() < MOST || self.told.contains_key(key) {
            self.told.insert(key.clone(), hash);
        }
    }

    /// There is nothing more to compare of an object.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.told.remove(key);
        self.asks.remove(key);
    }

    /// The cluster shows this now.
    pub(crate) fn changed(&mut self, key: &Key, shown: Shown, now: Elapsed, random: f64) {
        if self.differs(key, shown) != Some(false) {
            self.look_again(key, now, random);
        }
    }

    /// Looks again soon, because something changed, or a report was refused.
    pub(crate) fn look_again(&mut self, key: &Key, now: Elapsed, random: f64) {
        if !self.told.contains_key(key) {
            return;
        }
        let fresh = || Ask { due: None, touched: now, backoff: Backoff::new(ASK.0, ASK.1) };
        let ask = self.asks.entry(key.clone()).or_insert_with(fresh);
        if ask.due.is_some() {
            return;
        }
        if now.since(ask.touched) > FORGET {
            ask.backoff.reset();
        }
        ask.due = Some(now.plus(ask.backoff.next(random)));
        ask.touched = now;
    }

    /// The keys to ask for now. What is `busy` is looked at later.
    pub(crate) fn due(
        &mut self,
        now: Elapsed,
        random: impl Fn() -> f64,
        busy: impl Fn(&Key) -> bool,
        shown: impl Fn(&Key) -> Shown,
    ) -> Vec<Key> {
        let late = |ask: &Ask| ask.due.is_some_and(|due| due <= now);
        let keys: Vec<Key> =
            self.asks.iter().filter(|(_, ask)| late(ask)).map(|(key, _)| key.clone()).collect();
        let mut wanted = Vec::new();
        for key in keys {
            let differs = if busy(&key) { None } else { Some(self.differs(&key, shown(&key))) };
            let Some(ask) = self.asks.get_mut(&key) else { continue };
            match differs {
                // Asked, waiting for a deletion, or under way: it may well differ afterwards.
                Some(Some(true) | None) | None => {
                    ask.due = Some(now.plus(ask.backoff.next(random())));
                    ask.touched = now;
                }
                Some(Some(false)) => ask.due = None,
            }
            if differs == Some(Some(true)) {
                wanted.push(key);
            }
        }
        self.asks.retain(|_, ask| ask.due.is_some() || now.since(ask.touched) <= FORGET);
        wanted
    }

    /// When [`Compare::due`] has something to look at.
    pub(crate) fn deadline(&self) -> Option<Elapsed> {
        self.asks.values().filter_map(|ask| ask.due).min()
    }

    /// Whether the cluster shows something else; `None` where that is not so now but waits for a change that no
    /// status shows.
    fn differs(&self, key: &Key, shown: Shown) -> Option<bool> {
        let told = self.told.get(key)?;
        match shown {
            Shown::Absent => Some(false),
            Shown::Missing => Some(true),
            Shown::Status(_, deleting) if *told == self.deleted => deleting.then_some(true),
            Shown::Status(hash, _) => Some(hash != *told),
        }
    }
}
