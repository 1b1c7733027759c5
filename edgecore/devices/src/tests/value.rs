//! Values keep what they are, and what is no value is refused by name.

use proptest::prelude::*;

use crate::tests::kit::{definition, property};
use crate::value::{Definition, Error, Expected, MOST_BYTES, Value};

fn expected(word: &str, text: &str) -> Expected {
    definition(word).parse(text).expect_err(text).expected
}

#[test]
fn each_type_prints_as_kubeedge_does() {
    let table = [
        ("INT", "42", "42"),
        ("INT", "+5", "5"),
        ("INT", "-007", "-7"),
        ("INT", "9007199254740993", "9007199254740993"),
        ("INT", "-9223372036854775808", "-9223372036854775808"),
        ("INT", "18446744073709551615", "18446744073709551615"),
        ("FLOAT", "16777217", "16777217"),
        ("FLOAT", "21.50", "21.50"),
        ("FLOAT", "1e-60", "1e-60"),
        ("DOUBLE", "0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("DOUBLE", "1e308", "1e308"),
        ("BOOLEAN", "T", "true"),
        ("BOOLEAN", "0", "false"),
        ("STRING", "", ""),
        ("STRING", "Straße 北 🪨\n", "Straße 北 🪨\n"),
        ("STRING", r#"{"a": [1.0, 1e2, null], "b":"\u0000"}"#, r#"{"a": [1.0, 1e2, null], "b":"\u0000"}"#),
        ("BYTES", "AQID", "AQID"),
        ("STREAM", "saveFrame", "saveFrame"),
    ];
    for (word, text, printed) in table {
        assert_eq!(definition(word).parse(text).unwrap().to_string(), printed, "{word}");
    }
}

#[test]
fn what_is_no_value_says_what_was_expected() {
    for text in ["", "25.0", "1e3", "0x10", " 1", "1 ", "9223372036854775808.", "18446744073709551616", "on"]
    {
        assert_eq!(expected("INT", text), Expected::Int, "{text}");
    }
    for text in ["", "1,5", "warm", "3.5e38"] {
        assert_eq!(expected("FLOAT", text), Expected::Float, "{text}");
    }
    assert_eq!(expected("DOUBLE", "1e309"), Expected::Double);
    for text in ["NaN", "nan", "inf", "-Inf", "+infinity"] {
        for word in ["INT", "FLOAT", "DOUBLE"] {
            assert_eq!(expected(word, text), Expected::Finite, "{text}");
        }
    }
    for text in ["", "yes", "TRue", "2"] {
        assert_eq!(expected("BOOLEAN", text), Expected::Boolean, "{text}");
    }
    assert_eq!(expected("STRING", &"x".repeat(MOST_BYTES + 1)), Expected::Shorter);
}

#[test]
fn an_error_names_property_value_and_what_was_expected() {
    let error = Definition::of(&property("DOUBLE", "-40", "85.5")).unwrap().parse("85.50000000000000000001");
    assert_eq!(
        error.unwrap_err().to_string(),
        r#"property p: "85.50000000000000000001" is refused: expected at most 85.5, the model's maximum"#
    );
    let long = definition("INT").parse(&"🪨".repeat(1000)).unwrap_err();
    assert_eq!(long.value.chars().count(), 65);
}

#[test]
fn bounds_are_compared_exactly() {
    let table = [
        ("INT", "0", "18446744073709551615", "18446744073709551615", true),
        ("INT", "-9007199254740993", "", "-9007199254740994", false),
        ("INT", "-9007199254740993", "", "-9007199254740993", true),
        ("INT", "0.5", "", "0", false),
        ("DOUBLE", "0.1", "", "0.1000000000000000000000000000000000000000000000", true),
        ("DOUBLE", "0.1", "", "0.0999999999999999999999999999999999999999999999", false),
        ("FLOAT", "", "16777216", "16777217", false),
        // Of what is no number, bounds say nothing, whatever stands there.
        ("STRING", "z", "a", "m", true),
        ("BOOLEAN", "5", "6", "true", true),
    ];
    for (word, minimum, maximum, text, fits) in table {
        let definition = Definition::of(&property(word, minimum, maximum)).unwrap();
        assert_eq!(definition.parse(text).is_ok(), fits, "{word} {minimum} {maximum} {text}");
    }
}

#[test]
fn a_model_that_means_nothing_is_refused_by_property() {
    let expected = |property| Definition::of(&property).unwrap_err().expected;
    assert_eq!(expected(property("INT", "low", "")), Expected::Minimum);
    assert_eq!(expected(property("DOUBLE", "", "NaN")), Expected::Maximum);
    let unknown: Error = Definition::of(&property("COMPLEX", "", "")).unwrap_err();
    assert_eq!((&*unknown.property, &*unknown.value), ("p", "COMPLEX"));
    let mut untyped = property("INT", "", "");
    untyped.data_type = None;
    assert_eq!(expected(untyped), Expected::KnownType);
}

#[test]
fn equal_numbers_are_equal_values() {
    let double = definition("DOUBLE");
    assert_eq!(double.parse("21.5").unwrap(), double.parse("21.50").unwrap());
    assert_ne!(double.parse("21.5").unwrap(), Value::Text("21.5".into()));
}

proptest! {
    #[test]
    fn integers_of_64_bits_are_exact(signed in any::<i64>(), unsigned in any::<u64>()) {
        let int = definition("INT");
        prop_assert_eq!(int.parse(&signed.to_string()).unwrap().to_string(), signed.to_string());
        prop_assert_eq!(int.parse(&unsigned.to_string()).unwrap().to_string(), unsigned.to_string());
    }

    #[test]
    fn no_text_is_too_odd(
        text in "\\PC*|[-+]?[0-9]*\\.?[0-9]*(e[-+]?[0-9]*)?",
        word in prop::sample::select(vec!["INT", "FLOAT", "DOUBLE", "STRING", "BOOLEAN", "BYTES", "STREAM"]),
    ) {
        let definition = definition(word);
        if let Ok(value) = definition.parse(&text) {
            let printed = value.to_string();
            prop_assert_eq!(definition.parse(&printed).unwrap(), value.clone());
            if !matches!(value, Value::Integer(_) | Value::Boolean(_)) {
                prop_assert_eq!(printed, text);
            }
        }
    }
}
