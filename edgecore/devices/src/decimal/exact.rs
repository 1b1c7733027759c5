//! Calculation with decimals that is exact or says that it cannot be.
//!
//! Own, over 128-bit integers, because what is needed is small and unusual: every result must print as a finite
//! decimal, so division has to tell whether its quotient ends; and nothing may round. 38 digits hold any register
//! times any double.

use std::fmt;

use crate::decimal::{Decimal, FARTHEST};

/// A decimal number of at most 38 digits: `mantissa` × 10^`exponent`, the mantissa without zeros at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    mantissa: i128,
    exponent: i64,
}

/// Why a result is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Inexact {
    /// It has more digits, or lies farther from the point, than can be calculated with.
    #[error("it has more than 38 digits")]
    TooLong,
    /// A quotient whose digits never end, or one by zero.
    #[error("its digits never end")]
    Endless,
}

impl Exact {
    /// One.
    pub const ONE: Self = Self { mantissa: 1, exponent: 0 };

    fn new(mantissa: i128, exponent: i64) -> Result<Self, Inexact> {
        let number = Self::stripped(mantissa, exponent);
        // The least integer has no opposite.
        if number.exponent.abs() > FARTHEST || mantissa == i128::MIN {
            return Err(Inexact::TooLong);
        }
        Ok(number)
    }

    /// Without zeros at the mantissa's end.
    fn stripped(mut mantissa: i128, mut exponent: i64) -> Self {
        if mantissa == 0 {
            return Self { mantissa, exponent: 0 };
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Self { mantissa, exponent }
    }

    /// The exact value of a decimal.
    pub fn of(decimal: &Decimal) -> Result<Self, Inexact> {
        let Some((negative, digits, mut exponent)) = decimal.digits() else { return Err(Inexact::TooLong) };
        let (mut mantissa, mut zeros) = (0_i128, 0_u32);
        for digit in digits {
            if digit == b'0' {
                zeros += 1;
                continue;
            }
            let digit = i128::from(digit - b'0');
            // Zeros count only once another digit follows, so that 1 with 50 of them still fits.
            mantissa = shifted(mantissa, zeros + 1)?.checked_add(digit).ok_or(Inexact::TooLong)?;
            zeros = 0;
        }
        exponent += i64::from(zeros);
        Self::new(if negative { -mantissa } else { mantissa }, exponent)
    }

    /// The sum, if it is one of at most 38 digits.
    pub fn plus(self, other: Self) -> Result<Self, Inexact> {
        let exponent = self.exponent.min(other.exponent);
        let aligned = |number: Self| {
            shifted(number.mantissa, u32::try_from(number.exponent - exponent).unwrap_or(u32::MAX))
        };
        let sum = aligned(self)?.checked_add(aligned(other)?).ok_or(Inexact::TooLong)?;
        Self::new(sum, exponent)
    }

    /// The difference, if it is one of at most 38 digits.
    pub fn minus(self, other: Self) -> Result<Self, Inexact> {
        self.plus(Self { mantissa: -other.mantissa, exponent: other.exponent })
    }

    /// The product, if it is one of at most 38 digits.
    pub fn times(self, other: Self) -> Result<Self, Inexact> {
        let mantissa = self.mantissa.checked_mul(other.mantissa).ok_or(Inexact::TooLong)?;
        Self::new(mantissa, self.exponent + other.exponent)
    }

    /// The quotient, if its digits end and are at most 38.
    pub fn divided_by(self, other: Self) -> Result<Self, Inexact> {
        if other.mantissa == 0 {
            return Err(Inexact::Endless);
        }
        let shared = gcd(self.mantissa.unsigned_abs(), other.mantissa.unsigned_abs());
        let shared = i128::try_from(shared).map_err(|_| Inexact::TooLong)?;
        let (numerator, mut rest) = (self.mantissa / shared, other.mantissa / shared);
        // Only factors of 2 and 5 below the line give a quotient that ends; each pair of them is one more digit.
        let mut numerator = if rest < 0 { -numerator } else { numerator };
        rest = rest.abs();
        let mut exponent = self.exponent - other.exponent;
        for (factor, partner) in [(2, 5), (5, 2)] {
            while rest % factor == 0 {
                rest /= factor;
                numerator = numerator.checked_mul(partner).ok_or(Inexact::TooLong)?;
                exponent -= 1;
            }
        }
        if rest == 1 { Self::new(numerator, exponent) } else { Err(Inexact::Endless) }
    }

    /// `self` to an integer power. Powers beyond [`FARTHEST`] have too many digits, but for 1's, which nobody asks for.
    pub fn to_the(self, power: i128) -> Result<Self, Inexact> {
        let steps = i64::try_from(power.unsigned_abs()).ok().filter(|steps| *steps <= FARTHEST);
        let mut result = Self::ONE;
        for _ in 0..steps.ok_or(Inexact::TooLong)? {
            result = result.times(self)?;
        }
        if power < 0 { Self::ONE.divided_by(result) } else { Ok(result) }
    }

    /// The integer power of `base` that `self` is, if [`Self::to_the`] gives it.
    pub fn power_of(self, base: Self) -> Option<i128> {
        let mut grown = Self::ONE;
        for power in 0..=i128::from(FARTHEST) {
            if grown == self {
                return Some(power);
            }
            if Self::ONE.divided_by(grown) == Ok(self) {
                return Some(-power);
            }
            grown = grown.times(base).ok()?;
        }
        None
    }

    /// Without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self { mantissa: self.mantissa.abs(), exponent: self.exponent }
    }

    /// Whether it is 0.
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether it is less than 0.
    pub const fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Whether `self` is greater than `other`.
    pub fn exceeds(self, other: Self) -> Result<bool, Inexact> {
        other.minus(self).map(Self::is_negative)
    }

    /// As an integer, if it is one of 128 bits.
    pub fn integer(self) -> Option<i128> {
        let zeros = u32::try_from(self.exponent).ok()?;
        shifted(self.mantissa, zeros).ok()
    }
}

impl From<i64> for Exact {
    fn from(number: i64) -> Self {
        Self::stripped(i128::from(number), 0)
    }
}

impl fmt::Display for Exact {
    /// All digits and no exponent, as Go's `strconv.FormatFloat(…, 'f', -1, 64)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let places = usize::try_from(-self.exponent).unwrap_or(0);
        if places == 0 {
            let zeros = usize::try_from(self.exponent).unwrap_or(0);
            return write!(f, "{sign}{digits}{}", "0".repeat(zeros));
        }
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

/// With so many zeros more at its end.
fn shifted(mantissa: i128, zeros: u32) -> Result<i128, Inexact> {
    if mantissa == 0 {
        return Ok(0);
    }
    let factor = 10_i128.checked_pow(zeros).ok_or(Inexact::TooLong)?;
    mantissa.checked_mul(factor).ok_or(Inexact::TooLong)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
