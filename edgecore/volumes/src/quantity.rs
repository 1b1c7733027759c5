//! Kubernetes quantities (`100m`, `1.5Gi`, `12e6`), exactly.

use std::fmt;

use thiserror::Error;

/// Billionths in one unit.
const NANO: i128 = 1_000_000_000;
/// The largest amount: upstream cuts everything above off, too.
const MOST: i128 = i64::MAX as i128 * NANO;
/// Longest text that is read.
const LONGEST: usize = 64;
/// Suffixes of powers of 1024, smallest first.
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Suffixes of powers of ten with their exponents, smallest first.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// An amount, kept in billionths of its unit. What is finer is rounded away from zero, as upstream does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity {
    nanos: i128,
}

/// Not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a quantity")]
pub struct QuantityError(pub String);

impl Quantity {
    /// So many whole units.
    pub const fn from_units(units: i64) -> Self {
        Self { nanos: units as i128 * NANO }
    }

    /// So many thousandths.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * (NANO / 1000) }
    }

    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError(text.chars().take(LONGEST).collect());
        if text.len() > LONGEST {
            return Err(wrong());
        }
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(wrong());
        }
        let nanos = match BINARY.iter().zip(1..).find(|(name, _)| **name == suffix) {
            Some((_, power)) => binary(whole, fraction, 1_i128 << (10 * power)),
            None => decimal(whole, fraction, exponent(suffix).ok_or_else(wrong)?),
        };
        let nanos = nanos.min(MOST);
        Ok(Self { nanos: if negative { -nanos } else { nanos } })
    }

    /// Nothing at all.
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whole units, rounded away from zero.
    pub fn value(self) -> i64 {
        self.rounded(NANO)
    }

    /// Thousandths, rounded away from zero.
    pub fn milli(self) -> i64 {
        self.rounded(NANO / 1000)
    }

    /// Both together, cut off at the largest amount.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nanos: (self.nanos + other.nanos).clamp(-MOST, MOST) }
    }

    /// With a suffix of a power of 1024 where the amount is whole in it, as sizes of memory are written.
    pub fn binary(self) -> String {
        let units = self.nanos / NANO;
        if self.nanos % NANO != 0 || units.unsigned_abs() < 1024 {
            return self.to_string();
        }
        let (mut rest, mut suffix) = (units, "");
        for name in BINARY {
            if rest % 1024 != 0 {
                break;
            }
            (rest, suffix) = (rest / 1024, name);
        }
        format!("{rest}{suffix}")
    }

    fn rounded(self, unit: i128) -> i64 {
        let size = self.nanos.unsigned_abs().div_ceil(unit.unsigned_abs());
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        if self.nanos < 0 { -size } else { size }
    }
}

/// The canonical text: the largest decimal suffix that leaves no fraction.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut best = (self.nanos, "n");
        for (suffix, exponent) in DECIMAL {
            let Ok(digits) = u32::try_from(exponent + 9) else { continue };
            let unit = 10_i128.pow(digits);
            if self.nanos % unit == 0 {
                best = (self.nanos / unit, suffix);
            }
        }
        if self.nanos == 0 { f.write_str("0") } else { write!(f, "{}{}", best.0, best.1) }
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Exponent of ten that a suffix stands for.
fn exponent(suffix: &str) -> Option<i32> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some(*exponent);
    }
    // `1E` is exa, but `1E3` and `1e3` are thousand.
    let number = suffix.strip_prefix(['e', 'E'])?;
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse().ok()
}

/// Nanos of a number times a power of ten.
fn decimal(whole: &str, fraction: &str, exponent: i32) -> i128 {
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0').collect();
    // 30 digits lie above the largest amount in nanos and far below the largest i128.
    let (kept, cut) = digits.split_at(digits.len().min(30));
    let number = kept.iter().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    let power = i64::from(exponent) + 9 - len(fraction.len()) + len(cut.len());
    if number == 0 {
        return 0;
    }
    let sticky = i128::from(cut.iter().any(|digit| *digit != b'0'));
    match u32::try_from(power) {
        Ok(power) => 10_i128.checked_pow(power).and_then(|p| p.checked_mul(number)).unwrap_or(MOST),
        Err(_) => match u32::try_from(-power).ok().and_then(|power| 10_i128.checked_pow(power)) {
            Some(divisor) => number / divisor + i128::from(number % divisor != 0).max(sticky),
            None => 1,
        },
    }
}

/// Nanos of a number times a power of two.
fn binary(whole: &str, fraction: &str, unit: i128) -> i128 {
    let whole = whole.trim_start_matches('0');
    if whole.len() > 18 {
        return MOST;
    }
    let number = |text: &str| text.bytes().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    let (kept, cut) = fraction.split_at(fraction.len().min(18));
    let scale = 10_i128.pow(u32::try_from(kept.len()).unwrap_or(0));
    let part = number(kept) * unit;
    // At most 10^18 * 2^60 here, so the factor is applied in two steps to stay in range.
    let (parts, rest) = (part / scale, part % scale);
    let fine = rest * NANO;
    let sticky = fine % scale != 0 || cut.bytes().any(|digit| digit != b'0');
    (number(whole) * unit).min(i128::from(i64::MAX)) * NANO + parts * NANO + fine / scale + i128::from(sticky)
}

fn len(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(text: &str) -> i128 {
        Quantity::parse(text).unwrap().nanos
    }

    #[test]
    fn reads_what_manifests_hold() {
        for (text, expected) in [
            ("0", 0),
            ("100m", 100_000_000),
            ("0.1", 100_000_000),
            (".5", 500_000_000),
            ("5.", 5 * NANO),
            ("1", NANO),
            ("+1", NANO),
            ("-1", -NANO),
            ("12e6", 12_000_000 * NANO),
            ("12E-3", 12_000_000),
            ("1k", 1_000 * NANO),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("1Ki", 1024 * NANO),
            ("1.5Gi", 1_610_612_736 * NANO),
            ("128Mi", 134_217_728 * NANO),
            ("1n", 1),
            ("0.1n", 1),
            ("1e-30", 1),
            ("100000Ei", MOST),
            ("1e99", MOST),
            ("0e99", 0),
            ("9223372036854775807", MOST),
            ("99999999999999999999999999999999", MOST),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            "-",
            ".",
            "1.2.3",
            "x",
            "1 Gi",
            "1gi",
            "1K",
            "1e",
            "1e+",
            "1ee3",
            "Ki",
            "--1",
            "1,5",
            "1e9999999999",
        ] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        assert!(Quantity::parse(&"1".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn rounds_away_from_zero() {
        assert_eq!(Quantity::parse("1.1m").unwrap().milli(), 2);
        assert_eq!(Quantity::parse("100m").unwrap().value(), 1);
        assert_eq!(Quantity::parse("-1.5").unwrap().value(), -2);
        assert_eq!(Quantity::parse("1e99").unwrap().milli(), i64::MAX);
    }

    #[test]
    fn has_one_canonical_text() {
        for (text, decimal, binary) in [
            ("1000m", "1", "1"),
            ("0.25", "250m", "250m"),
            ("1024Mi", "1073741824", "1Gi"),
            ("1.5Gi", "1610612736", "1536Mi"),
            ("2000", "2k", "2000"),
            ("0", "0", "0"),
            ("-2048", "-2048", "-2Ki"),
        ] {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!(
                (quantity.to_string().as_str(), quantity.binary().as_str()),
                (decimal, binary),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn text_and_amount_agree(nanos in -MOST..=MOST) {
            let quantity = Quantity { nanos };
            prop_assert_eq!(Quantity::parse(&quantity.to_string()), Ok(quantity));
            prop_assert_eq!(Quantity::parse(&quantity.binary()), Ok(quantity));
        }

        #[test]
        fn all_suffixes_scale(whole in 0_u32..1_000_000, power in 0_usize..6) {
            let text = format!("{whole}{}", BINARY[power]);
            let exact = i128::from(whole) << (10 * (power + 1));
            prop_assert_eq!(Quantity::parse(&text).unwrap().nanos, (exact * NANO).min(MOST));
        }

        #[test]
        fn nothing_makes_it_fail_otherwise(text in "\\PC{0,70}") {
            let _ = Quantity::parse(&text);
        }
    }
}
