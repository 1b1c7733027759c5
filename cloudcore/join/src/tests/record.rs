//! Who is a node.

use super::*;
use proptest::prelude::*;

fn spki(n: u8) -> Spki {
    Spki([n; 32])
}

fn record(key: u8, bound: i64, revoked: Option<i64>) -> Record {
    let revoked = revoked.map(|at| (WallTime(at), "the Node was deleted".to_owned()));
    Record {
        node: "n".to_owned(),
        spki: spki(key),
        generation: 3,
        bound: WallTime(bound),
        node_uid: None,
        revoked,
    }
}

#[test]
fn who_gets_a_name() {
    let now = WallTime(100);
    let claim = |key, exact: Option<i64>| Claim { node: "n", spki: spki(key), exact: exact.map(WallTime) };
    let held = record(1, 50, None);
    let gone = record(1, 50, Some(70));
    let rebound = |answer| matches!(answer, Ok(Binding::Rebind(Record { generation: 4, revoked: None, .. })));
    // Nobody has it.
    assert!(matches!(bind(None, &claim(1, None), now), Ok(Binding::Create(_))));
    // The same key again.
    assert_eq!(bind(Some(&held), &claim(1, None), now), Ok(Binding::Keep(3)));
    // The same key, whose Node is known: a token for just this name starts anew, so that a Node which was deleted
    // does not count any more.
    let known = Record { node_uid: Some("u".to_owned()), ..held.clone() };
    assert_eq!(bind(Some(&known), &claim(1, None), now), Ok(Binding::Keep(3)));
    assert_eq!(bind(Some(&known), &claim(1, Some(1)), now), Ok(Binding::Rebind(held.clone())));
    // Another key: by an exact token issued after the name was bound, by nothing else.
    assert!(rebound(bind(Some(&held), &claim(2, Some(51)), now)));
    assert!(matches!(bind(Some(&held), &claim(2, Some(50)), now), Err(Refusal::NameTaken(_))));
    assert!(matches!(bind(Some(&held), &claim(2, None), now), Err(Refusal::NameTaken(_))));
    // Revoked: the same, also for the same key, counted from the revocation.
    assert!(rebound(bind(Some(&gone), &claim(1, Some(71)), now)));
    assert!(matches!(bind(Some(&gone), &claim(1, Some(60)), now), Err(Refusal::Revoked(..))));
    assert!(matches!(bind(Some(&gone), &claim(2, None), now), Err(Refusal::Revoked(..))));
}

#[test]
fn who_opens_a_session() {
    let held = record(1, 50, None);
    assert!(check(Some(&held), "n", spki(1)).is_ok());
    assert!(check(Some(&held), "n", spki(2)).unwrap_err().contains("another key"));
    assert!(check(Some(&record(1, 50, Some(60))), "n", spki(1)).unwrap_err().contains("deleted"));
    assert!(check(None, "n", spki(1)).unwrap_err().contains("join"));
}

#[test]
fn a_record_comes_back_and_damage_is_named() {
    let known = Record { node_uid: Some("u".to_owned()), ..record(1, 50, None) };
    for held in [record(1, 50, None), record(2, 60, Some(70)), known] {
        let object = to_object(&held, "ns", Some("7"));
        assert_eq!(from_object(&object).unwrap(), held);
        assert_eq!(object["metadata"]["resourceVersion"], "7");
        for key in ["node", "spkiSha256", "generation", "bound"] {
            let mut damaged = object.clone();
            damaged["data"][key] = serde_json::json!("?");
            assert!(from_object(&damaged).is_err(), "{key}");
        }
    }
    assert!(object_name(&"a".repeat(239)).is_some() && object_name(&"a".repeat(240)).is_none());
}

proptest! {
    /// A key that lost a name never gets it back by a token issued before it lost it.
    #[test]
    fn generations_grow_and_old_tokens_never_win(
        claims in proptest::collection::vec((0_u8..3, proptest::option::of(0_i64..200), any::<bool>()), 1..60),
    ) {
        let mut held: Option<Record> = None;
        for (step, (key, exact, revoke)) in claims.into_iter().enumerate() {
            let now = WallTime(i64::try_from(step).unwrap() * 3);
            let claim = Claim { node: "n", spki: spki(key), exact: exact.map(WallTime) };
            match bind(held.as_ref(), &claim, now) {
                Ok(Binding::Create(new)) => {
                    prop_assert!(held.is_none());
                    held = Some(new);
                }
                Ok(Binding::Rebind(new)) => {
                    let old = held.as_ref().unwrap();
                    prop_assert!(exact.is_some_and(|issued| issued > old.bound.0));
                    prop_assert_eq!(new.generation, old.generation + 1);
                    held = Some(new);
                }
                Ok(Binding::Keep(_)) => prop_assert_eq!(held.as_ref().unwrap().spki, spki(key)),
                Err(_) => {}
            }
            if revoke && let Some(held) = &mut held {
                held.revoked.get_or_insert((now, String::new()));
            }
        }
    }
}
