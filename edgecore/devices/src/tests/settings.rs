//! Settings are what Device and model say together; deadbands are compared exactly.

use std::time::Duration;

use crds::devices::device_model::AccessMode;
use crds::devices::{FreeForm, VisitorConfig, device, device_model};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::decimal::Decimal;
use crate::decimal::exact::Exact;
use crate::settings::{Deadband, Error, Settings, visitor};
use crate::tests::kit::{definition, property};
use crate::value::Value;

fn config(json: Json) -> VisitorConfig {
    let Json::Object(fields) = json else { panic!("configData is an object") };
    VisitorConfig { protocol_name: None, config_data: Some(FreeForm(fields)) }
}

fn with(config_data: Json) -> Result<Settings, Error> {
    let device = device::Property { visitors: Some(config(config_data)), ..device::Property::default() };
    Settings::of(&device, &property("DOUBLE", "", ""), None)
}

fn exact(text: &str) -> Exact {
    Exact::of(&Decimal::parse(text).unwrap()).unwrap()
}

#[test]
fn the_devices_configuration_lies_over_the_models() {
    let (device, model) = (config(json!({"a": 1, "b": 2})), config(json!({"b": 3, "c": 4})));
    let merged = visitor(Some(&device), Some(&model));
    assert_eq!(Json::Object(merged.0), json!({"a": 1, "b": 2, "c": 4}));
    assert_eq!(visitor(None, None), FreeForm::default());
}

#[test]
fn deadbands_are_numbers_or_percentages() {
    assert_eq!(with(json!({})).unwrap().deadband, Deadband::none());
    assert_eq!(with(json!({"deadband": 0.1})).unwrap().deadband, Deadband::Absolute(exact("0.1")));
    assert_eq!(with(json!({"deadband": "2.5%"})).unwrap().deadband, Deadband::Percent(exact("2.5")));
    for wrong in [json!(-1), json!("-2%"), json!("much"), json!([1]), json!("%"), json!(null)] {
        let error = with(json!({ "deadband": wrong })).unwrap_err();
        assert!(matches!(error, Error::Deadband { .. }), "{error}");
    }
}

#[test]
fn cycles_are_milliseconds_and_zero_is_none() {
    let of = |report: i64, collect: i64, usual: Option<Duration>| {
        let device = device::Property {
            report_cycle: Some(report),
            collect_cycle: Some(collect),
            ..device::Property::default()
        };
        Settings::of(&device, &property("INT", "", ""), usual)
    };
    let settings = of(500, 60_000, None).unwrap();
    assert_eq!(settings.min_interval, Duration::from_millis(500));
    assert_eq!(settings.stale_after, Some(Duration::from_mins(3)));
    let settings = of(0, 0, None).unwrap();
    assert_eq!((settings.min_interval, settings.stale_after), (Duration::ZERO, None));
    assert_eq!(of(0, 0, Some(Duration::from_secs(1))).unwrap().stale_after, Some(Duration::from_secs(5)));
    assert_eq!(of(0, -1, None).unwrap_err().to_string(), "property p: collectCycle is -1, which is negative");
    assert!(of(i64::MAX, i64::MAX, None).is_ok());
}

#[test]
fn what_is_not_said_to_be_read_only_can_be_written() {
    let of = |access_mode| {
        let model = device_model::Property { access_mode, ..property("INT", "", "") };
        Settings::of(&device::Property::default(), &model, None)
    };
    assert!(of(None).unwrap().writable);
    assert!(of(Some(AccessMode::ReadWrite)).unwrap().writable);
    assert!(!of(Some(AccessMode::ReadOnly)).unwrap().writable);
    let error = of(Some(AccessMode::Other("WriteOnly".into()))).unwrap_err();
    assert_eq!(error.to_string(), "property p: access mode WriteOnly is not known");
}

#[test]
fn a_deadband_is_passed_by_more_than_itself() {
    let double = definition("DOUBLE");
    let passed = |band: Deadband, old: &str, new: &str| {
        band.passed(&double.parse(old).unwrap(), &double.parse(new).unwrap())
    };
    let absolute = Deadband::Absolute(exact("0.1"));
    assert!(!passed(absolute, "20.2", "20.3"));
    assert!(!passed(absolute, "-0.05", "0.05"));
    assert!(passed(absolute, "20.2", "20.30000000000000000001"));
    let percent = Deadband::Percent(exact("10"));
    assert!(!passed(percent, "-200", "-220"));
    assert!(passed(percent, "-200", "-220.1"));
    assert!(passed(percent, "0", "0.0001"));
    assert!(!passed(Deadband::none(), "1", "1.0"));
    assert!(passed(Deadband::none(), "1", "1.0000000000000000000000000000000000000000000001"));
    // Too long to calculate with: told rather than swallowed.
    assert!(passed(absolute, "1e300", "1.0000000000000000000000000000000000000000000001"));
}

#[test]
fn of_text_every_change_counts() {
    let wide = Deadband::Absolute(exact("1000"));
    assert!(wide.passed(&Value::Text("1".into()), &Value::Text("2".into())));
    assert!(wide.passed(&Value::Boolean(false), &Value::Boolean(true)));
    assert!(!wide.passed(&Value::Text("1".into()), &Value::Text("1".into())));
}

proptest! {
    #[test]
    fn deadbands_agree_with_whole_numbers(old in any::<i32>(), new in any::<i32>(), band in 0_i64..10_000) {
        let (a, b) = (i64::from(old), i64::from(new));
        let values = (Value::Integer(a.into()), Value::Integer(b.into()));
        let moved = (a - b).abs();
        prop_assert_eq!(Deadband::Absolute(band.into()).passed(&values.0, &values.1), moved > band);
        prop_assert_eq!(
            Deadband::Percent(band.into()).passed(&values.0, &values.1),
            i128::from(moved) * 100 > i128::from(band) * i128::from(a.abs())
        );
    }
}
