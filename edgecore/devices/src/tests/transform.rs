//! Transforms against vectors, and there and back.

use crds::devices::FreeForm;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::tests::kit::definition;
use crate::transform::{ConfigError, Error, Raw, RawType, Transform};
use crate::value::Value;

/// One array per line:
/// `["read", register, raw, configData, type, value]` and
/// `["write", register, configData, type, value, what the register holds or null, raw]`, with `!Variant` for an error.
/// Computed by another program, in rational numbers.
const VECTORS: &str = include_str!("../transform/vectors.jsonl");

fn raw_type(word: &str) -> RawType {
    let integer = |bits, signed| RawType::Integer { bits, signed };
    match word {
        "bit" => integer(1, false),
        "float32" => RawType::Float32,
        "float64" => RawType::Float64,
        _ => match word.split_once("int").unwrap() {
            ("u", bits) => integer(bits.parse().unwrap(), false),
            (_, bits) => integer(bits.parse().unwrap(), true),
        },
    }
}

fn raw(raw_type: RawType, text: &str) -> Raw {
    match raw_type {
        RawType::Integer { .. } => Raw::Integer(text.parse().unwrap()),
        RawType::Float32 => Raw::Float32(text.parse().unwrap()),
        RawType::Float64 => Raw::Float64(text.parse().unwrap()),
    }
}

fn transform(config: &Json, raw_type: RawType) -> Result<Transform, ConfigError> {
    let Json::Object(fields) = config else { panic!("configData is an object") };
    Transform::of(&FreeForm(fields.clone()), raw_type)
}

fn variant(error: &Error) -> String {
    let name = match error {
        Error::Value(_) => "!Value",
        Error::NotANumber { .. } => "!NotANumber",
        Error::NotInvertible { .. } => "!NotInvertible",
        Error::NotRepresentable { .. } => "!NotRepresentable",
        Error::OutOfRange { .. } => "!OutOfRange",
    };
    name.to_owned()
}

fn read(line: &[Json]) -> (String, String) {
    let [register, number, config, word, expected] = line else { panic!("{line:?}") };
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let raw_type = raw_type(&text(register));
    let transform = transform(config, raw_type).unwrap();
    let found = transform.read(raw(raw_type, &text(number)), &definition(&text(word)));
    (found.map_or_else(|error| variant(&error), |value| value.to_string()), text(expected))
}

fn write(line: &[Json]) -> (String, String) {
    let [register, config, word, value, current, expected] = line else { panic!("{line:?}") };
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let (raw_type, definition) = (raw_type(&text(register)), definition(&text(word)));
    let value = definition.parse(&text(value)).unwrap();
    let current = current.as_str().map(|current| raw(raw_type, current));
    let expected = text(expected);
    let found = transform(config, raw_type).unwrap().write(&value, &definition, current);
    match found {
        // Floats have more than one text.
        Ok(found) if !expected.starts_with('!') && found == raw(raw_type, &expected) => {
            (expected.clone(), expected)
        }
        Ok(found) => (format!("{found:?}"), expected),
        Err(error) => (variant(&error), expected),
    }
}

#[test]
fn the_vectors_hold() {
    let mut count = 0;
    for line in VECTORS.lines() {
        let vector: Vec<Json> = serde_json::from_str(line).unwrap();
        let (found, expected) = match vector[0].as_str() {
            Some("read") => read(&vector[1..]),
            Some("write") => write(&vector[1..]),
            _ => panic!("{line}"),
        };
        assert_eq!(found, expected, "{line}");
        count += 1;
    }
    assert!(count >= 500, "{count} vectors");
}

#[test]
fn errors_say_why() {
    let int16 = raw_type("int16");
    let double = definition("DOUBLE");
    let tenth = transform(&json!({"transform": {"scale": 0.1}}), int16).unwrap();
    let write =
        |text: &str| tenth.write(&double.parse(text).unwrap(), &double, None).unwrap_err().to_string();
    assert_eq!(
        write("25.45"),
        "property p: 25.45 is not representable: the register would hold 254.5, no whole number"
    );
    assert_eq!(write("3276.8"), "property p: 3276.8 is out of range: 32768 does not fit into the register");
    let int = definition("INT");
    let masked = transform(&json!({"transform": {"mask": "0xFF"}}), int16).unwrap();
    assert_eq!(
        masked.write(&Value::Integer(1), &int, None).unwrap_err().to_string(),
        "property p: 1 cannot be written, not invertible: bits beside the mask are kept, and what they are is not known"
    );
    assert_eq!(
        tenth.read(Raw::Integer(254), &int).unwrap_err().to_string(),
        r#"property p: "25.4" is refused: expected INT, a whole number from -2^63 to 2^64-1"#
    );
}

#[test]
fn parameters_that_mean_nothing_are_refused_by_name() {
    let table = [
        ("uint16", json!({"transform": {"scal": 1}}), "object"),
        ("uint16", json!({"transform": 7}), "object"),
        ("uint16", json!({"transform": {"scale": 0}}), "scale"),
        ("uint16", json!({"scale": 0}), "scale"),
        ("uint16", json!({"scale": 1, "transform": {"scale": 2}}), "scale"),
        ("uint16", json!({"transform": {"scale": "tenth"}}), "scale"),
        ("uint16", json!({"transform": {"offset": true}}), "offset"),
        ("uint16", json!({"transform": {"base": 1}}), "base"),
        ("uint16", json!({"transform": {"base": -2}}), "base"),
        ("uint16", json!({"transform": {"mask": "0x1FFFF"}}), "mask"),
        ("uint16", json!({"transform": {"mask": 0}}), "mask"),
        ("uint16", json!({"transform": {"mask": -1}}), "mask"),
        ("uint16", json!({"transform": {"shift": 64}}), "shift"),
        ("uint16", json!({"transform": {"shift": 1.5}}), "shift"),
        ("float32", json!({"transform": {"mask": 1}}), "mask"),
        ("float64", json!({"transform": {"shift": 1}}), "shift"),
        ("uint16", json!({"transform": {"mapping": {"one": "on"}}}), "mapping"),
        ("uint16", json!({"transform": {"mapping": {"1": "on", "1.0": "off"}}}), "mapping"),
    ];
    for (register, config, parameter) in table {
        let error = transform(&config, raw_type(register)).expect_err(&config.to_string());
        assert_eq!(error.parameter, parameter, "{error}");
    }
}

fn register() -> impl Strategy<Value = RawType> {
    let integer = (prop::sample::select(vec![1_u8, 8, 16, 32, 64]), any::<bool>());
    prop_oneof![
        6 => integer.prop_map(|(bits, signed)| RawType::Integer { bits, signed: signed && bits > 1 }),
        1 => Just(RawType::Float32),
        1 => Just(RawType::Float64),
    ]
}

/// A configuration that suits the register.
fn config(raw_type: RawType) -> impl Strategy<Value = Json> {
    let bits = match raw_type {
        RawType::Integer { bits, .. } => bits,
        RawType::Float32 | RawType::Float64 => 0,
    };
    let all = if bits == 0 { 1 } else { u64::MAX >> (64 - u32::from(bits)) };
    let mask = prop::option::of((1..=all).prop_map(|mask| json!(mask)));
    let shift = prop::option::of((-6_i64..6).prop_map(|shift| json!(shift)));
    let decimal = || (-9999_i32..9999, 0_u32..6).prop_map(|(n, places)| json!(format!("{n}e-{places}")));
    let base = prop::option::weighted(0.2, prop::sample::select(vec!["2", "10", "0.5", "1.5"]));
    (mask, shift, base, prop::option::of(decimal()), prop::option::of(decimal())).prop_map(
        move |(mask, shift, base, scale, offset)| {
            let mut object = json!({});
            let mut put = |key: &str, value: Option<Json>| {
                if let Some(value) = value {
                    object[key] = value;
                }
            };
            put("mask", mask.filter(|_| bits > 0));
            put("shift", shift.filter(|_| bits > 0));
            put("base", base.map(Into::into));
            put("scale", scale.filter(|scale| !scale.as_str().unwrap().starts_with("0e")));
            put("offset", offset);
            json!({ "transform": object })
        },
    )
}

fn case() -> impl Strategy<Value = (RawType, Json, u64)> {
    register().prop_flat_map(|raw_type| (Just(raw_type), config(raw_type), any::<u64>()))
}

proptest! {
    #[test]
    fn what_was_read_is_written_back((raw_type, config, bits) in case()) {
        let raw = match raw_type {
            RawType::Integer { bits: width, signed: false } => {
                Raw::Integer(i128::from(bits & (u64::MAX >> (64 - u32::from(width)))))
            }
            RawType::Integer { bits: width, signed: true } => {
                Raw::Integer(i128::from(bits.cast_signed() >> (64 - u32::from(width))))
            }
            RawType::Float32 => Raw::Float32(f32::from_bits(u32::try_from(bits >> 32).unwrap())),
            RawType::Float64 => Raw::Float64(f64::from_bits(bits)),
        };
        let transform = transform(&config, raw_type).unwrap();
        let definition = definition("DOUBLE");
        if let Ok(value) = transform.read(raw, &definition) {
            prop_assert_eq!(transform.write(&value, &definition, Some(raw)), Ok(raw), "{}", value);
        }
    }

    #[test]
    fn what_was_written_reads_back(
        (raw_type, config, bits) in case(),
        value in "-?[0-9]{1,6}(\\.[0-9]{1,3})?",
    ) {
        let transform = transform(&config, raw_type).unwrap();
        let definition = definition("DOUBLE");
        let value = definition.parse(&value).unwrap();
        let current = match raw_type {
            RawType::Integer { .. } => Raw::Integer(0),
            RawType::Float32 | RawType::Float64 => Raw::Float64(f64::from_bits(bits)),
        };
        if let Ok(raw) = transform.write(&value, &definition, Some(current)) {
            prop_assert_eq!(transform.read(raw, &definition), Ok(value));
        }
    }
}
