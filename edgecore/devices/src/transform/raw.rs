//! What stands in a register: so many bits, or a float.

use crate::decimal::Decimal;

/// How a register's bits are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawType {
    /// Two's complement, or plain, of 1 (a coil) to 64 bits.
    Integer { bits: u8, signed: bool },
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 double precision.
    Float64,
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raw {
    Integer(i128),
    Float32(f32),
    Float64(f64),
}

impl RawType {
    /// The pattern with all bits set.
    pub(super) fn all(self) -> u128 {
        match self {
            Self::Integer { bits, .. } => (1_u128 << bits.min(64)) - 1,
            Self::Float32 | Self::Float64 => 0,
        }
    }

    /// Whether an integer is one of this type.
    pub(super) fn holds(self, number: i128) -> bool {
        self.integer(self.pattern(number)) == number
    }

    /// The bits of an integer of this type.
    pub(super) fn pattern(self, number: i128) -> u128 {
        number.cast_unsigned() & self.all()
    }

    /// The integer that bits are.
    pub(super) fn integer(self, pattern: u128) -> i128 {
        let (Self::Integer { bits, signed }, number) = (self, pattern.cast_signed()) else { return 0 };
        let negative = signed && bits > 0 && pattern >> (bits - 1) & 1 == 1;
        if negative { number - (1_i128 << bits) } else { number }
    }
}

impl Raw {
    /// As a number; `None` for NaN and infinities. A float is the shortest decimal that stands for it.
    pub(super) fn number(self) -> Option<Decimal> {
        match self {
            Self::Integer(number) => Some(number.into()),
            Self::Float32(float) => Decimal::of_f32(float),
            Self::Float64(float) => Decimal::of_f64(float),
        }
    }
}
