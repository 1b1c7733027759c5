//! The rules, one by one and under random outcomes.

use super::*;
use proptest::prelude::*;

/// An attempt that takes `took` from the time it was to start, and what follows.
fn attempt(
    reconnect: &mut Reconnect,
    now: &mut Elapsed,
    took: Duration,
    outcome: Outcome,
    random: f64,
) -> Wait {
    *now = now.plus(took);
    let wait = reconnect.next(outcome, *now, random);
    *now = now.plus(wait.delay);
    wait
}

#[test]
fn unanswered_attempts_follow_within_a_second_and_later_every_ten() {
    let mut now = Elapsed::from_millis(5_000);
    let begin = now;
    let mut reconnect = Reconnect::new(1, now);
    while now.plus(Duration::from_secs(2)).since(begin) < EAGER {
        let wait = attempt(&mut reconnect, &mut now, Duration::from_secs(2), Outcome::NoAnswer, 0.5);
        assert!(wait.delay <= SPACING);
    }
    for _ in 0..5 {
        let wait = attempt(&mut reconnect, &mut now, Duration::from_secs(2), Outcome::NoAnswer, 0.5);
        assert_eq!(wait.delay, Duration::from_secs(8));
    }
    // A change of the network in the middle of a wait: at once, once a second, and eager again.
    now = now.plus(Duration::from_secs(2));
    reconnect.next(Outcome::NoAnswer, now, 0.5);
    now = now.plus(Duration::from_secs(3));
    let wait = reconnect.next(Outcome::NetworkChanged, now, 0.5);
    assert_eq!(wait.delay, Duration::ZERO);
    now = now.plus(Duration::from_millis(300));
    let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::NetworkChanged, 0.5);
    assert_eq!(wait.delay, Duration::from_millis(700));
    let wait = attempt(&mut reconnect, &mut now, Duration::from_secs(2), Outcome::NoAnswer, 0.5);
    assert!(wait.delay <= SPACING);
}

#[test]
fn attempts_that_fail_at_once_do_not_spin() {
    let mut now = Elapsed::default();
    let mut reconnect = Reconnect::new(3, now);
    for turn in 1..10 {
        let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::NoAnswer, 0.0);
        assert_eq!((wait.delay, wait.endpoint), (SPACING, turn % 3));
    }
}

#[test]
fn refusals_back_off_with_full_jitter_and_a_session_forgets_them() {
    let mut now = Elapsed::default();
    let mut reconnect = Reconnect::new(1, now);
    let mut most = Duration::ZERO;
    for _ in 0..40 {
        let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(None), 0.999);
        assert!(wait.delay <= REFUSED_MOST);
        most = most.max(wait.delay);
    }
    assert!(most > Duration::from_secs(29));
    let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(None), 0.0);
    assert_eq!(wait.delay, Duration::ZERO, "full jitter reaches down to nothing");
    let lived = Duration::from_mins(1);
    assert!(attempt(&mut reconnect, &mut now, lived, Outcome::Ended(None), 0.999).delay <= SCATTER);
    assert!(
        attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(None), 0.999).delay
            <= REFUSED_FIRST
    );
}

#[test]
fn a_peer_that_takes_and_drops_counts_as_refusing() {
    let mut now = Elapsed::default();
    let mut reconnect = Reconnect::new(1, now);
    let waits: Vec<_> = (0..12)
        .map(|_| {
            attempt(&mut reconnect, &mut now, Duration::from_millis(50), Outcome::Ended(None), 0.999).delay
        })
        .collect();
    assert!(waits.last().is_some_and(|wait| *wait > Duration::from_secs(25)), "{waits:?}");
}

#[test]
fn the_time_that_was_said_is_kept_and_others_are_tried_meanwhile() {
    let mut now = Elapsed::from_millis(1_000);
    let mut reconnect = Reconnect::new(2, now);
    let said = Some(Duration::from_mins(1));
    let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(said), 0.5);
    assert!(wait.endpoint == 1 && wait.delay <= JITTER, "{wait:?}");
    // The other refuses too, without a time: it stays the one to try, backing off.
    let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(None), 0.5);
    assert!(wait.endpoint == 1 && wait.delay < Duration::from_secs(1), "{wait:?}");
    // Both said a time: the sooner one, not before it.
    let wait = attempt(
        &mut reconnect,
        &mut now,
        Duration::ZERO,
        Outcome::Refused(Some(Duration::from_hours(9))),
        0.0,
    );
    assert!(wait.endpoint == 0 && wait.delay > Duration::from_secs(58), "{wait:?}");
}

#[test]
fn who_is_told_when_to_come_comes_then_however_often() {
    let mut now = Elapsed::from_millis(1_000);
    let mut reconnect = Reconnect::new(1, now);
    for turn in 1..40 {
        let said = Duration::from_millis(300 * turn);
        let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(Some(said)), 0.999);
        assert!((said..=said.mul_f64(1.1)).contains(&wait.delay), "told {said:?}: {wait:?}");
    }
    // One that always says "at once" backs off all the same.
    let waits: Vec<_> = (0..12)
        .map(|_| {
            let at_once = Outcome::Refused(Some(Duration::from_millis(1)));
            attempt(&mut reconnect, &mut now, Duration::ZERO, at_once, 0.999).delay
        })
        .collect();
    assert!(waits.last().is_some_and(|wait| *wait > Duration::from_secs(25)), "{waits:?}");
}

#[test]
fn a_new_list_keeps_what_its_endpoints_said() {
    let mut now = Elapsed::from_millis(1_000);
    let mut reconnect = Reconnect::new(2, now);
    let minute = Duration::from_mins(1);
    let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(Some(minute)), 0.0);
    assert_eq!(wait.endpoint, 1);
    // The first one stands last now; the session was with the other, which stands in the middle.
    reconnect.replace(&[None, Some(1), Some(0)]);
    let lived = Duration::from_secs(20);
    let wait = attempt(&mut reconnect, &mut now, lived, Outcome::Ended(Some(minute)), 0.0);
    assert_eq!(wait, Wait { endpoint: 0, delay: Duration::ZERO }, "it is the only one that may be tried");
    let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(Some(minute)), 0.0);
    assert_eq!((wait.endpoint, wait.delay), (2, Duration::from_secs(40)));
    // The one that was tried is in the list no more: the first has its turn.
    reconnect.replace(&[None, None]);
    let wait = attempt(&mut reconnect, &mut now, Duration::ZERO, Outcome::Refused(None), 0.0);
    assert_eq!(wait.endpoint, 0);
    reconnect.replace(&[]);
    assert_eq!(reconnect.next(Outcome::NoAnswer, now, 0.0).endpoint, 0);
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let said = || proptest::option::of((0_u64..2_000).prop_map(Duration::from_secs));
    prop_oneof![
        Just(Outcome::NoAnswer),
        said().prop_map(Outcome::Refused),
        said().prop_map(Outcome::Ended),
        Just(Outcome::NetworkChanged),
    ]
}

proptest! {
    /// Whatever happens: the endpoint exists, no wait is longer than the longest rule allows, and no endpoint is
    /// tried before the time it said.
    #[test]
    fn every_wait_is_within_the_rules(
        endpoints in 1_usize..5,
        steps in proptest::collection::vec((outcomes(), 0_u64..20_000, 0.0_f64..1.0), 1..200),
    ) {
        let mut now = Elapsed::from_millis(1);
        let mut reconnect = Reconnect::new(endpoints, now);
        let mut said_free = vec![Elapsed::default(); endpoints];
        let mut current = 0;
        for (outcome, took, random) in steps {
            now = now.plus(Duration::from_millis(took));
            if let Outcome::Refused(Some(said)) | Outcome::Ended(Some(said)) = outcome {
                said_free[current] = now.plus(said.min(SAID_MOST));
            }
            let wait = reconnect.next(outcome, now, random);
            prop_assert!(wait.endpoint < endpoints);
            now = now.plus(wait.delay);
            prop_assert!(wait.delay <= SAID_MOST.mul_f64(1.1));
            prop_assert!(now >= said_free[wait.endpoint]);
            if outcome == Outcome::NetworkChanged && said_free.iter().all(|free| *free <= now) {
                prop_assert!(wait.delay <= SPACING);
            }
            current = wait.endpoint;
        }
    }

    /// With nothing said, waits stay within the back-off of their kind.
    #[test]
    fn without_said_times_waits_are_short(
        endpoints in 1_usize..5,
        steps in proptest::collection::vec((any::<bool>(), 0_u64..5_000, 0.0_f64..1.0), 1..300),
    ) {
        let mut now = Elapsed::from_millis(1);
        let mut reconnect = Reconnect::new(endpoints, now);
        for (answered, took, random) in steps {
            let outcome = if answered { Outcome::Refused(None) } else { Outcome::NoAnswer };
            let wait = attempt(&mut reconnect, &mut now, Duration::from_millis(took), outcome, random);
            let most = if answered { REFUSED_MOST } else { PATIENT };
            prop_assert!(wait.delay <= most);
        }
    }
}
