//! What a simulated edge makes of frames.

use super::*;
use wire::{Body, Delete, HeartbeatAck, InSync, SyncPoint, WantInventory};

fn upsert(frame: u64, kind: Kind, uid: &str, text: &str) -> DownFrame {
    Upsert {
        frame,
        kind: kind.name().to_owned(),
        namespace: "default".to_owned(),
        name: format!("name-of-{uid}"),
        uid: uid.to_owned(),
        version: Version::of(text.as_bytes()).to_vec(),
        body: Some(Body::pack(text.as_bytes()).unwrap()),
        seen: String::new(),
    }
    .into()
}

fn take(held: &mut Held, frames: impl IntoIterator<Item = DownFrame>) -> Effects {
    let mut effects = Effects::default();
    for frame in frames {
        held.take(frame, &mut effects).unwrap();
    }
    effects.commit();
    effects
}

fn digest_of(members: &[(&str, &str, &str)]) -> Digest {
    let add = |sum: Digest, (kind, uid, text): &(&str, &str, &str)| {
        sum.with(kind, uid, Version::of(text.as_bytes()))
    };
    members.iter().fold(Digest::EMPTY, add)
}

#[test]
fn what_is_applied_counts_and_is_acknowledged_once() {
    let mut held = Held::default();
    let digest = digest_of(&[("Secret", "b", "{\"b\":2}")]);
    let effects = take(
        &mut held,
        [
            upsert(1, Kind::ConfigMap, "a", "{\"a\":1}"),
            upsert(2, Kind::Secret, "b", "{\"b\":2}"),
            Delete { frame: 3, kind: "ConfigMap".to_owned(), uid: "a".to_owned(), seen: String::new() }
                .into(),
            SyncPoint { frame: 4, digest: digest.to_vec(), count: 1, seen: Vec::new() }.into(),
        ],
    );
    assert_eq!(effects.answers, [Ack { frame: 4, rejected: Vec::new() }.into()]);
    assert_eq!((effects.in_sync, held.digest()), (Some(true), (digest, 1)));
    assert_eq!(effects.applied.len(), 2);
    assert!(effects.applied.iter().all(|applied| !applied.again));
}

#[test]
fn the_same_version_once_more_is_told_apart() {
    let mut held = Held::default();
    let effects = take(
        &mut held,
        [
            upsert(1, Kind::Pod, "a", "{}"),
            upsert(2, Kind::Pod, "a", "{}"),
            upsert(3, Kind::Pod, "a", "{\"x\":1}"),
        ],
    );
    assert_eq!(effects.applied.iter().map(|applied| applied.again).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(held.digest(), (digest_of(&[("Pod", "a", "{\"x\":1}")]), 1));
}

#[test]
fn another_digest_at_a_sync_point_is_a_mismatch_and_the_inventory_follows() {
    let mut held = Held::default();
    take(&mut held, [upsert(1, Kind::Pod, "a", "{}")]);
    let effects = take(&mut held, [InSync { digest: Digest(7).to_vec(), seen: Vec::new() }.into()]);
    assert_eq!(effects.in_sync, Some(false));
    let Some(wire::up_frame::Content::Mismatch(mismatch)) = &effects.answers[0].content else { panic!() };
    assert_eq!((mismatch.frame, mismatch.count), (1, 1));

    let effects = take(&mut held, [WantInventory::default().into()]);
    let Some(wire::up_frame::Content::Inventory(inventory)) = &effects.answers[0].content else { panic!() };
    assert!(inventory.last && inventory.items.len() == 1 && inventory.items[0].uid == "a");
    let effects = take(&mut Held::default(), [WantInventory::default().into()]);
    assert_eq!(effects.answers, [Inventory { last: true, ..Inventory::default() }.into()]);
}

#[test]
fn what_cannot_be_applied_is_rejected_by_name_and_counts() {
    let mut held = Held::default();
    let mut broken = upsert(1, Kind::ConfigMap, "a", "{\"a\":1}");
    if let Some(Content::Upsert(upsert)) = &mut broken.content {
        upsert.version = vec![7; 16];
    }
    let effects = take(&mut held, [broken]);
    let Some(wire::up_frame::Content::Ack(ack)) = &effects.answers[0].content else { panic!() };
    assert!(ack.rejected[0].uid == "a" && ack.rejected[0].reason.contains("version"));
    assert_eq!((effects.applied.len(), held.digest().1), (0, 1));
}

#[test]
fn a_pod_that_is_being_deleted_is_told_once() {
    let mut held = Held::default();
    let deleting = "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}";
    let effects = take(
        &mut held,
        [
            upsert(1, Kind::Pod, "a", "{}"),
            upsert(2, Kind::Pod, "a", deleting),
            upsert(3, Kind::Pod, "a", deleting),
        ],
    );
    assert_eq!(effects.deleting, ["a"]);
}

#[test]
fn a_missing_frame_is_broken_and_a_session_numbers_anew() {
    let mut held = Held::default();
    take(&mut held, [upsert(1, Kind::Pod, "a", "{}")]);
    let broken = held.take(upsert(3, Kind::Pod, "b", "{}"), &mut Effects::default());
    assert!(broken.unwrap_err().0.contains("frame 3 came where 2 was due"));
    held.begin();
    take(&mut held, [upsert(1, Kind::Pod, "b", "{}")]);
    assert_eq!((held.digest().1, held.frame()), (2, 1));
}

#[test]
fn a_digest_that_the_cloud_doubts_is_sent_with_the_next_beat() {
    let mut held = Held::default();
    let same = take(&mut held, [HeartbeatAck { seq: 1, digest: Digest::EMPTY.to_vec() }.into()]);
    let none = take(&mut held, [HeartbeatAck { seq: 2, digest: Vec::new() }.into()]);
    let other = take(&mut held, [HeartbeatAck { seq: 3, digest: Digest(1).to_vec() }.into()]);
    assert_eq!((same.doubted, none.doubted, other.doubted), (false, false, true));
}
