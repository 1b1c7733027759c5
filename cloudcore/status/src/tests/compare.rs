//! Level-triggering.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kit::Elapsed;
use proptest::prelude::*;
use serde_json::json;
use wire::{Digest, Kind, ReportInventory, ReportItem, Version, owned};

use crate::compare::{Compare, Shown};
use crate::report::Key;

fn pod(uid: &str) -> Key {
    (Kind::Pod, Arc::from(uid))
}

fn hash(text: &str) -> Version {
    Version::of(text.as_bytes())
}

fn deleted() -> Version {
    owned::report_hash(Kind::Pod, &json!({"deleted": true}))
}

fn at(millis: u64) -> Elapsed {
    Elapsed::from_millis(millis)
}

/// A session whose inventory is on its way.
fn taking() -> Compare {
    Compare::open(Digest(7), 3, Vec::new()).0
}

fn inventory(items: &[(&Key, Version)]) -> ReportInventory {
    let item = |((kind, uid), hash): &(&Key, Version)| ReportItem {
        kind: kind.name().into(),
        uid: uid.to_string(),
        hash: hash.to_vec(),
    };
    ReportInventory { items: items.iter().map(item).collect(), last: true }
}

#[test]
fn equal_digests_ask_for_nothing() {
    let shown = vec![(Kind::Pod, Arc::from("a"), hash("x"))];
    let digest = Digest::EMPTY.with("Pod", "a", hash("x"));
    let (mut compare, differ) = Compare::open(digest, 1, shown.clone());
    assert!(!differ);
    assert!(Compare::open(digest, 2, shown).1);
    // An inventory that nobody asked for asks for nothing either.
    assert!(
        compare
            .inventory(inventory(&[(&pod("a"), hash("y"))]), |_| Shown::Status(hash("x"), false))
            .is_empty()
    );
    // The edge's word is known from the digest, so a later change is seen.
    compare.changed(&pod("a"), Shown::Status(hash("z"), false), at(0), 1.0);
    assert_eq!(compare.due(at(1000), || 1.0, |_| false, |_| Shown::Status(hash("z"), false)), [pod("a")]);
}

#[test]
fn a_uid_that_no_object_has_is_not_remembered() {
    let [most, long] = [253, 254].map(|length| pod(&"u".repeat(length)));
    let told = [(&most, hash("y")), (&long, hash("y"))];
    let differ = taking().inventory(inventory(&told), |_| Shown::Status(hash("x"), false));
    assert_eq!(differ, [most]);
}

#[test]
fn an_inventory_asks_for_what_differs() {
    let [same, other, ended, absent] = ["a", "b", "c", "d"].map(pod);
    let node = (Kind::Node, Arc::from(""));
    let told = [
        (&same, hash("x")),
        (&other, hash("y")),
        (&ended, deleted()),
        (&absent, hash("x")),
        (&node, hash("n")),
    ];
    let differ = taking().inventory(inventory(&told), |key| match &*key.1 {
        "a" => Shown::Status(hash("x"), false),
        "b" => Shown::Status(hash("z"), false),
        "c" => Shown::Status(hash("z"), true),
        "" => Shown::Missing,
        _ => Shown::Absent,
    });
    assert_eq!(differ, [other, ended, node]);
}

#[test]
fn our_own_write_asks_for_nothing() {
    let mut compare = taking();
    compare.told(&pod("a"), hash("x"));
    compare.changed(&pod("a"), Shown::Status(hash("x"), false), at(0), 0.5);
    assert_eq!(compare.deadline(), None);
    // The watch is behind: it shows somebody else's first, ours when it is looked at.
    compare.changed(&pod("a"), Shown::Status(hash("other"), false), at(0), 0.5);
    let due = compare.deadline().unwrap();
    assert!(compare.due(due, || 0.5, |_| false, |_| Shown::Status(hash("x"), false)).is_empty());
    assert_eq!(compare.deadline(), None);
}

#[test]
fn what_is_under_way_is_not_asked_for() {
    let mut compare = taking();
    compare.told(&pod("a"), hash("x"));
    let other = |_: &Key| Shown::Status(hash("other"), false);
    compare.changed(&pod("a"), other(&pod("a")), at(0), 0.5);
    assert!(compare.due(at(1000), || 0.5, |_| true, other).is_empty());
    assert_eq!(compare.due(at(10_000), || 0.5, |_| false, other), [pod("a")]);
}

#[test]
fn a_deletion_that_begins_later_is_noticed() {
    let mut compare = taking();
    compare.told(&pod("a"), deleted());
    compare.look_again(&pod("a"), at(0), 1.0);
    let status = |deleting| move |_: &Key| Shown::Status(hash("x"), deleting);
    assert!(compare.due(at(1000), || 1.0, |_| false, status(false)).is_empty());
    let due = compare.deadline().unwrap();
    assert_eq!(compare.due(due, || 1.0, |_| false, status(true)), [pod("a")]);
    compare.forget(&pod("a"));
    assert_eq!(compare.deadline(), None);
}

#[test]
fn a_new_node_takes_the_place_of_the_old() {
    let mut compare = taking();
    let (unborn, born) = ((Kind::Node, Arc::from("")), (Kind::Node, Arc::from("n1")));
    compare.told(&unborn, hash("x"));
    compare.look_again(&unborn, at(0), 0.5);
    compare.told(&born, hash("x"));
    assert_eq!(compare.deadline(), None);
}

proptest! {
    /// A difference that no write removes is asked for ever more rarely, one that is removed no more at all.
    #[test]
    fn a_difference_that_stays_costs_little(random in 0.0_f64..1.0, changes in 1_usize..40) {
        let mut compare = taking();
        let differs = |_: &Key| Shown::Status(hash("other"), false);
        compare.told(&pod("a"), hash("x"));
        let mut asked = 0;
        let hour = Duration::from_hours(1);
        let mut now = at(0);
        let gap = hour / u32::try_from(changes).unwrap();
        let mut next_change = at(0);
        while now.0 < hour {
            if now >= next_change {
                compare.changed(&pod("a"), differs(&pod("a")), now, random);
                next_change = next_change.plus(gap);
            }
            asked += compare.due(now, || random, |_| false, differs).len();
            now = compare.deadline().map_or(next_change, |due| due.min(next_change)).max(now.plus(Duration::from_millis(1)));
        }
        prop_assert!((8..=40).contains(&asked), "asked {asked} times in an hour");
        let same = |_: &Key| Shown::Status(hash("x"), false);
        compare.due(at(7_200_000), || random, |_| false, same);
        prop_assert_eq!(compare.deadline(), None);
    }

    /// Whatever happens in between, once all is quiet exactly what differs has been asked for.
    #[test]
    fn nothing_that_differs_is_forgotten(
        steps in proptest::collection::vec((0_u8..3, 0_u8..3, 0_u8..3), 1..60),
    ) {
        let mut compare = taking();
        let mut cluster: BTreeMap<Key, Version> = BTreeMap::new();
        let mut told: BTreeMap<Key, Version> = BTreeMap::new();
        let mut now = at(0);
        for (uid, action, value) in steps {
            let key = pod(&uid.to_string());
            let value = hash(&value.to_string());
            if action == 0 {
                compare.told(&key, value);
                told.insert(key, value);
            } else {
                cluster.insert(key.clone(), value);
                compare.changed(&key, Shown::Status(value, false), now, 0.5);
            }
            now = now.plus(Duration::from_millis(100));
        }
        let shown = |key: &Key| cluster.get(key).map_or(Shown::Absent, |hash| Shown::Status(*hash, false));
        // A report that was told is written by the queue, and its write then shows: the watch says so.
        for key in told.keys() {
            compare.changed(key, shown(key), now, 0.5);
        }
        let asked = compare.due(now.plus(Duration::from_mins(6)), || 0.5, |_| false, shown);
        let differ: Vec<Key> = told.iter()
            .filter(|(key, hash)| cluster.get(*key).is_some_and(|shown| shown != *hash))
            .map(|(key, _)| key.clone())
            .collect();
        prop_assert_eq!(asked, differ);
    }
}
