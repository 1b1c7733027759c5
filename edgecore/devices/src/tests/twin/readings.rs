//! What is read, and when it is reported.

use std::time::Duration;

use crate::decimal::exact::Exact;
use crate::settings::{Deadband, Settings};
use crate::tests::kit::{at, definition, property, settings};
use crate::tests::twin::{Hand, report};
use crate::twin::{Effect, Quality, Report, Reported, Sample};
use crate::value::Definition;

fn shown(effects: &[Effect]) -> Option<&Reported> {
    report(effects).map(|report| report.reported.as_ref().unwrap())
}

/// The value in a report, if there is one.
fn value(effects: &[Effect]) -> Option<String> {
    shown(effects).and_then(|reported| Some(reported.reading.as_ref()?.value.to_string()))
}

#[test]
fn the_first_report_is_made_at_once_whatever_it_is() {
    let slow = Settings { min_interval: Duration::from_hours(1), ..settings("INT") };
    assert_eq!(value(&Hand::new(slow.clone()).good("0")).as_deref(), Some("0"));
    let mut hand = Hand::new(slow);
    assert_eq!(shown(&hand.bad("no answer")).unwrap().reading, None);
    assert_eq!(value(&hand.good("0")).as_deref(), Some("0"), "the first value does not wait either");
    assert_eq!(hand.good("1"), []);
}

#[test]
fn what_was_desired_first_does_not_swallow_the_first_value() {
    let mut hand = Hand::new(Settings { min_interval: Duration::from_hours(1), ..settings("INT") });
    hand.desire(1, "20");
    assert_eq!(value(&hand.good("0")).as_deref(), Some("0"));
}

#[test]
fn a_reading_says_when_it_was_observed_and_received() {
    let mut hand = Hand::int();
    hand.millis = 5000;
    let (twin, effects) = crate::twin::step(
        hand.twin,
        crate::twin::Event::Read { sample: Sample::Good("1".into()), observed_at: at(100).wall },
        at(5000),
    );
    let reading = shown(&effects).unwrap().reading.clone().unwrap();
    assert_eq!((reading.observed_at, reading.received_at), (at(100).wall, at(5000).wall));
    assert_eq!(twin.report(), report(&effects).unwrap().clone());
}

#[test]
fn unchanged_values_cost_nothing() {
    let mut hand = Hand::new(Settings { definition: definition("DOUBLE"), ..settings("DOUBLE") });
    hand.good("21.5");
    for text in ["21.5", "21.50", "2.15e1"] {
        hand.millis += 1000;
        assert_eq!(hand.good(text), []);
    }
    assert_eq!(hand.twin.wake_at(), None);
}

#[test]
fn the_deadband_is_around_what_was_reported_last() {
    let mut hand = Hand::new(Settings { deadband: Deadband::Absolute(Exact::from(5)), ..settings("INT") });
    hand.good("100");
    for text in ["103", "105", "95", "104"] {
        assert_eq!(hand.good(text), []);
    }
    assert_eq!(value(&hand.good("106")).as_deref(), Some("106"), "creeping is seen");
    assert_eq!(hand.good("101"), []);
}

#[test]
fn the_last_value_is_reported_at_the_end_of_the_interval() {
    let mut hand = Hand::new(Settings { min_interval: Duration::from_secs(1), ..settings("INT") });
    hand.good("1");
    for (millis, text) in [(300, "2"), (300, "3"), (300, "4")] {
        hand.millis += millis;
        assert_eq!(hand.good(text), []);
    }
    assert_eq!(hand.twin.wake_at(), Some(at(1000).elapsed));
    assert_eq!(value(&hand.pass(100)).as_deref(), Some("4"));
    assert_eq!(hand.pass(100_000), []);
    assert_eq!(value(&hand.good("5")).as_deref(), Some("5"), "after the interval a change does not wait");
}

#[test]
fn what_came_back_within_the_interval_is_no_change() {
    let mut hand = Hand::new(Settings { min_interval: Duration::from_secs(1), ..settings("INT") });
    hand.good("1");
    assert_eq!(hand.good("2"), []);
    assert_eq!(hand.good("1"), []);
    assert_eq!(hand.twin.wake_at(), None);
    assert_eq!(hand.pass(5000), []);
}

#[test]
fn what_is_desired_is_not_held_back() {
    let mut hand = Hand::new(Settings { min_interval: Duration::from_hours(1), ..settings("INT") });
    hand.good("1");
    hand.good("2");
    let effects = hand.desire(1, "20");
    assert_eq!(&*report(&effects).unwrap().desired.as_ref().unwrap().text, "20");
    assert_eq!(value(&effects).as_deref(), Some("2"), "and takes the latest reading along");
}

#[test]
fn a_device_that_lies_leaves_the_last_good_value() {
    let definition = Definition::of(&property("DOUBLE", "-40", "85")).unwrap();
    let mut hand = Hand::new(Settings { definition, ..settings("DOUBLE") });
    hand.good("21.5");
    let huge = "9".repeat(1_000_000);
    for (lie, reason) in [
        ("NaN", "a finite number"),
        ("85.0001", "at most 85"),
        ("-41", "at least -40"),
        ("warm", "DOUBLE"),
        ("", "DOUBLE"),
        (huge.as_str(), "at most 65536 bytes"),
    ] {
        let effects = hand.good(lie);
        let reported = shown(&effects).unwrap();
        let Quality::Bad(why) = &reported.quality else { panic!("{reported:?}") };
        assert!(why.contains(reason) && why.contains("property p") && why.len() < 300, "{why}");
        assert_eq!(reported.reading.as_ref().unwrap().value.to_string(), "21.5");
        assert_eq!(hand.good(lie), [], "the same lie again is nothing new");
    }
    let effects = hand.good("21.5");
    assert_eq!(shown(&effects).unwrap().quality, Quality::Good);
}

#[test]
fn a_doubt_comes_with_its_value() {
    let mut hand = Hand::int();
    hand.good("1");
    let effects = hand.read(Sample::Uncertain("2".into(), "sensor warms up".into()));
    assert_eq!(value(&effects).as_deref(), Some("2"));
    assert_eq!(shown(&effects).unwrap().quality, Quality::Uncertain("sensor warms up".into()));
    let effects = hand.read(Sample::Bad("x".repeat(10_000)));
    let Quality::Bad(why) = &shown(&effects).unwrap().quality else { panic!("{effects:?}") };
    assert_eq!(why.chars().count(), 257);
}

#[test]
fn a_value_grows_stale_by_itself() {
    let mut hand = Hand::new(Settings { stale_after: Some(Duration::from_secs(5)), ..settings("INT") });
    hand.good("1");
    hand.millis += 3000;
    hand.good("1");
    hand.millis += 1000;
    hand.bad("no answer");
    assert_eq!(hand.twin.wake_at(), Some(at(8000).elapsed), "a sample without a value keeps none fresh");
    assert_eq!(hand.pass(3999), []);
    let effects = hand.pass(1);
    assert!(shown(&effects).unwrap().stale);
    assert_eq!(value(&effects).as_deref(), Some("1"));
    assert_eq!(hand.pass(100_000), [], "once");
    let effects = hand.good("1");
    assert!(!shown(&effects).unwrap().stale);
}

#[test]
fn a_twin_says_nothing_of_what_it_does_not_know() {
    let mut hand = Hand::int();
    assert_eq!(hand.pass(1_000_000), []);
    assert_eq!(hand.twin.report(), Report { desired: None, reported: None });
    assert_eq!(hand.twin.wake_at(), None);
}
