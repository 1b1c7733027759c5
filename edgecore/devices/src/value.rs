//! The value of a property: typed by its DeviceModel, read from text and printed as text without loss.
//!
//! The words of the types, and which text is which value, are KubeEdge's (`Convert` and `ConvertToString` of its mapper
//! framework). Where KubeEdge loses something, this does not: `FLOAT` and `DOUBLE` keep their text, `INT` also takes the
//! upper half of unsigned 64-bit registers, strings are any UTF-8, JSON among it, byte for byte. `BYTES` and `STREAM` are
//! text too: KubeEdge lays down no encoding for them, its mappers write what they like there.

use std::fmt;

use crds::devices::device_model::{DataType, Property};

use crate::decimal::Decimal;

/// How long a value's text may be, in bytes. KubeEdge's own limit is 512.
pub const MOST_BYTES: usize = 64 * 1024;
/// How much of a value an error shows, in characters.
const SHOWN: usize = 64;

/// What a property is or should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of `INT`: from -2⁶³ to 2⁶⁴-1.
    Integer(i128),
    /// Of `FLOAT` and `DOUBLE`.
    Decimal(Decimal),
    /// Of `BOOLEAN`.
    Boolean(bool),
    /// Of `STRING`, `BYTES` and `STREAM`.
    Text(Box<str>),
}

impl Value {
    /// As a number; `None` for text and truth.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Integer(number) => Some((*number).into()),
            Self::Decimal(number) => Some(number.clone()),
            Self::Boolean(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    /// As it stands in a twin's `value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::Boolean(truth) => truth.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The type of a property's values, in KubeEdge's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Int,
    Float,
    Double,
    String,
    Boolean,
    Bytes,
    Stream,
}

/// What a property's values are, as its model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    property: Box<str>,
    data_type: Type,
    minimum: Option<Decimal>,
    maximum: Option<Decimal>,
}

/// A value that a property cannot have, or a bound that its model cannot mean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("property {property}: {value:?} is refused: expected {expected}")]
pub struct Error {
    pub property: Box<str>,
    /// Its text, shortened.
    pub value: Box<str>,
    pub expected: Expected,
}

/// What was expected of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Expected {
    #[error("INT, a whole number from -2^63 to 2^64-1")]
    Int,
    #[error("FLOAT, a decimal number of single precision's range")]
    Float,
    #[error("DOUBLE, a decimal number of double precision's range")]
    Double,
    #[error("a finite number")]
    Finite,
    #[error("BOOLEAN, true or false")]
    Boolean,
    #[error("at least {0}, the model's minimum")]
    AtLeast(Decimal),
    #[error("at most {0}, the model's maximum")]
    AtMost(Decimal),
    #[error("at most {MOST_BYTES} bytes")]
    Shorter,
    #[error("a type of INT, FLOAT, DOUBLE, STRING, BOOLEAN, BYTES, STREAM")]
    KnownType,
    #[error("a decimal number as the model's minimum")]
    Minimum,
    #[error("a decimal number as the model's maximum")]
    Maximum,
}

impl Definition {
    /// What the model says. Bounds of properties that are no numbers are ignored, as KubeEdge does; empty ones are none.
    ///
    /// # Errors
    ///
    /// A type that is absent or unknown; a bound of a numeric property that is no decimal number.
    pub fn of(model: &Property) -> Result<Self, Error> {
        let refused = |value: &str, expected| error(&model.name, value, expected);
        let data_type = match &model.data_type {
            Some(DataType::Int) => Type::Int,
            Some(DataType::Float) => Type::Float,
            Some(DataType::Double) => Type::Double,
            Some(DataType::String) => Type::String,
            Some(DataType::Boolean) => Type::Boolean,
            Some(DataType::Bytes) => Type::Bytes,
            Some(DataType::Stream) => Type::Stream,
            Some(DataType::Other(word)) => return Err(refused(word, Expected::KnownType)),
            None => return Err(refused("", Expected::KnownType)),
        };
        let numeric = matches!(data_type, Type::Int | Type::Float | Type::Double);
        let bound = |text: &Option<String>, expected| {
            let text = text.as_deref().filter(|text| numeric && !text.is_empty());
            text.map(|text| Decimal::parse(text).ok_or_else(|| refused(text, expected))).transpose()
        };
        Ok(Self {
            property: model.name.as_str().into(),
            data_type,
            minimum: bound(&model.minimum, Expected::Minimum)?,
            maximum: bound(&model.maximum, Expected::Maximum)?,
        })
    }

    /// The property's name.
    pub fn property(&self) -> &str {
        &self.property
    }

    /// The type of its values.
    pub const fn data_type(&self) -> Type {
        self.data_type
    }

    /// The value that `text` is.
    ///
    /// # Errors
    ///
    /// Text that is no value of the type, too long, or a number outside the model's bounds.
    pub fn parse(&self, text: &str) -> Result<Value, Error> {
        let refused = |expected| error(&self.property, text, expected);
        if text.len() > MOST_BYTES {
            return Err(refused(Expected::Shorter));
        }
        let value = match self.data_type {
            Type::Int => integer(text).map(Value::Integer).ok_or(Expected::Int),
            Type::Float => decimal(text, single(text)).ok_or(Expected::Float),
            Type::Double => decimal(text, text.parse().ok()).ok_or(Expected::Double),
            Type::Boolean => boolean(text).map(Value::Boolean).ok_or(Expected::Boolean),
            Type::String | Type::Bytes | Type::Stream => Ok(Value::Text(text.into())),
        };
        let value = value.map_err(|expected| {
            // NaN and infinities are numbers to whoever wrote them: say what is wrong with them.
            let infinite = text.parse::<f64>().is_ok_and(|float| !float.is_finite());
            let numeric = matches!(self.data_type, Type::Int | Type::Float | Type::Double);
            let written = text.bytes().any(|byte| byte.is_ascii_digit());
            refused(if numeric && infinite && !written { Expected::Finite } else { expected })
        })?;
        self.check_range(&value).map_err(refused)?;
        Ok(value)
    }

    fn check_range(&self, value: &Value) -> Result<(), Expected> {
        let Some(number) = value.number() else { return Ok(()) };
        if let Some(minimum) = self.minimum.as_ref().filter(|minimum| number < **minimum) {
            return Err(Expected::AtLeast(minimum.clone()));
        }
        match self.maximum.as_ref().filter(|maximum| number > **maximum) {
            Some(maximum) => Err(Expected::AtMost(maximum.clone())),
            None => Ok(()),
        }
    }
}

fn error(property: &str, value: &str, expected: Expected) -> Error {
    Error { property: property.into(), value: shortened(value, SHOWN), expected }
}

/// The first so many characters, with a sign that there were more.
pub fn shortened(text: &str, most: usize) -> Box<str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// As Go's `strconv.ParseInt` and `ParseUint` read base 10.
fn integer(text: &str) -> Option<i128> {
    let number = text.parse::<i128>().ok()?;
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(number)
}

/// A decimal, if it is not beyond the floats of its type. One too small for them is kept as it is written.
fn decimal(text: &str, nearest: Option<f64>) -> Option<Value> {
    let number = Decimal::parse(text)?;
    nearest.filter(|float| float.is_finite()).map(|_| Value::Decimal(number))
}

/// The single-precision float nearest to a number.
fn single(text: &str) -> Option<f64> {
    text.parse::<f32>().ok().map(f64::from)
}

/// As Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
