//! A `Hello` is the same after the way it travels, whatever it says.

use proptest::prelude::*;

use super::*;
use crate::{DecodeError, KINDS, UpFrame, decode_up, encode, up_frame};

const ID: &str = "0ac77b53-4ec5-4d8d-8c4a-dd5d04995064";

fn travelled(hello: Hello) -> Hello {
    let frame = decode_up(&encode(&UpFrame::from(hello.short()))).unwrap();
    let Some(up_frame::Content::Hello(hello)) = frame.content else { panic!("no Hello") };
    hello
}

/// Lists without an order of their own in an order of ours.
fn sorted(mut hello: Hello) -> Hello {
    hello.kinds.sort();
    hello.seen.sort_by(|a, b| (&a.kind, &a.resource_version).cmp(&(&b.kind, &b.resource_version)));
    hello
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; UUID]>().prop_map(|bytes| uuid_text(&bytes)),
        "[a-fA-F0-9-]{0,40}",
        Just(String::new())
    ]
}

fn kind() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(&KINDS[..]).prop_map(|kind| kind.name().to_owned()),
        "[A-Z][a-z]{0,6}"
    ]
}

fn resource_version() -> impl Strategy<Value = String> {
    prop_oneof![any::<u64>().prop_map(|number| number.to_string()), "[0-9a-f+]{0,4}"]
}

fn hello() -> impl Strategy<Value = Hello> {
    let ids = (id(), id(), id(), id());
    let kinds = proptest::collection::btree_set(kind(), 0..8);
    let seen = proptest::collection::vec((kind(), resource_version()), 0..8);
    (ids, kinds, seen).prop_map(|((node_uid, cluster_id, store_id, boot_id), kinds, seen)| Hello {
        node_uid,
        cluster_id,
        store_id,
        boot_id,
        kinds: kinds.into_iter().collect(),
        seen: seen
            .into_iter()
            .map(|(kind, resource_version)| KindVersion { kind, resource_version })
            .collect(),
        ..Hello::default()
    })
}

proptest! {
    #[test]
    fn a_hello_comes_as_it_was(hello in hello()) {
        prop_assert_eq!(sorted(travelled(hello.clone())), sorted(hello));
    }

    #[test]
    fn whatever_is_short_is_refused_or_read(
        uuids in proptest::collection::vec(any::<u8>(), 0..80),
        kind_numbers: u64,
        seen_numbers in proptest::collection::vec(any::<u64>(), 0..4),
    ) {
        let fits = uuids.first().is_none_or(|which| uuids.len() == 1 + which.count_ones() as usize * UUID)
            && (seen_numbers.is_empty() || seen_numbers.len() == kind_numbers.count_ones() as usize);
        let hello = Hello { uuids, kind_numbers, seen_numbers, ..Hello::default() };
        prop_assert_eq!(hello.long().is_ok(), fits);
    }
}

#[test]
fn a_usual_hello_has_half_of_its_length() {
    let seen =
        KINDS.map(|kind| KindVersion { kind: kind.name().to_owned(), resource_version: "1234".to_owned() });
    let hello = Hello {
        node_uid: ID.to_owned(),
        cluster_id: ID.to_owned(),
        store_id: ID.to_owned(),
        boot_id: ID.to_owned(),
        kinds: KINDS.map(|kind| kind.name().to_owned()).to_vec(),
        seen: seen.to_vec(),
        ..Hello::default()
    };
    let (long, short) = (encode(&hello).len(), encode(&hello.clone().short()).len());
    assert_eq!((long, short), (310, 163));
    assert_eq!(travelled(hello.clone()), hello);
}

#[test]
fn an_edge_of_a_later_release_is_understood_as_far_as_it_goes() {
    // A fourth UUID that is none of ours, and a kind by number 40 between Node and another that nobody knows.
    let uuids = [&[0b1001][..], &[0x0a; UUID], &[0xff; UUID]].concat();
    let hello = Hello { uuids, kind_numbers: 1 | 1 << 40, seen_numbers: vec![7, 8], ..Hello::default() };
    let read = hello.long().unwrap();
    assert_eq!(read.node_uid, "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a");
    assert_eq!(read.seen, [KindVersion { kind: "Node".to_owned(), resource_version: "7".to_owned() }]);
}

#[test]
fn a_cloud_that_reads_text_only_is_told_what_keeps_objects_where_they_are() {
    let kinds = KINDS.map(|kind| kind.name().to_owned()).to_vec();
    let hello = Hello { cluster_id: ID.to_owned(), kinds, count: 7, ..Hello::default() };
    let Hello { cluster_id, kinds, count, .. } = hello.clone().short();
    assert_eq!((cluster_id, kinds, count), (hello.cluster_id, hello.kinds, 7));
}

#[test]
fn what_does_not_fit_together_says_what() {
    let refused = |hello: Hello| match decode_up(&encode(&UpFrame::from(hello))) {
        Err(DecodeError::Hello(why)) => why.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(Hello { uuids: vec![3; 17], ..Hello::default() }),
        "uuids in Hello: 16 bytes where the first byte says 2 UUIDs"
    );
    assert_eq!(
        refused(Hello { kind_numbers: 1, seen_numbers: vec![1, 2], ..Hello::default() }),
        "seen_numbers in Hello: 2 resourceVersions of 1 kinds"
    );
}
