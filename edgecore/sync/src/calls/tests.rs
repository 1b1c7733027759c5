//! Token calls, alone and as a model.

use super::*;
use edgecore_store::Token;
use proptest::prelude::*;

fn key(n: u64) -> TokenKey {
    TokenKey {
        pod_uid: format!("u{n}"),
        namespace: "default".to_owned(),
        pod_name: format!("p{n}"),
        service_account: "default".to_owned(),
        audiences: vec![],
        expiration_seconds: 3607,
    }
}

fn now(millis: u64) -> Stamp {
    Stamp { boot_id: "b".to_owned(), elapsed: Elapsed::from_millis(millis), wall: WallTime(0), trusted: true }
}

fn want(n: u64, issued_at: Option<u64>) -> WantedToken {
    let token = issued_at.map(|at| Token {
        token: Masked("t".to_owned()),
        issued: now(at),
        expires: WallTime(0),
        life: Duration::from_secs(1000),
    });
    WantedToken { key: key(n), token }
}

#[test]
fn a_missing_token_is_asked_for_once_and_again_after_its_deadline() {
    let mut calls = Calls::default();
    let wanted = [want(1, None)];
    let due = calls.step(&wanted, &now(0), 0.5);
    assert_eq!(due.send, [(1, key(1))]);
    assert_eq!(due.wake, Some(Elapsed(DEADLINE)));
    assert_eq!(calls.step(&wanted, &now(5_000), 0.5).send, []);
    let late = calls.step(&wanted, &now(10_000), 0.5);
    assert_eq!((late.late.as_slice(), late.send.as_slice()), ([key(1)].as_slice(), [].as_slice()));
    let again = late.wake.unwrap();
    assert!(again > Elapsed::from_millis(10_000) && again <= Elapsed::from_millis(10_500));
    assert_eq!(calls.step(&wanted, &Stamp { elapsed: again, ..now(0) }, 0.5).send, [(2, key(1))]);
    // An answer to the first call comes too late to be of use.
    assert_eq!(calls.answered(1), None);
    assert_eq!(calls.answered(2), Some(key(1)));
}

#[test]
fn a_token_on_its_way_to_the_disk_is_not_asked_for_again() {
    let mut calls = Calls::default();
    let wanted = [want(1, None)];
    calls.step(&wanted, &now(0), 0.5);
    let answered = calls.answered(1).unwrap();
    assert_eq!(calls.step(&wanted, &now(1), 0.5).send, []);
    calls.failed(answered, Elapsed::from_millis(2), 0.5);
    assert_eq!(calls.step(&wanted, &now(1_000), 0.5).send, [(2, key(1))]);
}

#[test]
fn renewal_comes_at_four_fifths_of_life() {
    let mut calls = Calls::default();
    let due = calls.step(&[want(1, Some(0))], &now(100_000), 0.5);
    assert_eq!((due.send.len(), due.wake), (0, Some(Elapsed::from_millis(800_000))));
    assert_eq!(calls.step(&[want(1, Some(0))], &now(800_000), 0.5).send.len(), 1);
}

#[test]
fn after_another_boot_with_unknown_age_it_is_renewed_at_once() {
    let mut other = want(1, Some(0));
    if let Some(token) = &mut other.token {
        token.issued.boot_id = "before".to_owned();
        token.issued.trusted = false;
    }
    assert_eq!(Calls::default().step(&[other], &now(0), 0.5).send.len(), 1);
}

#[test]
fn a_token_said_to_be_dead_on_arrival_is_not_asked_for_in_a_loop() {
    let mut calls = Calls::default();
    calls.succeeded(key(1), Elapsed::from_millis(0));
    let mut dead = want(1, Some(0));
    if let Some(token) = &mut dead.token {
        token.life = Duration::ZERO;
    }
    let due = calls.step(&[dead], &now(1), 0.5);
    assert_eq!((due.send.len(), due.wake), (0, Some(Elapsed(REST))));
}

#[test]
fn answers_are_read_and_faults_named() {
    let good = br#"{"status":{"token":"abc","expirationTimestamp":"1970-01-01T00:16:41Z"}}"#.to_vec();
    let issued = read(Some(call_reply::Result::Ok(good)), WallTime(1_000)).unwrap();
    assert_eq!((issued.token.0.as_str(), issued.life), ("abc", Duration::from_secs(1000)));
    let failure = call_reply::Failure { status: 403, reason: "not your pod".to_owned() };
    for (result, why) in [
        (Some(call_reply::Result::Err(failure)), "not your pod (403)"),
        (Some(call_reply::Result::Ok(b"{}".to_vec())), "no TokenRequest"),
        (
            Some(call_reply::Result::Ok(br#"{"status":{"token":"","expirationTimestamp":""}}"#.to_vec())),
            "no token",
        ),
        (
            Some(call_reply::Result::Ok(br#"{"status":{"token":"a","expirationTimestamp":"x"}}"#.to_vec())),
            "no time",
        ),
        (None, "unknown"),
    ] {
        let error = read(result, WallTime(0)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

proptest! {
    /// Whatever answers come or fail to, every wanted token is asked for again and again until it is there, each at
    /// most once at a time, and never more than the limit at once.
    #[test]
    fn every_token_is_asked_for_until_it_is_there(
        count in 1_u64..40,
        fates in proptest::collection::vec(0_u8..3, 1..400),
    ) {
        let mut calls = Calls::default();
        let mut have: BTreeMap<u64, u64> = BTreeMap::new();
        let mut flying: BTreeMap<u64, TokenKey> = BTreeMap::new();
        let mut time = 0;
        let mut fates = fates.into_iter();
        for _ in 0..2_000 {
            let wanted: Vec<_> = (0..count).map(|n| want(n, have.get(&n).copied())).collect();
            let due = calls.step(&wanted, &now(time), 0.5);
            flying.retain(|_, key| !due.late.contains(key));
            for (id, key) in due.send {
                prop_assert!(!flying.values().any(|known| *known == key), "asked twice at once");
                flying.insert(id, key);
            }
            prop_assert!(flying.len() <= MOST);
            let Some((id, key)) = flying.first_key_value().map(|(id, key)| (*id, key.clone())) else {
                if have.len() as u64 == count {
                    break;
                }
                let wake = due.wake.unwrap();
                time = u64::try_from(wake.0.as_millis()).unwrap().max(time + 1);
                continue;
            };
            // When the random fates are used up, everything succeeds.
            match fates.next().unwrap_or(0) {
                0 => {
                    flying.remove(&id);
                    prop_assert_eq!(calls.answered(id), Some(key.clone()));
                    calls.succeeded(key.clone(), Elapsed::from_millis(time));
                    have.insert(key.pod_uid[1..].parse().unwrap(), time);
                }
                1 => {
                    flying.remove(&id);
                    calls.answered(id);
                    calls.failed(key, Elapsed::from_millis(time), 0.5);
                }
                _ => time += 11_000,
            }
        }
        prop_assert_eq!(have.len() as u64, count);
    }
}
