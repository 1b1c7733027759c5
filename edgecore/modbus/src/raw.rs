//! A value as a unit has it, before anything is computed from it.

use thiserror::Error;

/// A value in the type that it has in the unit, whole: nothing is widened to a float or cut.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// Of the signed integer types.
    Signed(i64),
    /// Of the unsigned integer types, and of several bits.
    Unsigned(u64),
    /// A finite number of 32 bits.
    Float32(f32),
    /// A finite number of 64 bits.
    Float64(f64),
    /// A float that is no number.
    NotFinite(NotFinite),
    /// One bit.
    Bool(bool),
    /// UTF-8, as far as it goes before the first NUL.
    Text(String),
    /// Bytes as they are.
    Bytes(Vec<u8>),
}

/// What a float is that is no number. Units say by it that a sensor is missing, or lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotFinite {
    /// Not a number, whatever its payload.
    #[error("NaN")]
    NaN,
    /// Over every number.
    #[error("+Inf")]
    Infinity,
    /// Below every number.
    #[error("-Inf")]
    NegativeInfinity,
}

impl NotFinite {
    /// Of a float that is none of the finite ones.
    fn of(value: f64) -> Self {
        match (value.is_nan(), value.is_sign_negative()) {
            (true, _) => Self::NaN,
            (false, false) => Self::Infinity,
            (false, true) => Self::NegativeInfinity,
        }
    }
}

impl From<f32> for Raw {
    fn from(value: f32) -> Self {
        if value.is_finite() { Self::Float32(value) } else { Self::NotFinite(NotFinite::of(value.into())) }
    }
}

impl From<f64> for Raw {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Float64(value) } else { Self::NotFinite(NotFinite::of(value)) }
    }
}
