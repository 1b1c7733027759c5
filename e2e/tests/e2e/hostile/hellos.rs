//! Hellos that are not true, not sane, or none.

#![expect(clippy::too_many_lines, reason = "a table is as long as its cases are many")]

use wire::down_frame::Content;
use wire::{Heartbeat, Hello, KindVersion, RefusedCode, UpFrame};

use super::{NAME, Scene};
use crate::handmade::{LogSince, Session, hello};
use crate::world::EDGE;

#[test]
fn a_hello_that_is_not_true_or_not_sane_opens_no_session() {
    let scene = Scene::new("hostile-hellos");
    let long = || "x".repeat(300);
    let many = |n: usize| vec!["x".to_owned(); n];
    let base = || hello(NAME);
    let seen = KindVersion { kind: "Pod".to_owned(), resource_version: "1".to_owned() };
    let cases: Vec<(&str, Hello, RefusedCode, &str)> = vec![
        ("another's name", hello(EDGE), RefusedCode::WrongName, "the certificate is that of node hostile"),
        ("no name", hello(""), RefusedCode::WrongName, "the certificate is that of node hostile"),
        ("a name with a suffix", hello("hostile.x"), RefusedCode::WrongName, "claims to be hostile.x"),
        ("a name in capitals", hello("HOSTILE"), RefusedCode::WrongName, "claims to be HOSTILE"),
        ("a long name", hello(&long()), RefusedCode::Other, "node_name in Hello"),
        (
            "a later protocol",
            Hello { protocol_min: 9, protocol_max: 12, ..base() },
            RefusedCode::Protocol,
            "no protocol in common",
        ),
        (
            "no protocol",
            Hello { protocol_min: 0, protocol_max: 0, ..base() },
            RefusedCode::Protocol,
            "no protocol in common",
        ),
        (
            "protocols upside down",
            Hello { protocol_min: 5, protocol_max: 1, ..base() },
            RefusedCode::Protocol,
            "no protocol in common",
        ),
        (
            "another cluster",
            Hello { cluster_id: "another".to_owned(), ..base() },
            RefusedCode::WrongCluster,
            "the edge belongs to another",
        ),
        ("a long cluster", Hello { cluster_id: long(), ..base() }, RefusedCode::Other, "cluster_id in Hello"),
        ("a long Node UID", Hello { node_uid: long(), ..base() }, RefusedCode::Other, "node_uid in Hello"),
        ("a long store id", Hello { store_id: long(), ..base() }, RefusedCode::Other, "store_id in Hello"),
        ("a long boot id", Hello { boot_id: long(), ..base() }, RefusedCode::Other, "boot_id in Hello"),
        (
            "a long version",
            Hello { agent_version: long(), ..base() },
            RefusedCode::Other,
            "agent_version in Hello",
        ),
        ("many features", Hello { features: many(1_000), ..base() }, RefusedCode::Other, "features in Hello"),
        ("many kinds", Hello { kinds: many(1_000), ..base() }, RefusedCode::Other, "kinds in Hello"),
        (
            "many versions seen",
            Hello { seen: vec![seen; 1_000], ..base() },
            RefusedCode::Other,
            "seen in Hello",
        ),
        ("the last epoch of all", Hello { last_epoch: u64::MAX, ..base() }, RefusedCode::Other, "last_epoch"),
    ];
    let number = cases.len();
    let log = LogSince::now(scene.world.lab.cloud_log(1));
    for (what, greeting, code, words) in cases {
        let (_, answer) = Session::open(&scene.world.lab, &scene.member, greeting).unwrap();
        let Content::Refused(refused) = answer else { panic!("{what}: {answer:?}") };
        assert_eq!(refused.code, code as i32, "{what}: {}", refused.reason);
        assert!(refused.reason.contains(words), "{what}: {}", refused.reason);
        log.expect(&["session refused", NAME, words]).unwrap();
    }
    assert_eq!(number, 18);
    no_hello_at_all(&scene);
    odd_but_harmless(&scene);
    scene.nobody_else_noticed();
}

/// First frames that are none.
fn no_hello_at_all(scene: &Scene) {
    let frame = |frame: UpFrame| wire::encode(&frame);
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("a beat first", frame(Heartbeat::default().into()), "the first frame is no Hello"),
        ("an inventory first", frame(wire::Inventory::default().into()), "the first frame is no Hello"),
        ("nothing", Vec::new(), "the first frame is no Hello"),
        ("garbage", vec![0xff; 64], "frame is malformed"),
        ("half a Hello", frame(hello(NAME).into())[..40].to_vec(), "frame is malformed"),
    ];
    for (what, bytes, words) in cases {
        let mut session =
            Session::connect(&scene.world.lab, &scene.member.identity, &scene.member.bundle).unwrap();
        session.send_bytes(bytes).unwrap();
        let refused = session.next(|content| {
            if let Content::Refused(refused) = content { Some(refused.reason.clone()) } else { None }
        });
        let reason = refused.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert!(reason.contains(words), "{what}: {reason}");
    }
}

/// What makes no sense and does no harm: a session opens, and is served.
fn odd_but_harmless(scene: &Scene) {
    let base = || hello(NAME);
    let ahead = KindVersion { kind: "Pod".to_owned(), resource_version: u128::MAX.to_string() };
    let word = KindVersion { kind: "Pod".to_owned(), resource_version: "soon".to_owned() };
    let cases = [
        ("a digest of three bytes", Hello { digest: vec![1, 2, 3], ..base() }),
        ("no digest", Hello { digest: Vec::new(), ..base() }),
        ("a count of all", Hello { count: u32::MAX, reports_count: u32::MAX, ..base() }),
        ("another projection", Hello { projection_version: 99, ..base() }),
        ("a version that no cluster reaches", Hello { seen: vec![ahead], ..base() }),
        ("a version that is a word", Hello { seen: vec![word], ..base() }),
        ("kinds that nobody knows", Hello { kinds: vec!["Gadget".to_owned()], ..base() }),
    ];
    for (what, greeting) in cases {
        let (mut session, answer) = Session::open(&scene.world.lab, &scene.member, greeting).unwrap();
        assert!(matches!(answer, Content::Welcome(_)), "{what}: {answer:?}");
        session.send(Heartbeat { seq: 1, engine_alive: true, ..Heartbeat::default() }).unwrap();
        let beaten = session.next(|content| matches!(content, Content::HeartbeatAck(_)).then_some(()));
        beaten.unwrap_or_else(|error| panic!("{what}: {error:#}"));
    }
}
