//! Decimals compare as numbers, keep their text, and calculate exactly or not at all.

use proptest::prelude::*;

use crate::decimal::Decimal;
use crate::decimal::exact::{Exact, Inexact};

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
}

fn exact(text: &str) -> Exact {
    Exact::of(&decimal(text)).unwrap()
}

#[test]
fn numbers_are_what_go_reads_as_decimal_numbers() {
    for text in ["0", "-0", "+5", "007", "5.", ".5", "1e3", "1E-3", "-2.50e+2", "0e2147483647", "1e399"] {
        assert_eq!(decimal(text).as_str(), text);
    }
    for text in
        ["", "+", ".", "-.", "e5", "1e", "1e+", "--1", "1_000", "0x10", " 1", "1 ", "1,5", "NaN", "Inf", "١"]
    {
        assert_eq!(Decimal::parse(text), None, "{text}");
    }
    assert_eq!(Decimal::parse("1e1000"), None);
    assert_eq!(Decimal::parse("1e-99999999999"), None);
}

#[test]
fn order_is_that_of_numbers_at_any_length() {
    let rising = [
        "-1e300",
        "-10",
        "-9.99999999999999999999999999999999999999999999999999",
        "-0.1",
        "-1e-300",
        "0",
        "1e-300",
        "0.1",
        "0.1000000000000000055511151231257827021181583404541015625",
        "0.10000000000000001",
        "9007199254740992",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890123456789012345678901234567890",
        "123456789012345678901234567890123456789012345678901234567891",
        "1e300",
    ];
    for (n, a) in rising.iter().enumerate() {
        for (m, b) in rising.iter().enumerate() {
            assert_eq!(decimal(a).cmp(&decimal(b)), n.cmp(&m), "{a} and {b}");
        }
    }
    for (a, b) in [("21.5", "21.50"), ("-0", "0.000"), ("1e2", "100"), ("+007", "7.0"), ("0.001", "1e-3")] {
        assert_eq!(decimal(a), decimal(b));
    }
}

#[test]
fn what_cannot_be_exact_says_so() {
    assert_eq!(exact("1").divided_by(exact("3")), Err(Inexact::Endless));
    assert_eq!(exact("1").divided_by(exact("0")), Err(Inexact::Endless));
    assert_eq!(exact("3").divided_by(exact("0.75")), Ok(exact("4")));
    assert_eq!(exact("-7").divided_by(exact("-640")), Ok(exact("0.0109375")));
    assert_eq!(exact("1e300").plus(exact("1")), Err(Inexact::TooLong));
    assert_eq!(exact("1e300").times(exact("1e300")), Err(Inexact::TooLong));
    assert_eq!(Exact::of(&decimal(&"7".repeat(60))), Err(Inexact::TooLong));
    assert_eq!(exact(&format!("1{}", "0".repeat(60))), exact("1e60"));
    let most = exact("170141183460469231731687303715884105727");
    assert_eq!(most.plus(exact("1")), Err(Inexact::TooLong));
    assert_eq!(exact("0").minus(most).and_then(|least| least.minus(exact("1"))), Err(Inexact::TooLong));
}

#[test]
fn powers_go_there_and_back() {
    assert_eq!(exact("2").to_the(10), Ok(exact("1024")));
    assert_eq!(exact("2").to_the(-3), Ok(exact("0.125")));
    assert_eq!(exact("3").to_the(-1), Err(Inexact::Endless));
    assert_eq!(exact("10").to_the(i128::MAX), Err(Inexact::TooLong));
    assert_eq!(exact("0.125").power_of(exact("2")), Some(-3));
    assert_eq!(exact("18014398509481984").power_of(exact("0.5")), Some(-54));
    assert_eq!(exact("1e399").power_of(exact("10")), Some(399));
    assert_eq!(exact("1").power_of(exact("7")), Some(0));
    for none in ["0", "-2", "3", "0.3"] {
        assert_eq!(exact(none).power_of(exact("2")), None, "{none}");
    }
}

#[test]
fn all_digits_are_printed_and_no_exponent() {
    for (text, printed) in [
        ("1e3", "1000"),
        ("-1.50", "-1.5"),
        ("1e-7", "0.0000001"),
        ("-0", "0"),
        ("0.05", "0.05"),
        ("12.34", "12.34"),
    ] {
        assert_eq!(exact(text).to_string(), printed);
    }
}

proptest! {
    #[test]
    fn any_text_is_a_number_or_none(text in "[-+]?[0-9]{0,45}\\.?[0-9]{0,45}([eE][-+]?[0-9]{1,4})?|\\PC*") {
        if let Some(decimal) = Decimal::parse(&text) {
            prop_assert_eq!(&decimal, &decimal.clone());
            if let Ok(exact) = Exact::of(&decimal) {
                prop_assert_eq!(Decimal::parse(&exact.to_string()), Some(decimal));
            }
        }
    }

    #[test]
    fn calculation_undoes_itself(a in any::<i64>(), b in any::<i64>(), places in 0_u32..12) {
        let number = |n: i64| exact(&format!("{n}e-{places}"));
        let (a, b) = (number(a), number(b));
        prop_assert_eq!(a.plus(b).and_then(|sum| sum.minus(b)), Ok(a));
        if !b.is_zero() {
            prop_assert_eq!(a.times(b).and_then(|product| product.divided_by(b)), Ok(a));
        }
    }

    #[test]
    fn doubles_come_back(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        let back = Decimal::of_f64(float).map(|decimal| decimal.as_str().parse::<f64>().unwrap());
        prop_assert_eq!(back, float.is_finite().then_some(float));
    }
}
