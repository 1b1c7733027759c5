//! Whatever changes, is lost or is confirmed late: in the end the edge holds what is desired, and nothing is sent
//! that it holds already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloudcore_index::Object;
use kit::Elapsed;
use proptest::prelude::*;
use wire::{
    Ack, Body, Digest, DownFrame, Encoding, Heartbeat, Inventory, InventoryGroup, InventoryItem, KINDS, Kind,
    KindVersion, Mismatch, ObjectKey, Picked, Version, down_frame,
};

use crate::admit::Agreed;
use crate::session::{Desired, Session};

/// A desired set that is just there.
#[derive(Default)]
struct World {
    objects: BTreeMap<(Kind, Arc<str>), Arc<Object>>,
    unsure: BTreeSet<Kind>,
    superseded: bool,
    seen: Vec<KindVersion>,
}

impl Desired for World {
    fn get(&self, kind: Kind, uid: &str) -> Option<Arc<Object>> {
        self.objects.get(&(kind, uid.into())).filter(|_| !self.superseded).cloned()
    }

    fn snapshot(&self) -> Vec<(Kind, Arc<str>, Version)> {
        self.objects.iter().map(|((kind, uid), object)| (*kind, Arc::clone(uid), object.version)).collect()
    }

    fn may_delete(&self, kind: Kind, _uid: &str) -> bool {
        !self.superseded && !self.unsure.contains(&kind)
    }

    fn is_current(&self) -> bool {
        !self.superseded
    }

    fn has_all_pods(&self) -> bool {
        !self.superseded && !self.unsure.contains(&Kind::Pod)
    }

    fn seen(&self) -> Vec<KindVersion> {
        self.seen.clone()
    }

    fn seen_of(&self, kind: Kind) -> String {
        let of_kind = self.seen.iter().find(|seen| seen.kind == kind.name());
        of_kind.map(|seen| seen.resource_version.clone()).unwrap_or_default()
    }
}

impl World {
    fn put(&mut self, kind: Kind, uid: &str, data: &str) -> (Kind, Arc<str>) {
        let object = Object {
            key: ObjectKey::new(kind, "ns", uid),
            uid: uid.into(),
            version: Version::of(data.as_bytes()),
            body: Some(Arc::new(Body::pack_by_dictionary(data.as_bytes()).unwrap())),
            resource_version: "1".into(),
            detail: cloudcore_index::Detail::Plain,
        };
        self.objects.insert((kind, uid.into()), Arc::new(object));
        (kind, uid.into())
    }
}

/// An edge that does as it is told.
#[derive(Default)]
struct Edge {
    held: BTreeMap<(String, String), Version>,
    frame: u64,
    upserts: usize,
    deletes: usize,
    mismatch: Option<Mismatch>,
    in_sync: bool,
}

impl Edge {
    fn digest(&self) -> Digest {
        self.held.iter().fold(Digest::EMPTY, |sum, ((kind, uid), version)| sum.with(kind, uid, *version))
    }

    fn items(&self) -> Vec<InventoryItem> {
        let item = |((kind, uid), version): (&(String, String), &Version)| InventoryItem {
            kind: kind.clone(),
            uid: uid.clone(),
            version: version.to_vec(),
        };
        self.held.iter().map(item).collect()
    }

    fn inventory(&self) -> Inventory {
        Inventory { items: self.items(), last: true, ..Inventory::default() }
    }

    /// Answers until nothing more is asked for, as an edge that knows groups and buckets does.
    fn answer(&self, first: DownFrame, session: &mut Session, world: &World) {
        let mut asked = Some(first);
        while let Some(down_frame::Content::WantInventory(want)) = asked.and_then(|frame| frame.content) {
            let part = match want.pick(self.items()).unwrap() {
                Picked::Digests(digests) => Inventory { digests, last: true, ..Inventory::default() },
                Picked::Objects(items) => Inventory::grouped(items, true),
            };
            asked = session.inventory(part, world).unwrap();
        }
    }

    /// Takes a frame; `true` where the inventory is wanted.
    fn take(&mut self, frame: DownFrame) -> bool {
        #[expect(clippy::wildcard_enum_match_arm, reason = "a session's down side sends nothing else")]
        match frame.content.unwrap() {
            down_frame::Content::WantInventory(_) => return true,
            down_frame::Content::InSync(sync) => self.in_sync = sync.digest == self.digest().to_vec(),
            down_frame::Content::Upsert(upsert) => {
                assert_eq!(upsert.frame, self.frame + 1);
                self.frame = upsert.frame;
                self.upserts += 1;
                let version = Version::from_slice(&upsert.version).unwrap();
                let before = self.held.insert((upsert.kind, upsert.uid), version);
                assert_ne!(before, Some(version), "sent what the edge holds");
            }
            down_frame::Content::Delete(delete) => {
                assert_eq!(delete.frame, self.frame + 1);
                self.frame = delete.frame;
                self.deletes += 1;
                assert!(
                    self.held.remove(&(delete.kind, delete.uid)).is_some(),
                    "deleted what the edge has not"
                );
            }
            down_frame::Content::SyncPoint(point) => {
                assert_eq!(point.frame, self.frame + 1);
                self.frame = point.frame;
                self.in_sync =
                    point.digest == self.digest().to_vec() && point.count as usize == self.held.len();
                if !self.in_sync {
                    let digest = self.digest().to_vec();
                    self.mismatch = Some(Mismatch { frame: point.frame, digest, count: 0 });
                }
            }
            other => panic!("unexpected {other:?}"),
        }
        false
    }
}

/// What is agreed with an edge of this release.
fn agreed() -> Agreed {
    Agreed { protocol: 1, kinds: KINDS.into_iter().collect(), dictionary: true, compact: true }
}

/// Opens a session and runs it until nothing more is sent.
fn connect(world: &World, edge: &mut Edge) -> Session {
    edge.frame = 0;
    let count = u32::try_from(edge.held.len()).unwrap();
    let (mut session, first) = Session::open(agreed(), &edge.digest().to_vec(), count, &[], world);
    if edge.take(first.clone()) {
        edge.answer(first, &mut session, world);
    }
    settle(&mut session, world, edge, Elapsed::default());
    session
}

fn settle(session: &mut Session, world: &World, edge: &mut Edge, mut now: Elapsed) {
    loop {
        let frames = session.pump(world, now);
        assert!(frames.len() <= 65);
        if frames.is_empty() {
            match (edge.mismatch.take(), session.deadline()) {
                (Some(mismatch), _) => session.mismatch(&mismatch, now, 0.5),
                (None, Some(at)) => now = at,
                (None, None) => return,
            }
            continue;
        }
        for outgoing in frames {
            if edge.take(outgoing.frame.clone()) {
                edge.answer(outgoing.frame, session, world);
            }
        }
        session.ack(Ack { frame: edge.frame, rejected: Vec::new() }, Elapsed::default()).unwrap();
    }
}

fn holds(edge: &Edge) -> BTreeMap<(String, String), Version> {
    edge.held.clone()
}

fn wants(world: &World) -> BTreeMap<(String, String), Version> {
    let snapshot = world.snapshot().into_iter();
    snapshot.map(|(kind, uid, version)| ((kind.name().to_owned(), uid.to_string()), version)).collect()
}

#[test]
fn an_equal_edge_gets_nothing() {
    let mut world = World::default();
    world.put(Kind::Pod, "a", "1");
    let mut edge = Edge::default();
    connect(&world, &mut edge);
    assert_eq!((edge.upserts, edge.in_sync), (1, true));
    let session = connect(&world, &mut edge);
    assert_eq!((edge.upserts, edge.deletes, edge.in_sync), (1, 0, true));
    assert_eq!(session.deadline(), None);
}

#[test]
fn an_equal_edge_hears_only_of_resource_versions_that_it_did_not_say() {
    let of = |kind: Kind, version: &str| KindVersion {
        kind: kind.name().to_owned(),
        resource_version: version.to_owned(),
    };
    let seen = vec![of(Kind::Node, "9"), of(Kind::Pod, "5"), of(Kind::Secret, "7")];
    let world = World { seen, ..World::default() };
    let said = [of(Kind::Pod, "5"), of(Kind::Secret, "8")];
    let (_, first) = Session::open(agreed(), &Digest::EMPTY.to_vec(), 0, &said, &world);
    let Some(down_frame::Content::InSync(sync)) = first.content else { panic!() };
    assert_eq!(sync.seen, [of(Kind::Node, "9"), of(Kind::Secret, "7")]);
}

#[test]
fn an_object_brings_along_how_far_its_kind_was_seen_where_that_is_news() {
    let of = |kind: Kind, version: &str| KindVersion {
        kind: kind.name().to_owned(),
        resource_version: version.to_owned(),
    };
    let mut world = World { seen: vec![of(Kind::Pod, "5"), of(Kind::Secret, "7")], ..World::default() };
    let said = [of(Kind::Pod, "5")];
    let (mut session, first) = Session::open(agreed(), &[1; 16], 1, &said, &world);
    Edge::default().answer(first, &mut session, &world);
    let sent = |session: &mut Session, world: &World| -> Vec<String> {
        let frames = session.pump(world, Elapsed::default());
        #[expect(clippy::wildcard_enum_match_arm, reason = "only objects are looked at")]
        let seen = frames.into_iter().filter_map(|out| match out.frame.content.unwrap() {
            down_frame::Content::Upsert(upsert) => Some(format!("{} {}", upsert.uid, upsert.seen)),
            down_frame::Content::Delete(delete) => Some(format!("{} {}", delete.uid, delete.seen)),
            _ => None,
        });
        seen.collect()
    };
    let put = [(Kind::Secret, "s1"), (Kind::Secret, "s2"), (Kind::Pod, "p")];
    session.changed(put.map(|(kind, uid)| world.put(kind, uid, "1")));
    assert_eq!(sent(&mut session, &world), ["s1 7", "s2 ", "p "], "the edge said that it saw the pods");
    let key = (Kind::Pod, Arc::from("p"));
    world.objects.remove(&key);
    world.seen[0] = of(Kind::Pod, "9");
    session.changed([key]);
    assert_eq!(sent(&mut session, &world), ["p 9"]);
}

#[test]
fn only_the_difference_goes_down_in_order() {
    let mut world = World::default();
    world.put(Kind::Pod, "p", "1");
    world.put(Kind::Secret, "s", "1");
    world.put(Kind::Node, "n", "1");
    let count = |edge: &Edge| (edge.upserts, edge.deletes);
    let mut edge = Edge::default();
    connect(&world, &mut edge);
    assert_eq!(count(&edge), (3, 0));
    world.put(Kind::Secret, "s", "2");
    world.objects.remove(&(Kind::Pod, "p".into()));
    let (mut session, first) = Session::open(agreed(), &edge.digest().to_vec(), 3, &[], &world);
    assert!(edge.take(first));
    session.inventory(edge.inventory(), &world).unwrap();
    let kinds: Vec<_> =
        session.pump(&world, Elapsed::default()).into_iter().filter_map(|out| out.counts).collect();
    assert_eq!(kinds, [(Kind::Secret, "upsert"), (Kind::Pod, "delete")]);
}

#[test]
fn nothing_is_deleted_that_is_not_known_to_be_gone() {
    let mut world = World::default();
    let mut edge = Edge::default();
    for uid in ["a", "b"] {
        world.put(Kind::Pod, uid, "1");
        world.put(Kind::ConfigMap, uid, "1");
    }
    connect(&world, &mut edge);
    world.objects.clear();
    world.unsure.insert(Kind::Pod);
    let mut session = connect(&world, &mut edge);
    assert_eq!((edge.held.len(), edge.deletes, edge.in_sync), (2, 2, true), "pods stay, the digest says so");
    world.unsure.clear();
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((edge.held.len(), edge.in_sync), (0, true));
}

#[test]
fn an_edge_without_pods_is_not_told_that_it_has_all_before_all_are_known() {
    let mut world = World::default();
    world.put(Kind::Node, "n", "1");
    world.put(Kind::Pod, "seen", "1");
    world.unsure.insert(Kind::Pod);
    let mut edge = Edge::default();
    let mut session = connect(&world, &mut edge);
    assert_eq!((edge.upserts, edge.in_sync), (2, false), "what is known flows");
    world.put(Kind::Pod, "unseen", "1");
    session.changed([(Kind::Pod, "unseen".into())]);
    world.unsure.clear();
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((edge.upserts, edge.in_sync), (3, true));
    // Nor does a later doubt hold up the same session.
    world.unsure.insert(Kind::Pod);
    session.changed([world.put(Kind::Node, "n", "later")]);
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((edge.upserts, edge.in_sync), (4, true));
    // One that has pods goes on, though somewhere one cannot be read.
    edge.in_sync = false;
    let mut session = connect(&world, &mut edge);
    assert!(edge.in_sync);
    session.changed([world.put(Kind::Node, "n", "2")]);
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((edge.upserts, edge.in_sync), (5, true));
}

#[test]
fn what_has_no_body_is_asked_for_and_what_may_need_it_waits() {
    let mut world = World::default();
    for (kind, uid) in [(Kind::Node, "n"), (Kind::Secret, "s"), (Kind::Pod, "p"), (Kind::Pod, "gone")] {
        world.put(kind, uid, "1");
    }
    let whole = |world: &World, key: &(Kind, Arc<str>)| Object::clone(&world.objects[key]);
    let mut edge = Edge::default();
    edge.held.insert(("Pod".into(), "gone".into()), Version::of(b"1"));
    world.objects.remove(&(Kind::Pod, "gone".into()));
    let key = (Kind::Secret, Arc::from("s"));
    let secret = whole(&world, &key);
    world.objects.insert(key.clone(), Arc::new(Object { body: None, ..secret.clone() }));
    let mut session = connect(&world, &mut edge);
    let lacking: Vec<_> = session.lacking().iter().map(|object| &*object.uid).collect();
    assert_eq!(lacking, ["s"]);
    assert_eq!((edge.upserts, edge.deletes, edge.in_sync), (1, 1, false), "the Node, and what is gone");
    world.objects.insert(key, Arc::new(secret));
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((edge.upserts, edge.in_sync, session.lacking().len()), (3, true, 0));
    // Digests are compared without any body.
    for object in world.objects.values_mut() {
        *object = Arc::new(Object { body: None, ..Object::clone(object) });
    }
    edge.in_sync = false;
    let session = connect(&world, &mut edge);
    assert!(edge.in_sync && session.lacking().is_empty());
}

#[test]
fn an_equal_edge_without_pods_waits_too() {
    let mut world = World::default();
    world.put(Kind::Node, "n", "1");
    let mut edge = Edge::default();
    connect(&world, &mut edge);
    edge.in_sync = false;
    world.unsure.insert(Kind::Pod);
    let mut session = connect(&world, &mut edge);
    assert!(!edge.in_sync);
    world.unsure.clear();
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((edge.upserts, edge.in_sync), (1, true), "nothing is sent again");
}

#[test]
fn a_superseded_session_sends_nothing_more() {
    let mut world = World::default();
    world.put(Kind::Pod, "a", "1");
    let mut edge = Edge::default();
    let mut session = connect(&world, &mut edge);
    world.superseded = true;
    session.changed([(Kind::Pod, "a".into())]);
    assert_eq!(session.pump(&world, Elapsed::default()), []);
    // Nor where it was opened by an edge that holds something else, and is superseded before the comparison.
    world.put(Kind::Pod, "b", "1");
    let (mut session, first) = Session::open(agreed(), &edge.digest().to_vec(), 1, &[], &world);
    assert!(edge.take(first));
    session.inventory(edge.inventory(), &world).unwrap();
    assert_eq!(session.pump(&world, Elapsed::default()), []);
}

#[test]
fn the_window_is_kept() {
    let mut world = World::default();
    for n in 0..200 {
        world.put(Kind::ConfigMap, &format!("u{n}"), "1");
    }
    let (mut session, _) = Session::open(agreed(), &[], 0, &[], &world);
    session.inventory(Inventory { last: true, ..Inventory::default() }, &world).unwrap();
    assert_eq!(session.pump(&world, Elapsed::default()).len(), 64);
    assert!(session.pump(&world, Elapsed::default()).is_empty());
    assert_eq!(session.in_flight().0, 64);
    let later = Elapsed::from_millis(70);
    let acked = session.ack(Ack { frame: 10, rejected: Vec::new() }, later).unwrap();
    assert_eq!((session.in_flight().0, acked.waited), (54, Some(std::time::Duration::from_millis(70))));
    let again = session.ack(Ack { frame: 10, rejected: Vec::new() }, later).unwrap();
    assert_eq!(again.waited, None, "it was acknowledged before");
    assert_eq!(session.pump(&world, Elapsed::default()).len(), 10);
    assert!(session.ack(Ack { frame: 999, rejected: Vec::new() }, Elapsed::default()).is_err());
}

#[test]
fn what_is_foreign_is_left_alone_and_counts() {
    let world = World::default();
    let mut edge = Edge::default();
    edge.held.insert(("Gadget".into(), "g".into()), Version::of(b"x"));
    connect(&world, &mut edge);
    assert_eq!((edge.held.len(), edge.in_sync), (1, true));
}

#[test]
fn an_inventory_is_bounded_in_every_way() {
    let world = World::default();
    let item = |kind: &str, uid: &str| InventoryItem {
        kind: kind.into(),
        uid: uid.into(),
        version: Version::of(b"x").to_vec(),
    };
    let part = |items| Inventory { items, ..Inventory::default() };
    let open = || Session::open(agreed(), &[], 1, &[], &world).0;
    let (most, long) = ("u".repeat(253), "u".repeat(254));
    open().inventory(part(vec![item("Gadget", &most)]), &world).unwrap();
    for item in [item("Gadget", &long), item(&long, "u")] {
        let broken = open().inventory(part(vec![item]), &world).unwrap_err();
        assert!(broken.0.contains("253 bytes") && broken.0.len() < 100, "{broken}");
    }
    let bare = InventoryItem { version: vec![1], ..item("Pod", "u") };
    assert!(open().inventory(part(vec![bare]), &world).unwrap_err().0.contains("no version"));
    let group = |kind: &str, uids, versions| {
        let group = InventoryGroup { kind: kind.into(), uids: vec![1; uids], versions: vec![1; versions] };
        Inventory { groups: vec![group], ..Inventory::default() }
    };
    open().inventory(group(&most, 160, 160), &world).unwrap();
    for (part, why) in [
        (group(&long, 16, 16), "253 bytes"),
        (group("Pod", 16, 32), "not the same number"),
        (group("Pod", 15, 15), "not the same number"),
        (group("Pod", 16 * 100_001, 16 * 100_001), "100000 objects"),
        (group(&most, 16 * 99_000, 16 * 99_000), "16777216 bytes"),
    ] {
        let broken = open().inventory(part, &world).unwrap_err();
        assert!(broken.0.contains(why), "{broken}");
    }
    // Parts that never end: as many long ones as the bytes allow, which is fewer than the objects allowed.
    let mut session = open();
    let mut taken = 0;
    let broken = loop {
        match session.inventory(part(vec![item(&most, &most); 1000]), &world) {
            Ok(_) => taken += 1000,
            Err(broken) => break broken,
        }
    };
    assert!(broken.0.contains("bytes") && (30_000..40_000).contains(&taken), "{taken}: {broken}");
}

/// A set of forty ConfigMaps, and an edge that has it.
fn forty() -> (World, Edge) {
    let mut world = World::default();
    for n in 0..40 {
        world.put(Kind::ConfigMap, &format!("0ac77b53-4ec5-4d8d-8c4a-dd5d049950{n:02}"), "1");
    }
    let mut edge = Edge::default();
    connect(&world, &mut edge);
    (world, edge)
}

#[test]
fn of_many_objects_only_those_near_a_difference_are_told() {
    let (mut world, mut edge) = forty();
    let changed = world.put(Kind::ConfigMap, "0ac77b53-4ec5-4d8d-8c4a-dd5d04995007", "2");
    edge.held.insert(("Gadget".into(), "g".into()), Version::of(b"x"));
    edge.held.insert(("Pod".into(), "gone".into()), Version::of(b"x"));
    let (mut session, first) = Session::open(agreed(), &edge.digest().to_vec(), 42, &[], &world);
    let Some(down_frame::Content::WantInventory(want)) = first.content else { panic!() };
    assert_eq!(want, wire::WantInventory { buckets: 18, wanted: Vec::new() });
    let Some(Picked::Digests(digests)) = want.pick(edge.items()) else { panic!() };
    let part = Inventory { digests, last: true, ..Inventory::default() };
    let next = session.inventory(part, &world).unwrap().unwrap();
    let Some(down_frame::Content::WantInventory(want)) = next.content.clone() else { panic!() };
    assert!((1..=3).contains(&want.wanted.len()), "{want:?}");
    // What changes meanwhile, told already or not, is not forgotten.
    let later = [
        world.put(Kind::ConfigMap, "0ac77b53-4ec5-4d8d-8c4a-dd5d04995021", "2"),
        world.put(Kind::ConfigMap, "new", "1"),
        (Kind::ConfigMap, "0ac77b53-4ec5-4d8d-8c4a-dd5d04995033".into()),
    ];
    world.objects.remove(&later[2]);
    session.changed(later);
    let (upserts, deletes) = (edge.upserts, edge.deletes);
    edge.frame = 0;
    edge.answer(next, &mut session, &world);
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((edge.upserts - upserts, edge.deletes - deletes, edge.in_sync), (3, 2, true));
    assert_eq!(edge.held[&("ConfigMap".to_owned(), changed.1.to_string())], Version::of(b"2"));
    edge.held.remove(&("Gadget".to_owned(), "g".to_owned()));
    assert_eq!(holds(&edge), wants(&world));
}

#[test]
fn buckets_that_look_equal_and_are_not_end_in_a_comparison_of_everything() {
    let (mut world, mut edge) = forty();
    world.put(Kind::ConfigMap, "0ac77b53-4ec5-4d8d-8c4a-dd5d04995007", "2");
    let (mut session, first) = Session::open(agreed(), &edge.digest().to_vec(), 40, &[], &world);
    // As though the digests of the bucket that differs were the same.
    let pretended = Edge { held: wants(&world), ..Edge::default() };
    pretended.answer(first, &mut session, &world);
    edge.frame = 0;
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((session.take_drifts(), edge.in_sync), (1, true));
    assert_eq!(holds(&edge), wants(&world));
}

#[test]
fn digests_must_be_of_as_many_buckets_as_were_asked_for() {
    let (world, _) = forty();
    for length in [0, 71, 73, 76] {
        let (mut session, _) = Session::open(agreed(), &[], 42, &[], &world);
        let part = Inventory { digests: vec![0; length], last: true, ..Inventory::default() };
        let broken = session.inventory(part, &world).unwrap_err();
        assert!(broken.0.contains("18 buckets"), "{broken}");
    }
}

#[test]
fn an_edge_of_an_older_release_is_asked_for_everything_and_gets_what_it_can_read() {
    let mut world = World::default();
    let text = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","data":{{"a":"{}"}}}}"#, "x".repeat(200));
    for n in 0..40 {
        world.put(Kind::ConfigMap, &format!("u{n}"), &text);
    }
    for dictionary in [true, false] {
        let agreed = Agreed { dictionary, compact: false, ..agreed() };
        let (mut session, first) = Session::open(agreed, &[], 40, &[], &world);
        assert_eq!(first, wire::WantInventory::default().into());
        session.inventory(Inventory { last: true, ..Inventory::default() }, &world).unwrap();
        let sent = session.pump(&world, Elapsed::default());
        let mut bodies = 0;
        for outgoing in sent {
            if let Some(down_frame::Content::Upsert(upsert)) = outgoing.frame.content {
                let body = upsert.body.unwrap();
                let wanted = if dictionary { Encoding::ZstdKubernetes1 } else { Encoding::Zstd };
                assert_eq!((body.encoding(), body.unpack().unwrap()), (wanted, text.clone().into_bytes()));
                bodies += 1;
            }
        }
        assert_eq!(bodies, 40);
    }
}

#[test]
fn drift_is_noticed_counted_and_healed() {
    let mut world = World::default();
    world.put(Kind::Pod, "a", "1");
    world.put(Kind::Pod, "b", "1");
    let mut edge = Edge::default();
    let mut session = connect(&world, &mut edge);
    edge.held.remove(&("Pod".to_owned(), "a".to_owned()));
    let beat = Heartbeat { seq: 1, engine_alive: true, digest: edge.digest().to_vec(), applied: edge.frame };
    session.heartbeat(&beat, Elapsed::default(), 0.5);
    session.heartbeat(&beat, Elapsed::default(), 0.5);
    assert_eq!(session.take_drifts(), 1);
    settle(&mut session, &world, &mut edge, Elapsed::default());
    assert_eq!((holds(&edge), edge.in_sync), (wants(&world), true));
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Put {
        kind: usize,
        uid: u8,
        data: u8,
    },
    Remove {
        kind: usize,
        uid: u8,
    },
    /// The session pumps and the edge takes so many of the frames before the link breaks or all are acknowledged.
    Exchange {
        frames: u8,
        cut: bool,
    },
    /// The edge loses an object.
    Lose {
        n: u8,
    },
    Unsure {
        kind: usize,
    },
    Sure,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_usize, 0..4_u8, 0..3_u8).prop_map(|(kind, uid, data)| Step::Put { kind, uid, data }),
        2 => (0..6_usize, 0..4_u8).prop_map(|(kind, uid)| Step::Remove { kind, uid }),
        3 => (0..5_u8, any::<bool>()).prop_map(|(frames, cut)| Step::Exchange { frames, cut }),
        1 => any::<u8>().prop_map(|n| Step::Lose { n }),
        1 => (0..6_usize).prop_map(|kind| Step::Unsure { kind }),
        1 => Just(Step::Sure),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn in_the_end_the_edge_holds_what_is_desired(steps in proptest::collection::vec(step(), 0..60)) {
        let mut world = World::default();
        let mut edge = Edge::default();
        let mut session = connect(&world, &mut edge);
        for step in steps {
            match step {
                Step::Put { kind, uid, data } => {
                    let key = world.put(KINDS[kind], &format!("u{uid}"), &format!("{data}"));
                    session.changed([key]);
                }
                Step::Remove { kind, uid } => {
                    let key = (KINDS[kind], Arc::from(format!("u{uid}")));
                    world.objects.remove(&key);
                    session.changed([key]);
                }
                Step::Exchange { frames, cut } => {
                    let out = session.pump(&world, Elapsed::default());
                    let taken = if cut { usize::from(frames) } else { out.len() };
                    for outgoing in out.into_iter().take(taken) {
                        if edge.take(outgoing.frame) {
                            session.inventory(edge.inventory(), &world).unwrap();
                        }
                    }
                    if cut {
                        edge.mismatch = None;
                        session = connect(&world, &mut edge);
                    } else {
                        session.ack(Ack { frame: edge.frame, rejected: Vec::new() }, Elapsed::default()).unwrap();
                    }
                }
                Step::Lose { n } => {
                    // Between sessions only: a frame that is under way would trip over it.
                    let key = edge.held.keys().nth(usize::from(n) % edge.held.len().max(1)).cloned();
                    key.map(|key| edge.held.remove(&key));
                    edge.mismatch = None;
                    session = connect(&world, &mut edge);
                }
                Step::Unsure { kind } => { world.unsure.insert(KINDS[kind]); }
                Step::Sure => world.unsure.clear(),
            }
        }
        world.unsure.clear();
        settle(&mut session, &world, &mut edge, Elapsed::default());
        prop_assert_eq!(holds(&edge), wants(&world));
        prop_assert!(edge.in_sync);
    }
}
