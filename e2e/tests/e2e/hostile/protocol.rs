//! Frames that no edge sends at that moment: the session ends with the reason, or nothing comes of it.

#![expect(clippy::too_many_lines, reason = "a table is as long as its cases are many")]

use wire::down_frame::Content;
use wire::{
    Ack, Digest, Heartbeat, Inventory, InventoryGroup, InventoryItem, Mismatch, Rejected, ReportInventory,
    ReportItem, UpFrame,
};

use super::{Answer, NAME, Scene, expect};
use crate::handmade::{Session, hello};

/// A session in which the cloud has asked for the inventory, which is still owed.
fn owing(scene: &Scene) -> Session {
    let greeting = wire::Hello { digest: vec![9; 16], count: 1, ..hello(NAME) };
    let (mut session, _) = Session::open(&scene.world.lab, &scene.member, greeting).unwrap();
    session.next(|content| matches!(content, Content::WantInventory(_)).then_some(())).unwrap();
    session
}

/// A session whose first comparison is over and acknowledged.
fn settled(scene: &Scene) -> Session {
    let mut session = owing(scene);
    session.send(Inventory { last: true, ..Inventory::default() }).unwrap();
    let frame = session.next(
        |content| {
            if let Content::SyncPoint(point) = content { Some(point.frame) } else { None }
        },
    );
    session.send(Ack { frame: frame.unwrap(), rejected: Vec::new() }).unwrap();
    session
}

/// What a case starts from.
type Start = fn(&Scene) -> Session;

fn items(n: usize, item: &InventoryItem) -> Vec<InventoryItem> {
    vec![item.clone(); n]
}

fn group(uids: usize, versions: usize) -> InventoryGroup {
    InventoryGroup { kind: "Pod".into(), uids: vec![1; uids], versions: vec![1; versions] }
}

#[test]
fn a_session_that_breaks_the_protocol_ends_alone() {
    let scene = Scene::new("hostile-protocol");
    let good = InventoryItem { kind: "Pod".into(), uid: "u".into(), version: vec![1; 16] };
    let long = "x".repeat(300);
    let rejected = Rejected {
        kind: "Secret".into(),
        namespace: "kube-system".into(),
        name: "foreign".into(),
        uid: scene.foreign.uid.clone(),
        reason: "forged".into(),
    };
    let cases: Vec<(&str, Start, UpFrame, Answer)> = vec![
        ("a second Hello", settled, hello(NAME).into(), Answer::End("a second Hello")),
        (
            "an inventory that nobody asked for",
            settled,
            Inventory { last: true, ..Inventory::default() }.into(),
            Answer::End("nobody asked for"),
        ),
        (
            "a frame acknowledged that was not sent",
            settled,
            Ack { frame: 1 << 40, rejected: Vec::new() }.into(),
            Answer::End("acknowledged, of"),
        ),
        (
            "an item without a version",
            owing,
            Inventory {
                items: vec![InventoryItem { version: Vec::new(), ..good.clone() }],
                ..Inventory::default()
            }
            .into(),
            Answer::End("has no version"),
        ),
        (
            "an item with half a version",
            owing,
            Inventory {
                items: vec![InventoryItem { version: vec![1; 8], ..good.clone() }],
                ..Inventory::default()
            }
            .into(),
            Answer::End("has no version"),
        ),
        (
            "an item with a long kind",
            owing,
            Inventory {
                items: vec![InventoryItem { kind: long.clone(), ..good.clone() }],
                ..Inventory::default()
            }
            .into(),
            Answer::End("a kind or UID of more than"),
        ),
        (
            "an item with a long UID",
            owing,
            Inventory { items: vec![InventoryItem { uid: long, ..good.clone() }], ..Inventory::default() }
                .into(),
            Answer::End("a kind or UID of more than"),
        ),
        (
            "an inventory of too many objects",
            owing,
            Inventory {
                items: items(
                    100_001,
                    &InventoryItem { kind: "P".into(), uid: "u".into(), version: vec![1; 16] },
                ),
                ..Inventory::default()
            }
            .into(),
            Answer::End("an inventory of more than"),
        ),
        (
            "a group of more UIDs than versions",
            owing,
            Inventory { groups: vec![group(32, 16)], ..Inventory::default() }.into(),
            Answer::End("not the same number"),
        ),
        (
            "a group of too many objects",
            owing,
            Inventory { groups: vec![group(16 * 100_001, 16 * 100_001)], ..Inventory::default() }.into(),
            Answer::End("an inventory of more than"),
        ),
        (
            "rejections of what is another's",
            settled,
            Ack { frame: 1, rejected: vec![rejected; 200] }.into(),
            Answer::Silence,
        ),
        (
            "a mismatch of a frame that was never sent",
            settled,
            Mismatch { frame: 1 << 40, digest: vec![1; 16], count: 1 }.into(),
            Answer::Silence,
        ),
        (
            "a beat with half a digest",
            settled,
            Heartbeat { seq: 3, engine_alive: true, digest: vec![1; 7], applied: 9 }.into(),
            Answer::Silence,
        ),
        (
            "hashes of reports that nobody made",
            settled,
            ReportInventory {
                items: vec![
                    ReportItem {
                        kind: "Pod".into(),
                        uid: scene.foreign.uid.clone(),
                        hash: vec![1; 16]
                    };
                    500
                ],
                last: true,
            }
            .into(),
            Answer::Silence,
        ),
        ("a frame of a kind of another time", settled, UpFrame { content: None }, Answer::Silence),
    ];
    assert_eq!(cases.len(), 15);
    for (what, start, frame, answer) in cases {
        let ends = matches!(answer, Answer::End(_));
        match expect(start(&scene), frame, &answer) {
            Ok(session) => assert_eq!(session.is_none(), ends, "{what}"),
            Err(error) => panic!("{what}: {answer:?} was expected: {error:#}"),
        }
    }
    for (what, bytes) in
        [("garbage", vec![0xff_u8; 64]), ("a frame with a length beyond its end", vec![0x0a, 0x7f, 0x01])]
    {
        let mut session = settled(&scene);
        session.send_bytes(bytes).unwrap();
        let reason = session.next(|content| {
            if let Content::GoAway(goodbye) = content { Some(goodbye.reason.clone()) } else { None }
        });
        assert!(reason.unwrap().contains("frame is malformed"), "{what}");
    }
    lies_about_what_it_holds(&scene);
    takes_nothing(&scene);
    let events = scene.world.kubectl(&["get", "events", "-o", "json"]).unwrap();
    assert!(!events.contains("forged"), "a rejection of what is another's made an event");
    scene.nobody_else_noticed();
}

/// An edge that says again and again that it holds something else is compared ever more rarely.
fn lies_about_what_it_holds(scene: &Scene) {
    let mut session = settled(scene);
    for seq in 1..=200 {
        let digest = Digest(u128::from(seq)).to_vec();
        session.send(Heartbeat { seq, engine_alive: true, digest, applied: 1 << 40 }).unwrap();
    }
    let asked = std::cell::Cell::new(0);
    let answered = session.next(|content| {
        asked.set(asked.get() + u32::from(matches!(content, Content::WantInventory(_))));
        matches!(content, Content::HeartbeatAck(ack) if ack.seq == 200).then_some(())
    });
    answered.unwrap();
    assert!(asked.get() <= 2, "compared {} times", asked.get());
}

/// An edge that reads nothing while it asks for much loses its session and holds up nobody.
fn takes_nothing(scene: &Scene) {
    let session = settled(scene);
    let report =
        wire::Report { id: 1, kind: "Gadget".into(), name: "x".repeat(200), ..wire::Report::default() };
    for _ in 0..20_000 {
        if session.send(report.clone()).is_err() {
            return;
        }
    }
    // It was taken in all the same: then what it did not read was bounded, and the honest edge is served.
    drop(session);
}
