//! What is grouped comes apart again, and buckets differ exactly where their objects do.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn uid() -> impl Strategy<Value = String> {
    prop_oneof![any::<[u8; ID]>().prop_map(|bytes| uuid_text(&bytes)), "[a-fA-F0-9-]{0,40}"]
}

fn items() -> impl Strategy<Value = Vec<InventoryItem>> {
    let item = ("[A-Z][a-z]{0,4}", uid(), any::<[u8; ID]>()).prop_map(|(kind, uid, version)| InventoryItem {
        kind,
        uid,
        version: version.to_vec(),
    });
    proptest::collection::vec(item, 0..60)
}

fn sorted(items: impl IntoIterator<Item = InventoryItem>) -> Vec<(String, String, Vec<u8>)> {
    let mut all: Vec<_> = items.into_iter().map(|item| (item.kind, item.uid, item.version)).collect();
    all.sort();
    all
}

fn buckets(count: u32, items: &[InventoryItem]) -> Buckets {
    let mut buckets = Buckets::new(count).unwrap();
    for item in items {
        buckets.add(&item.kind, &item.uid, Version::from_slice(&item.version).unwrap());
    }
    buckets
}

proptest! {
    #[test]
    fn what_is_grouped_comes_apart_again(items in items(), last: bool) {
        let part = Inventory::grouped(items.clone(), last);
        prop_assert_eq!((part.count(), part.last), (items.len(), last));
        prop_assert_eq!(sorted(part.unpack().unwrap()), sorted(items));
    }

    #[test]
    fn buckets_differ_where_their_objects_do(
        mut items in items(),
        changed in any::<[u8; ID]>(),
        count in 1..=MAX_BUCKETS,
    ) {
        let before = buckets(count, &items);
        prop_assert_eq!(before.differing(&before.to_vec()), Some(Vec::new()));
        let Some(first) = items.first_mut().filter(|first| first.version != changed) else { return Ok(()) };
        first.version = changed.to_vec();
        let at = before.of(&first.kind, &first.uid);
        prop_assert_eq!(before.differing(&buckets(count, &items).to_vec()), Some(vec![at]));
    }

    #[test]
    fn whatever_a_group_says_is_refused_or_as_many_as_it_says(
        uids in proptest::collection::vec(any::<u8>(), 0..100),
        versions in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let even = uids.len() == versions.len() && uids.len() % ID == 0;
        let group = InventoryGroup { kind: "Pod".to_owned(), uids, versions };
        let part = Inventory { groups: vec![group], ..Inventory::default() };
        let count = part.count();
        prop_assert_eq!(part.unpack().ok().map(Iterator::count), even.then_some(count));
    }
}

#[test]
fn what_is_asked_for_is_picked() {
    let item =
        |uid: &str| InventoryItem { kind: "Pod".to_owned(), uid: uid.to_owned(), version: vec![1; ID] };
    let held: Vec<_> = (0..50).map(|at| item(&format!("u-{at}"))).collect();
    let pick = |want: WantInventory| want.pick(held.clone());
    assert_eq!(pick(WantInventory::default()), Some(Picked::Objects(held.clone())));
    assert_eq!(
        pick(WantInventory { buckets: 9, wanted: Vec::new() }),
        Some(Picked::Digests(buckets(9, &held).to_vec()))
    );
    let mut told = Vec::new();
    for wanted in [vec![0, 4, 8], vec![1, 2, 3, 5, 6, 7], vec![99]] {
        let Some(Picked::Objects(some)) = pick(WantInventory { buckets: 9, wanted }) else { panic!() };
        told.extend(some);
    }
    assert_eq!(sorted(told), sorted(held.clone()));
    assert_eq!(pick(WantInventory { buckets: MAX_BUCKETS + 1, wanted: Vec::new() }), None);
}

#[test]
fn only_the_usual_spelling_of_a_uuid_is_packed() {
    let usual = "0ac77b53-4ec5-4d8d-8c4a-dd5d04995064";
    assert_eq!(uuid_text(&uuid_bytes(usual).unwrap()), usual);
    for other in [
        "",
        "u-1",
        "0AC77b53-4ec5-4d8d-8c4a-dd5d04995064",
        "0ac77b534ec54d8d8c4add5d04995064",
        "0ac77b5-34ec5-4d8d-8c4a-dd5d04995064",
        "0ac77b53-4ec5-4d8d-8c4a-dd5d049950640",
        "0ac77b53-4ec5-4d8d-8c4a-dd5d0499506",
        "0ac77b53-4ec5-4d8d-8c4a-dd5d0499506g",
        "0ac77b53-4ec5-4d8d-8c4a-dd5d049950é",
    ] {
        assert_eq!(uuid_bytes(other), None, "{other}");
    }
}

#[test]
fn digests_of_another_number_of_buckets_are_none() {
    let four = Buckets::new(4).unwrap();
    for length in [0, 15, 17, 20] {
        assert_eq!(four.differing(&vec![0; length]), None);
    }
    assert_eq!((Buckets::new(0), Buckets::new(MAX_BUCKETS + 1)), (None, None));
}

#[test]
fn there_are_as_many_buckets_as_serve_the_number_of_objects() {
    assert_eq!((Buckets::best(0), Buckets::best(FEW - 1)), (None, None));
    assert_eq!((Buckets::best(104), Buckets::best(u32::MAX)), (Some(28), Some(MAX_BUCKETS)));
    // Objects spread over them.
    let items = (0..104).map(|at| InventoryItem {
        kind: "Pod".to_owned(),
        uid: format!("u-{at}"),
        version: vec![0; ID],
    });
    let buckets = Buckets::new(28).unwrap();
    let used: BTreeSet<u32> = items.map(|item| buckets.of(&item.kind, &item.uid)).collect();
    assert!(used.len() > 20 && used.iter().all(|at| *at < 28), "{used:?}");
}
