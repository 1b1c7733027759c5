//! The parameters of a transform, from a visitor's `configData`.

use std::collections::BTreeMap;

use crds::devices::FreeForm;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::decimal::Decimal;
use crate::decimal::exact::Exact;
use crate::transform::bits::Bits;
use crate::transform::raw::RawType;
use crate::transform::{Transform, value};

/// The object `transform`. Numbers may stand as text, which says exactly what is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    mask: Option<Json>,
    shift: Option<Json>,
    base: Option<Json>,
    scale: Option<Json>,
    offset: Option<Json>,
    #[serde(default)]
    mapping: BTreeMap<String, String>,
}

/// A parameter that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("transform {parameter}: {value} is refused: {why}")]
pub struct ConfigError {
    pub parameter: &'static str,
    /// What stands there, shortened.
    pub value: Box<str>,
    pub why: Box<str>,
}

fn refused(parameter: &'static str, value: &str, why: impl Into<Box<str>>) -> ConfigError {
    ConfigError { parameter, value: value::shortened(value, 64), why: why.into() }
}

impl Transform {
    /// The transform that a visitor's `configData` ([`crate::settings::visitor`]) says for registers of one type.
    ///
    /// # Errors
    ///
    /// Parameters that are unknown, of the wrong type, meaningless for that register (bits of a float), or that make every
    /// value the same (a scale of 0, a base of 1).
    pub fn of(config: &FreeForm, raw: RawType) -> Result<Self, ConfigError> {
        let object = config.0.get("transform");
        let parameters = match object {
            None => Parameters::default(),
            Some(object) => serde_json::from_value(object.clone())
                .map_err(|error| refused("object", &object.to_string(), error.to_string()))?,
        };
        let scale = match (&parameters.scale, config.0.get("scale")) {
            (Some(_), Some(beside)) => {
                return Err(refused("scale", &beside.to_string(), "it stands in configData.scale as well"));
            }
            (scale, beside) => scale.as_ref().or(beside),
        };
        let transform = Self {
            raw,
            bits: Bits { mask: mask(parameters.mask.as_ref())?, shift: shift(parameters.shift.as_ref())? },
            base: number("base", parameters.base.as_ref())?,
            scale: number("scale", scale)?,
            offset: number("offset", parameters.offset.as_ref())?,
            mapping: mapping(&parameters.mapping)?,
        };
        transform.check()?;
        Ok(transform)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(base) =
            self.base.filter(|base| base.is_zero() || base.is_negative() || *base == Exact::ONE)
        {
            return Err(refused("base", &base.to_string(), "a base is greater than 0 and not 1"));
        }
        if let Some(scale) = self.scale.filter(|scale| scale.is_zero()) {
            return Err(refused("scale", &scale.to_string(), "every value would be the same"));
        }
        let RawType::Integer { .. } = self.raw else {
            return match self.bits {
                Bits { mask: Some(mask), .. } => {
                    Err(refused("mask", &mask.to_string(), "the register is a float"))
                }
                Bits { shift, .. } if shift != 0 => {
                    Err(refused("shift", &shift.to_string(), "the register is a float"))
                }
                Bits { .. } => Ok(()),
            };
        };
        match self.bits.mask.filter(|mask| u128::from(*mask) & !self.raw.all() != 0 || *mask == 0) {
            Some(mask) => {
                Err(refused("mask", &mask.to_string(), "it has no bits, or some beyond the register"))
            }
            None => Ok(()),
        }
    }
}

/// What stands there, as text.
fn text(said: &Json) -> String {
    said.as_str().map_or_else(|| said.to_string(), str::to_owned)
}

fn number(parameter: &'static str, said: Option<&Json>) -> Result<Option<Exact>, ConfigError> {
    let Some(said) = said.map(text) else { return Ok(None) };
    let decimal =
        Decimal::parse(&said).ok_or_else(|| refused(parameter, &said, "it is no decimal number"))?;
    Exact::of(&decimal).map(Some).map_err(|why| refused(parameter, &said, why.to_string()))
}

/// An unsigned integer; as text also with `0x` in front.
fn mask(said: Option<&Json>) -> Result<Option<u64>, ConfigError> {
    let Some(said) = said.map(text) else { return Ok(None) };
    let mask = match said.strip_prefix("0x").or_else(|| said.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => said.parse(),
    };
    mask.map(Some).map_err(|_| refused("mask", &said, "it is no unsigned integer of 64 bits"))
}

fn shift(said: Option<&Json>) -> Result<i8, ConfigError> {
    let Some(said) = said.map(text) else { return Ok(0) };
    let shift = said.parse().ok().filter(|shift: &i8| shift.unsigned_abs() < 64);
    shift.ok_or_else(|| refused("shift", &said, "it is no integer from -63 to 63"))
}

fn mapping(said: &BTreeMap<String, String>) -> Result<Vec<(Decimal, Box<str>)>, ConfigError> {
    let mut mapping: Vec<(Decimal, Box<str>)> = Vec::with_capacity(said.len());
    for (number, label) in said {
        let decimal =
            Decimal::parse(number).ok_or_else(|| refused("mapping", number, "it is no decimal number"))?;
        if mapping.iter().any(|(known, _)| *known == decimal) {
            return Err(refused("mapping", number, "it stands there twice"));
        }
        mapping.push((decimal, label.as_str().into()));
    }
    Ok(mapping)
}
