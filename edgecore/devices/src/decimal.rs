//! Decimal numbers, kept as they were written and compared exactly.
//!
//! A double cannot tell 0.1 from 0.1000000000000000055, and 9007199254740993 not from its neighbour; values and the
//! bounds of a model are decimal text, so here they stay that. What is calculated with them is in [`exact`].

pub mod exact;

use std::cmp::Ordering;
use std::fmt;
use std::iter;

/// How far the first digit of a number may be from its point. A double's is at most 324.
const FARTHEST: i64 = 400;

/// A finite decimal number with the text that it was written as. Two are equal if they are as numbers, whatever their
/// text: 21.5 and 21.50.
#[derive(Debug, Clone)]
pub struct Decimal(Box<str>);

/// A number in its parts. It is 0 or ±0.d₁d₂… × 10^`magnitude` with the first digit not 0.
struct Parts<'a> {
    negative: bool,
    zero: bool,
    whole: &'a str,
    fraction: &'a str,
    magnitude: i64,
}

impl Decimal {
    /// From text: a sign, digits with or without a point, an exponent; as Go's `strconv.ParseFloat` reads decimal
    /// numbers. `None` for all else, for NaN and infinities, and for exponents that no device means.
    pub fn parse(text: &str) -> Option<Self> {
        Parts::of(text).map(|_| Self(text.into()))
    }

    /// The shortest number that a single-precision float stands for; `None` for NaN and infinities.
    pub fn of_f32(float: f32) -> Option<Self> {
        float.is_finite().then(|| Self(float.to_string().into()))
    }

    /// The shortest number that a double stands for; `None` for NaN and infinities.
    pub fn of_f64(float: f64) -> Option<Self> {
        float.is_finite().then(|| Self(float.to_string().into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its digits without zeros in front, whether it is negative, and the exponent of ten of its last digit.
    fn digits(&self) -> Option<(bool, impl Iterator<Item = u8> + '_, i64)> {
        let parts = Parts::of(&self.0)?;
        let (negative, exponent) = (parts.negative, parts.magnitude - parts.length());
        Some((negative, parts.significant(), exponent))
    }
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, i64::from(exponent.parse::<i32>().ok()?)),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let only_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !only_digits || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let zeros = whole.bytes().chain(fraction.bytes()).take_while(|byte| *byte == b'0').count();
        let zero = zeros == whole.len() + fraction.len();
        let magnitude = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()? + exponent;
        let negative = text.starts_with('-');
        (zero || magnitude.abs() <= FARTHEST).then_some(Self { negative, zero, whole, fraction, magnitude })
    }

    /// The digits from the first that is not 0.
    fn significant(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.whole.bytes().chain(self.fraction.bytes()).skip_while(|byte| *byte == b'0')
    }

    /// How many digits [`Self::significant`] gives.
    fn length(&self) -> i64 {
        i64::try_from(self.significant().count()).unwrap_or(i64::MAX)
    }

    /// Without the sign: which is greater.
    fn cmp_size(&self, other: &Self) -> Ordering {
        self.magnitude.cmp(&other.magnitude).then_with(|| {
            let length = self.length().max(other.length());
            let padded = |parts: &Self| parts.significant().chain(iter::repeat(b'0'));
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            padded(self).take(length).cmp(padded(other).take(length))
        })
    }

    fn sign(&self) -> i8 {
        match (self.zero, self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (Some(a), Some(b)) = (Parts::of(&self.0), Parts::of(&other.0)) else { return Ordering::Equal };
        a.sign().cmp(&b.sign()).then_with(|| match a.sign() {
            0 => Ordering::Equal,
            1.. => a.cmp_size(&b),
            _ => b.cmp_size(&a),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl From<i128> for Decimal {
    fn from(number: i128) -> Self {
        Self(number.to_string().into())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
