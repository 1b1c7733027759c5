//! What an edge last said against what the cluster shows. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kit::{Backoff, Elapsed};
use wire::{Digest, Kind, ReportItem, Version};

/// First wait before one key is asked for again, and the longest.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// After a write the watch may take so long to show it.
const WATCH_LAG: Duration = Duration::from_secs(3);

/// A status of the cluster: kind, UID, hash of what the edge owns of it.
pub(crate) type Shown = (Kind, Arc<str>, Version);

#[derive(Debug)]
struct Known {
    reported: Version,
    backoff: Backoff,
    /// Not asked for before.
    not_before: Elapsed,
    /// To be looked at again.
    look_at: Option<Elapsed>,
}

/// What one edge last said, by kind and UID.
#[derive(Debug, Default)]
pub struct Compare {
    known: BTreeMap<(Kind, Arc<str>), Known>,
}

impl Compare {
    /// A session opened. `true` where the edge's last reports are just what the cluster shows, so that nothing needs
    /// to be asked.
    pub fn opened(&mut self, digest: Digest, count: u32, shown: &[Shown]) -> bool {
        let sum =
            shown.iter().fold(Digest::EMPTY, |sum, (kind, uid, hash)| sum.with(kind.name(), uid, *hash));
        let equal = sum == digest && shown.len() == count as usize;
        if equal {
            for (kind, uid, hash) in shown {
                self.reported(*kind, uid, *hash);
            }
        }
        equal
    }

    /// The edge's inventory of reports. Answers the UIDs, as the edge calls them, of those to be sent again: where
    /// the cluster shows something else, and for a Node that does not exist.
    pub fn inventory(&mut self, items: &[ReportItem], shown: &[Shown]) -> Vec<String> {
        let mut wanted = Vec::new();
        for item in items {
            let (Some(kind), Some(hash)) = (Kind::parse(&item.kind), Version::from_slice(&item.hash)) else {
                continue;
            };
            // There is one Node, and before it exists it has no UID.
            let found =
                shown.iter().find(|(of, uid, _)| *of == kind && (kind == Kind::Node || **uid == *item.uid));
            match found {
                Some((_, uid, there)) => {
                    self.reported(kind, uid, hash);
                    if *there != hash {
                        wanted.push(item.uid.clone());
                    }
                }
                None if kind == Kind::Node => wanted.push(item.uid.clone()),
                // The pod is gone; the edge will hear of that as of every deletion.
                None => {}
            }
        }
        wanted
    }

    /// The edge said this.
    pub fn reported(&mut self, kind: Kind, uid: &Arc<str>, hash: Version) {
        let known = self.known.entry(key(kind, uid)).or_insert_with(|| Known {
            reported: hash,
            backoff: Backoff::new(ASK_AGAIN.0, ASK_AGAIN.1),
            not_before: Elapsed::default(),
            look_at: None,
        });
        known.reported = hash;
    }

    /// What the edge said was written: the watch will show it soon, or somebody else wrote in between.
    pub fn written(&mut self, kind: Kind, uid: &Arc<str>, hash: Version, now: Elapsed) {
        self.reported(kind, uid, hash);
        if let Some(known) = self.known.get_mut(&key(kind, uid)) {
            known.look_at = Some(now.plus(WATCH_LAG));
        }
    }

    /// The cluster shows this (`None`: there is no such object any more). `true` where the report is wanted again
    /// now; otherwise, where it differs, it is looked at again later.
    pub fn shown(
        &mut self,
        kind: Kind,
        uid: &Arc<str>,
        hash: Option<Version>,
        now: Elapsed,
        random: f64,
    ) -> bool {
        let key = key(kind, uid);
        let Some(hash) = hash else {
            self.known.remove(&key);
            return false;
        };
        let Some(known) = self.known.get_mut(&key) else { return false };
        if known.reported == hash {
            known.look_at = None;
            if known.not_before <= now {
                known.backoff.reset();
            }
            return false;
        }
        if known.not_before > now {
            known.look_at = Some(known.not_before);
            return false;
        }
        let wait = known.backoff.next(random);
        known.not_before = now.plus(wait);
        known.look_at = Some(known.not_before);
        true
    }

    /// Keys that are to be looked at by now; the Node comes without its UID.
    pub fn due(&self, now: Elapsed) -> Vec<(Kind, Arc<str>)> {
        self.known
            .iter()
            .filter(|(_, known)| known.look_at.is_some_and(|at| at <= now))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// When the next key is to be looked at.
    pub fn next_due(&self) -> Option<Elapsed> {
        self.known.values().filter_map(|known| known.look_at).min()
    }

    /// Looks at a key a little later, since a report of it is under way.
    pub fn postpone(&mut self, kind: Kind, uid: &Arc<str>, now: Elapsed) {
        if let Some(known) = self.known.get_mut(&key(kind, uid)) {
            known.look_at = Some(now.plus(WATCH_LAG));
        }
    }
}

/// A session has one Node, and reports on it may come before it has a UID.
fn key(kind: Kind, uid: &Arc<str>) -> (Kind, Arc<str>) {
    (kind, if kind == Kind::Node { Arc::default() } else { Arc::clone(uid) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> Version {
        Version::of(text.as_bytes())
    }

    fn item(kind: &str, uid: &str, text: &str) -> ReportItem {
        ReportItem { kind: kind.into(), uid: uid.into(), hash: hash(text).to_vec() }
    }

    #[test]
    fn an_equal_edge_is_asked_nothing() {
        let shown = [(Kind::Node, "n".into(), hash("a")), (Kind::Pod, "p".into(), hash("b"))];
        let digest = Digest::EMPTY.with("Pod", "p", hash("b")).with("Node", "n", hash("a"));
        assert!(Compare::default().opened(digest, 2, &shown));
        assert!(!Compare::default().opened(digest, 2, &shown[..1]));
    }

    #[test]
    fn what_differs_is_asked_for_and_what_is_gone_is_not() {
        let shown = [(Kind::Node, "n".into(), hash("Unknown")), (Kind::Pod, "p".into(), hash("same"))];
        let items = [
            item("Node", "", "Ready"),
            item("Pod", "p", "same"),
            item("Pod", "gone", "x"),
            item("Gadget", "g", "x"),
        ];
        assert_eq!(Compare::default().inventory(&items, &shown), [""]);
        assert_eq!(
            Compare::default().inventory(&items[..1], &[]),
            [""],
            "a Node that does not exist is made"
        );
    }

    #[test]
    fn two_spellings_cannot_chase_each_other() {
        let mut compare = Compare::default();
        let uid: Arc<str> = "p".into();
        compare.reported(Kind::Pod, &uid, hash("a"));
        let (mut now, mut asked) = (Elapsed::default(), 0);
        let end = now.plus(Duration::from_hours(1));
        while now < end {
            asked += u32::from(compare.shown(Kind::Pod, &uid, Some(hash("A")), now, 0.99));
            now = compare.next_due().unwrap();
        }
        assert!((15..30).contains(&asked), "asked {asked} times in an hour");
        assert!(!compare.shown(Kind::Pod, &uid, Some(hash("a")), now, 0.5));
        assert_eq!(compare.next_due(), None);
    }

    #[test]
    fn what_others_changed_while_a_write_was_under_way_is_seen_later() {
        let mut compare = Compare::default();
        let (uid, now): (Arc<str>, _) = ("p".into(), Elapsed::default());
        compare.written(Kind::Pod, &uid, hash("mine"), now);
        assert!(compare.due(now).is_empty());
        let later = now.plus(WATCH_LAG);
        assert_eq!(compare.due(later).len(), 1);
        assert!(compare.shown(Kind::Pod, &uid, Some(hash("theirs")), later, 0.5));
    }
}
