//! Raw numbers of registers become values, and values become raw numbers, exactly.
//!
//! Reading, in this order, each step where it is configured:
//!
//! 1. `mask`: the bits of an integer register that count; the rest is 0. In the register's own width and sign.
//! 2. `shift`: so many bits to the right, keeping the sign; a negative one to the left, with no bit lost.
//! 3. `base`: the base to the power of the number.
//! 4. `scale`: times this.
//! 5. `offset`: plus this.
//! 6. `mapping`: the label of the number. A number without one is an error, not a label of its own.
//!
//! What comes out is read as text by the property's type ([`Definition::parse`]), which checks the model's bounds too;
//! 25.4 is no `INT`, and says so rather than turning into 25.
//!
//! Writing undoes the same steps from 6 to 1 and gives the one raw number that reads as the value, or says why there is
//! none: *not invertible* (two numbers with one label; bits beside the mask while nobody said what they are now), *not
//! representable* (no step of the scale, no power of the base, no float of that width), *out of range* (of the register
//! or of the mask). Nothing is rounded, so what was written reads back as it was.
//!
//! The steps and their order are EdgeX's, computed in decimals instead of in the register's own type, in which EdgeX turns
//! 254 scaled by 0.1 into an overflow. `shift` goes right, as its documentation says; the code of its Go SDK goes left.
//! The parameters stand in the visitor's `configData`, in an object `transform` of their own, because KubeEdge's Modbus
//! visitor calls the register's address `offset`. KubeEdge's own `scale` beside it is honoured where `transform` has
//! none; `limit`, `isSwap` and `isRegisterSwap` say how a driver gets the raw number, and are the driver's.

mod bits;
mod config;
mod raw;

pub use config::ConfigError;
pub use raw::{Raw, RawType};

use crate::decimal::Decimal;
use crate::decimal::exact::{Exact, Inexact};
use crate::transform::bits::Bits;
use crate::value::{self, Definition, Value};

/// What a property's raw numbers mean. Made by [`Transform::of`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    raw: RawType,
    bits: Bits,
    base: Option<Exact>,
    scale: Option<Exact>,
    offset: Option<Exact>,
    /// Numbers with their labels; empty for none.
    mapping: Vec<(Decimal, Box<str>)>,
}

/// Why there is no value for a raw number, or no raw number for a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What the steps made is no value of the property.
    #[error(transparent)]
    Value(#[from] value::Error),
    /// The register holds NaN or an infinity.
    #[error("property {property}: the register holds no number")]
    NotANumber { property: Box<str> },
    /// More than one raw number reads as the value.
    #[error("property {property}: {value} cannot be written, not invertible: {why}")]
    NotInvertible { property: Box<str>, value: Box<str>, why: &'static str },
    /// No raw number of that type reads as the value, or no decimal number is what the steps give.
    #[error("property {property}: {value} is not representable: {why}")]
    NotRepresentable { property: Box<str>, value: Box<str>, why: Box<str> },
    /// The raw number does not fit.
    #[error("property {property}: {value} is out of range: {raw} does not fit into {into}")]
    OutOfRange { property: Box<str>, value: Box<str>, raw: i128, into: &'static str },
}

/// The value that a step works on, for errors.
struct Subject<'a> {
    property: &'a str,
    value: String,
}

impl Subject<'_> {
    fn not_representable(&self, why: impl Into<Box<str>>) -> Error {
        Error::NotRepresentable { property: self.property.into(), value: self.shown(), why: why.into() }
    }

    fn not_invertible(&self, why: &'static str) -> Error {
        Error::NotInvertible { property: self.property.into(), value: self.shown(), why }
    }

    fn out_of_range(&self, raw: i128, into: &'static str) -> Error {
        Error::OutOfRange { property: self.property.into(), value: self.shown(), raw, into }
    }

    fn shown(&self) -> Box<str> {
        value::shortened(&self.value, 64)
    }
}

impl Transform {
    /// The value that a raw number of this transform's type is.
    ///
    /// # Errors
    ///
    /// NaN and infinities, what no decimal number is, a number without a label, and what is no value of the property.
    pub fn read(&self, raw: Raw, definition: &Definition) -> Result<Value, Error> {
        let property = definition.property();
        let number = raw.number().ok_or_else(|| Error::NotANumber { property: property.into() })?;
        let subject = Subject { property, value: number.to_string() };
        let number = match raw {
            Raw::Integer(integer) => Decimal::from(self.bits.read(self.raw, integer)),
            Raw::Float32(_) | Raw::Float64(_) => number,
        };
        let number = self.forwards(&number).map_err(|why| subject.not_representable(why.to_string()))?;
        let text = if self.mapping.is_empty() {
            number.to_string()
        } else {
            self.label(number).ok_or_else(|| subject.not_representable("the mapping has no label for it"))?
        };
        Ok(definition.parse(&text)?)
    }

    /// The raw number that reads as `value`, one that [`Definition::parse`] gave. `current` is what the register holds
    /// now, where that is known: bits that the transform leaves out are kept from it.
    ///
    /// # Errors
    ///
    /// No raw number reads as the value, more than one does, or it does not fit; see the module.
    pub fn write(&self, value: &Value, definition: &Definition, current: Option<Raw>) -> Result<Raw, Error> {
        let subject = Subject { property: definition.property(), value: value.to_string() };
        let number = self.number(value, definition, &subject)?;
        let number = self.backwards(number, &subject)?;
        match self.raw {
            RawType::Float32 => {
                let nearest = number.to_string().parse().unwrap_or(f32::NAN);
                let same = Decimal::of_f32(nearest).and_then(|decimal| Exact::of(&decimal).ok());
                let found = (same == Some(number)).then_some(Raw::Float32(nearest));
                found.ok_or_else(|| subject.not_representable("no float of 32 bits is this number"))
            }
            RawType::Float64 => {
                let nearest = number.to_string().parse().unwrap_or(f64::NAN);
                let same = Decimal::of_f64(nearest).and_then(|decimal| Exact::of(&decimal).ok());
                let found = (same == Some(number)).then_some(Raw::Float64(nearest));
                found.ok_or_else(|| subject.not_representable("no float of 64 bits is this number"))
            }
            RawType::Integer { .. } => {
                let whole = number.integer();
                let whole = whole.ok_or_else(|| {
                    subject.not_representable(format!("the register would hold {number}, no whole number"))
                })?;
                self.bits.write(self.raw, whole, current, &subject).map(Raw::Integer)
            }
        }
    }

    /// Steps 3 to 5.
    fn forwards(&self, number: &Decimal) -> Result<Exact, Inexact> {
        let mut number = Exact::of(number)?;
        if let Some(base) = self.base {
            // A root of a decimal is hardly ever one.
            number = base.to_the(number.integer().ok_or(Inexact::Endless)?)?;
        }
        if let Some(scale) = self.scale {
            number = number.times(scale)?;
        }
        match self.offset {
            Some(offset) => number.plus(offset),
            None => Ok(number),
        }
    }

    /// Steps 5 to 3, undone.
    fn backwards(&self, mut number: Exact, subject: &Subject<'_>) -> Result<Exact, Error> {
        let inexact = |why: Inexact| subject.not_representable(why.to_string());
        if let Some(offset) = self.offset {
            number = number.minus(offset).map_err(inexact)?;
        }
        if let Some(scale) = self.scale {
            number = number.divided_by(scale).map_err(|_| {
                subject.not_representable(format!("{number} divided by the scale {scale} never ends"))
            })?;
        }
        let Some(base) = self.base else { return Ok(number) };
        let power = number.power_of(base).map(Decimal::from);
        let power = power.ok_or_else(|| {
            subject.not_representable(format!("{number} is no whole power of the base {base}"))
        })?;
        Exact::of(&power).map_err(inexact)
    }

    /// Step 6.
    fn label(&self, number: Exact) -> Option<String> {
        let number = Decimal::parse(&number.to_string())?;
        self.mapping.iter().find(|(known, _)| *known == number).map(|(_, label)| label.to_string())
    }

    /// The number that a value is: the one with its label, where there is a mapping.
    fn number(&self, value: &Value, definition: &Definition, subject: &Subject<'_>) -> Result<Exact, Error> {
        let exact =
            |number: &Decimal| Exact::of(number).map_err(|why| subject.not_representable(why.to_string()));
        if !self.mapping.is_empty() {
            let labelled = |label: &str| definition.parse(label).is_ok_and(|known| known == *value);
            let mut numbers = self.mapping.iter().filter(|(_, label)| labelled(label));
            let first = numbers.next();
            let (number, _) =
                first.ok_or_else(|| subject.not_representable("the mapping has no such label"))?;
            if numbers.next().is_some() {
                return Err(subject.not_invertible("the mapping has this label more than once"));
            }
            return exact(number);
        }
        let number = match value {
            Value::Boolean(truth) => return Ok(Exact::from(i64::from(*truth))),
            Value::Text(text) => Decimal::parse(text),
            Value::Integer(_) | Value::Decimal(_) => value.number(),
        };
        exact(&number.ok_or_else(|| subject.not_representable("it is no number"))?)
    }
}
