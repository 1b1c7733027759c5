//! Who may use a token.

use super::*;
use pki::TokenSecret;
use proptest::prelude::*;

const NOW: WallTime = WallTime(1_000_000);

fn spki(n: u8) -> Spki {
    Spki([n; 32])
}

fn grant(secret: &TokenSecret, bound: Bound, uses: u32) -> Grant {
    let hash = secret.hash();
    let expires = NOW.plus_millis(1_000);
    Grant { id: "0123456789abcdef".to_owned(), hash, bound, issued: NOW, expires, uses, used: Vec::new() }
}

fn ask(grant: &mut Grant, secret: &TokenSecret, node: &str, key: u8) -> Result<Usage, Refusal> {
    let usage = usage(grant, &Asked { secret: secret.expose(), node, spki: spki(key) }, NOW)?;
    if let Usage::Record(used) = &usage {
        grant.used.clone_from(used);
    }
    Ok(usage)
}

#[test]
fn each_refusal_has_its_reason() {
    let secret = TokenSecret::generate().unwrap();
    let mut one = grant(&secret, Bound::Node("edge-1".to_owned()), 1);
    let other = TokenSecret::generate().unwrap();
    assert!(matches!(ask(&mut one, &other, "edge-1", 1), Err(Refusal::WrongSecret(_))));
    assert!(matches!(ask(&mut one, &secret, "edge-2", 1), Err(Refusal::OtherName { .. })));
    assert!(matches!(ask(&mut one, &secret, "edge-1", 1), Ok(Usage::Record(_))));
    assert_eq!(ask(&mut one, &secret, "edge-1", 1), Ok(Usage::Again));
    assert!(matches!(ask(&mut one, &secret, "edge-1", 2), Err(Refusal::UsedUp { .. })));
    one.expires = NOW;
    assert!(matches!(ask(&mut one, &secret, "edge-1", 1), Err(Refusal::Expired(_))));
}

#[test]
fn a_pattern_admits_as_many_nodes_as_it_says_and_each_name_once() {
    let secret = TokenSecret::generate().unwrap();
    let mut two = grant(&secret, Bound::Pattern("edge-*".to_owned()), 2);
    ask(&mut two, &secret, "edge-1", 1).unwrap();
    assert!(matches!(ask(&mut two, &secret, "edge-1", 9), Err(Refusal::NameTaken(_))));
    ask(&mut two, &secret, "edge-2", 2).unwrap();
    let refusal = ask(&mut two, &secret, "edge-3", 3).unwrap_err();
    assert!(refusal.to_string().contains("edge-1, edge-2"), "{refusal}");
    assert_eq!(ask(&mut two, &secret, "edge-1", 1), Ok(Usage::Again));
}

#[test]
fn a_secret_comes_back_and_damage_is_named() {
    let secret = TokenSecret::generate().unwrap();
    let mut made = grant(&secret, Bound::Pattern("e*".to_owned()), 3);
    ask(&mut made, &secret, "e1", 1).unwrap();
    let object = to_secret(&made, "ns");
    let back = from_secret(&made.id, &object).unwrap();
    assert_eq!((back.bound, back.expires, back.uses, back.used), (made.bound, made.expires, 3, made.used));
    assert!(back.hash.fits(secret.expose()));
    assert!(!object.to_string().contains(secret.expose()));
    for key in ["secretSha256", "issued", "expires", "uses", "used", "pattern"] {
        let mut damaged = object.clone();
        damaged["data"][key] = serde_json::json!("!");
        assert!(from_secret("x", &damaged).is_err(), "{key}");
    }
}

#[test]
fn specs_that_make_no_sense_are_refused() {
    let spec = |bound, ttl, uses| TokenSpec { bound, ttl: Duration::from_secs(ttl), uses }.check().is_ok();
    let node = || Bound::Node("a".to_owned());
    assert!(spec(node(), 60, 1) && spec(Bound::Pattern("*".to_owned()), 60, 100));
    assert!(!spec(node(), 60, 2) && !spec(node(), 0, 1) && !spec(node(), 1 << 40, 1));
    assert!(!spec(Bound::Node("A".to_owned()), 60, 1) && !spec(Bound::Pattern("*".to_owned()), 60, 0));
}

proptest! {
    /// However often and by whomever it is used: never more keys than uses, one key per name, and whoever was let
    /// in once is let in again.
    #[test]
    fn uses_are_counted_and_repeatable(uses in 1_u32..6, asks in proptest::collection::vec((0_u8..4, 0_u8..4), 1..60)) {
        let secret = TokenSecret::generate().unwrap();
        let mut grant = grant(&secret, Bound::Pattern("n*".to_owned()), uses);
        let mut let_in = Vec::new();
        for (node, key) in asks {
            let name = format!("n{node}");
            let before = let_in.contains(&(node, key));
            let answer = ask(&mut grant, &secret, &name, key);
            prop_assert!(answer.is_ok() || !before);
            if answer.is_ok() && !before {
                prop_assert!(!let_in.iter().any(|(other, _)| *other == node));
                let_in.push((node, key));
            }
            prop_assert!(let_in.len() <= uses as usize);
        }
    }
}

#[test]
fn the_cluster_says_when_a_token_was_issued() {
    let secret = TokenSecret::generate().unwrap();
    let issued = |claimed: i64, created: Value| {
        let made = Grant { issued: WallTime(claimed), ..grant(&secret, Bound::Node("n".to_owned()), 1) };
        let mut object = to_secret(&made, "ns");
        object["metadata"]["creationTimestamp"] = created;
        from_secret(&made.id, &object).unwrap().issued.0
    };
    let created = || json!("1970-01-01T00:16:40Z");
    // Within that second its maker's word counts, a clock that is fast or slow does not.
    assert_eq!(issued(1_000_500, created()), 1_000_500);
    assert_eq!(issued(9_000_000, created()), 1_000_999);
    assert_eq!(issued(5, created()), 1_000_000);
    // As kept by whatever tells no time.
    assert_eq!(issued(5, json!("?")), 5);
}
