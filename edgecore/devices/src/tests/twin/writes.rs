//! Desired values and commands.

use std::time::Duration;

use crate::settings::Settings;
use crate::tests::kit::{at, settings};
use crate::tests::twin::{Hand, outcomes, report, writes, written};
use crate::twin::{Answer, Event, Failure, Outcome, Progress, WRITE_TIMEOUT};

const SUPERSEDED: Outcome = Outcome::Failed(Failure::Superseded);

fn no_way() -> Answer {
    Answer::Unreachable("no way".into())
}

fn told(of: &str, outcome: Outcome) -> Vec<(String, Outcome)> {
    vec![(of.to_owned(), outcome)]
}

#[test]
fn what_was_desired_while_the_device_was_away_arrives_once() {
    let mut hand = Hand::int();
    assert_eq!(written(&hand.desire(1, "20")), []);
    hand.pass(1_000_000);
    assert_eq!(written(&hand.does(Event::DriverUp)), [(1, "20".into())]);
    assert_eq!(outcomes(&hand.answer(1, Answer::Done)), told("v1", Outcome::Success));
    assert_eq!(hand.desire(1, "20"), [], "what is delivered again changes nothing");
    hand.does(Event::DriverDown);
    assert_eq!(hand.does(Event::DriverUp), [], "nor does a driver that comes back");
}

#[test]
fn versions_are_monotonic_and_the_loser_is_told() {
    let mut hand = Hand::int();
    hand.desire(5, "20");
    assert_eq!(outcomes(&hand.desire(7, "30")), told("v5", SUPERSEDED));
    assert_eq!(outcomes(&hand.desire(6, "25")), told("v6", SUPERSEDED));
    assert_eq!(hand.desire(6, "25"), [], "once");
    assert_eq!(hand.desire(5, "20"), []);
    assert_eq!(written(&hand.does(Event::DriverUp)), [(1, "30".into())]);
}

#[test]
fn a_later_version_waits_for_the_write_under_way() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.desire(1, "20");
    let effects = hand.desire(2, "30");
    assert_eq!((written(&effects), outcomes(&effects)), (vec![], vec![]));
    let effects = hand.answer(1, Answer::Done);
    assert_eq!(outcomes(&effects), told("v1", Outcome::Success));
    assert_eq!(written(&effects), [(2, "30".into())]);
}

#[test]
fn a_version_overtaken_under_way_is_not_tried_again() {
    for (answer, outcome) in [
        (no_way(), Outcome::Failed(Failure::Unreachable("no way".into()))),
        (Answer::Refused("no".into()), Outcome::Failed(Failure::Refused("no".into()))),
        (Answer::Unanswered("hangs".into()), Outcome::Timeout),
    ] {
        let mut hand = Hand::int();
        hand.does(Event::DriverUp);
        hand.desire(1, "20");
        hand.desire(2, "30");
        let effects = hand.answer(1, answer);
        assert_eq!(outcomes(&effects), told("v1", outcome));
        assert_eq!(written(&effects), [(2, "30".into())]);
    }
}

#[test]
fn a_desired_value_is_tried_again_later_and_later() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.desire(1, "20");
    let mut write = 1;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let effects = hand.answer(write, no_way());
        assert_eq!((written(&effects), outcomes(&effects)), (vec![], vec![]));
        assert_eq!(hand.pass(wait * 1000 - 1), [], "{wait} s");
        write += 1;
        assert_eq!(written(&hand.pass(1)), [(write, "20".into())]);
    }
    hand.answer(write, no_way());
    hand.does(Event::DriverDown);
    assert_eq!(written(&hand.does(Event::DriverUp)), [(write + 1, "20".into())], "at once");
}

#[test]
fn why_a_desired_value_waits_is_to_be_seen() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    let effects = hand.desire(1, "20");
    assert_eq!(report(&effects).unwrap().desired.as_ref().unwrap().progress, Progress::Waiting(None));
    let effects = hand.answer(1, no_way());
    let why = Progress::Waiting(Some("no way".into()));
    assert_eq!(report(&effects).unwrap().desired.as_ref().unwrap().progress, why);
    hand.pass(1000);
    assert_eq!(report(&hand.answer(2, no_way())), None, "the same once more is nothing new");
    hand.pass(2000);
    let effects = hand.answer(3, Answer::Done);
    assert_eq!(report(&effects).unwrap().desired.as_ref().unwrap().progress, Progress::Done);
}

#[test]
fn a_refused_value_is_not_tried_again() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.desire(1, "20");
    let failed = Outcome::Failed(Failure::Refused("illegal data value".into()));
    assert_eq!(outcomes(&hand.answer(1, Answer::Refused("illegal data value".into()))), told("v1", failed));
    assert_eq!(hand.pass(1_000_000), []);
}

#[test]
fn silence_may_have_been_success() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.desire(1, "20");
    hand.good("20");
    assert_eq!(outcomes(&hand.pass(9_999)), [], "a reading while the write is under way settles nothing");
    hand.pass(1);
    assert_eq!(outcomes(&hand.good("19")), []);
    assert_eq!(outcomes(&hand.good("20")), told("v1", Outcome::Success));
    assert_eq!(hand.pass(1_000_000), []);
    // Where the try was surely not done, a reading says nothing.
    hand.desire(2, "30");
    hand.answer(2, no_way());
    assert_eq!(outcomes(&hand.good("30")), []);
    assert_eq!(written(&hand.pass(1000)), [(3, "30".into())]);
}

#[test]
fn late_answers_are_ignored() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.command("a", "1", 60_000);
    assert_eq!(outcomes(&hand.pass(10_000)), told("a", Outcome::Timeout));
    assert_eq!(hand.answer(1, Answer::Done), []);
    hand.command("b", "2", 60_000);
    assert_eq!(hand.answer(1, Answer::Done), []);
    assert_eq!(outcomes(&hand.answer(2, Answer::Done)), told("b", Outcome::Success));
}

#[test]
fn what_cannot_be_desired_fails_by_name() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    let effects = hand.desire(1, "warm");
    assert_eq!(written(&effects), []);
    let [(_, Outcome::Failed(Failure::Invalid(error)))] = &outcomes(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert!(error.to_string().contains("warm"), "{error}");
    let mut hand = Hand::new(Settings { writable: false, ..settings("INT") });
    hand.does(Event::DriverUp);
    assert_eq!(outcomes(&hand.desire(1, "20")), told("v1", Outcome::Failed(Failure::ReadOnly)));
    assert_eq!(outcomes(&hand.command("a", "20", 1000)), told("a", Outcome::Failed(Failure::ReadOnly)));
}

#[test]
fn nothing_can_be_desired_too() {
    let mut hand = Hand::int();
    assert_eq!(hand.desire(1, ""), [], "manifests for mappers leave it empty");
    hand.desire(2, "20");
    let effects = hand.does(Event::Desired { version: 3, text: None });
    assert_eq!(outcomes(&effects), told("v2", SUPERSEDED));
    assert_eq!(report(&effects).unwrap().desired, None);
    assert_eq!(hand.does(Event::DriverUp), []);
    let mut hand = Hand::new(settings("STRING"));
    hand.does(Event::DriverUp);
    assert_eq!(written(&hand.desire(1, "")), [(1, String::new())], "an empty text is a text");
}

#[test]
fn a_command_is_done_once() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    assert_eq!(written(&hand.command("a", "1", 5000)), [(1, "1".into())]);
    assert_eq!(hand.command("a", "1", 5000), [], "under way");
    assert_eq!(outcomes(&hand.answer(1, Answer::Done)), told("a", Outcome::Success));
    for _ in 0..5 {
        let effects = hand.command("a", "1", 5000);
        assert_eq!(written(&effects), []);
        assert_eq!(outcomes(&effects), told("a", Outcome::Success), "the answer may have been lost");
    }
}

#[test]
fn a_command_is_not_tried_again() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.command("a", "1", 50_000);
    let failed = Outcome::Failed(Failure::Unreachable("no way".into()));
    assert_eq!(outcomes(&hand.answer(1, no_way())), told("a", failed));
    assert_eq!(hand.pass(40_000), []);
}

#[test]
fn a_command_is_never_done_late() {
    let mut hand = Hand::int();
    assert_eq!(outcomes(&hand.command("late", "1", 0)), told("late", Outcome::Expired));
    assert_eq!(hand.command("a", "1", 5000), []);
    assert_eq!(hand.command("a", "1", 5000), [], "it waits");
    assert_eq!(hand.pass(4999), []);
    hand.millis += 1;
    let effects = hand.does(Event::DriverUp);
    assert_eq!((written(&effects), outcomes(&effects)), (vec![], told("a", Outcome::Expired)));
    let far = outcomes(&hand.command("far", "1", 3_600_001));
    assert_eq!(far, told("far", Outcome::Failed(Failure::ExpiresTooLate)));
}

#[test]
fn a_driver_is_told_until_when_it_may_begin() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    let effects = hand.command("a", "1", 5000);
    assert_eq!(writes(&effects)[0].start_before, at(5000).elapsed);
    hand.answer(1, Answer::Done);
    let effects = hand.command("b", "2", 50_000);
    assert_eq!(writes(&effects)[0].start_before, at(0).elapsed.plus(WRITE_TIMEOUT));
    assert_eq!(WRITE_TIMEOUT, Duration::from_secs(10), "as the words of the timeout say");
}

#[test]
fn a_waiting_command_is_overtaken_by_what_comes_later() {
    let mut hand = Hand::int();
    hand.command("a", "1", 5000);
    assert_eq!(outcomes(&hand.command("b", "2", 5000)), told("a", SUPERSEDED));
    assert_eq!(outcomes(&hand.desire(1, "3")), told("b", SUPERSEDED));
    assert_eq!(written(&hand.does(Event::DriverUp)), [(1, "3".into())]);
    assert_eq!(outcomes(&hand.command("a", "1", 5000)), told("a", SUPERSEDED));
}

#[test]
fn what_cannot_be_written_overtakes_no_command() {
    let mut hand = Hand::int();
    hand.command("a", "1", 5000);
    hand.desire(1, "warm");
    hand.does(Event::Desired { version: 2, text: None });
    assert_eq!(written(&hand.does(Event::DriverUp)), [(1, "1".into())]);
}

#[test]
fn an_older_desired_value_gives_way_only_to_what_may_have_been_done() {
    for (answer, gives_way) in [
        (Answer::Done, true),
        (Answer::Unanswered("hangs".into()), true),
        (no_way(), false),
        (Answer::Refused("no".into()), false),
    ] {
        let mut hand = Hand::int();
        hand.desire(1, "20");
        hand.command("a", "30", 5000);
        assert_eq!(written(&hand.does(Event::DriverUp)), [(1, "30".into())]);
        let effects = hand.answer(1, answer);
        let lost = outcomes(&effects).contains(&("v1".to_owned(), SUPERSEDED));
        assert_eq!(lost, gives_way);
        assert_eq!(written(&effects).is_empty(), gives_way);
    }
    let mut hand = Hand::int();
    hand.desire(1, "20");
    hand.command("a", "30", 5000);
    hand.pass(5000);
    assert_eq!(written(&hand.does(Event::DriverUp)), [(1, "20".into())], "an expired command was not done");
}

#[test]
fn a_driver_that_goes_away_answers_nothing_more() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.command("a", "1", 5000);
    assert_eq!(outcomes(&hand.does(Event::DriverDown)), told("a", Outcome::Timeout));
    assert_eq!(hand.answer(1, Answer::Done), []);
    assert_eq!(hand.command("b", "2", 50_000), [], "nobody is there");
    assert_eq!(written(&hand.does(Event::DriverUp)), [(2, "2".into())]);
}

#[test]
fn what_is_forgotten_is_refused_rather_than_done_twice() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    // All expire at the same time or later, and are done.
    for n in 0..40_u64 {
        let ttl = 60_000 + i64::try_from(n).unwrap();
        hand.command(&format!("c{n}"), "1", ttl);
        hand.answer(n + 1, Answer::Done);
    }
    let effects = hand.command("c0", "1", 60_000);
    assert_eq!(outcomes(&effects), told("c0", Outcome::Failed(Failure::Forgotten)));
    assert_eq!(written(&effects), []);
    assert_eq!(outcomes(&hand.command("c39", "1", 60_039)), told("c39", Outcome::Success));
    // A new one with a later expiry goes on.
    assert_eq!(written(&hand.command("d", "2", 70_000)).len(), 1);
}

#[test]
fn what_is_refused_outright_is_not_kept() {
    let mut hand = Hand::int();
    hand.does(Event::DriverUp);
    hand.command("done", "1", 60_000);
    hand.answer(1, Answer::Done);
    for n in 0..100 {
        hand.command(&format!("c{n}"), "warm", 60_000);
    }
    assert_eq!(outcomes(&hand.command("done", "1", 60_000)), told("done", Outcome::Success));
}
