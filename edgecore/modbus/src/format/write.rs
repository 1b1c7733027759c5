//! A value becomes cells: the inverse of reading, or an error.

use thiserror::Error;

use crate::format::{Format, Kind};
use crate::raw::{NotFinite, Raw};
use crate::request::{Request, RequestError};
use crate::span::Table;

/// What is to be written so that a value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writing {
    /// These cells, from the value's address on.
    Cells(Request),
    /// Some bits of one register, whose others must stay: it has to be read first.
    Patch(Patch),
}

/// Bits of one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    address: u16,
    /// The bits that are set or cleared.
    mask: u16,
    /// Which of them are set.
    bits: u16,
}

impl Patch {
    /// Which holding register.
    pub const fn address(self) -> u16 {
        self.address
    }

    /// The register as it is to be, where it now is `current`.
    pub const fn over(self, current: u16) -> u16 {
        (current & !self.mask) | self.bits
    }
}

/// How cells are written that one request of either kind could write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Single {
    /// One coil by function 5, one register by function 6; every unit that can be written has these.
    #[default]
    ByItself,
    /// By functions 15 and 16, for units that know only these.
    AsMultiple,
}

/// A value that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WriteError {
    /// Discrete inputs and input registers are read only.
    #[error("{0} cannot be written")]
    ReadOnly(Table),
    /// A value of another type.
    #[error("the value is no {0:?}")]
    WrongType(Kind),
    /// Over or below what the type holds.
    #[error("the value is out of the range of {0:?}")]
    OutOfRange(Kind),
    /// An integer that the float does not hold exactly.
    #[error("{0:?} does not hold the integer exactly")]
    Inexact(Kind),
    /// NaN and infinities are not written.
    #[error("{0} is no number")]
    NotFinite(NotFinite),
    /// Text that does not fit, or bytes that are not as many.
    #[error("{got} bytes where {kind:?} holds {most}")]
    Length {
        /// The type.
        kind: Kind,
        /// Bytes of the value.
        got: usize,
        /// Bytes that the type has.
        most: usize,
    },
    /// What is behind a NUL would not be read again.
    #[error("NUL in a text")]
    Nul,
    /// More cells than one request writes, so that others could see half of the value.
    #[error("the cells cannot be written at once")]
    Request(#[source] RequestError),
}

impl Format {
    /// What to write so that reading gives `value`. Floats are rounded to the nearest that the type has; everything
    /// else is exact.
    ///
    /// # Errors
    /// [`WriteError`] where the value cannot be written, by name.
    pub fn write(self, value: &Raw, single: Single) -> Result<Writing, WriteError> {
        let address = self.span.first();
        match self.span.table() {
            Table::Coils => write_coils(address, &self.bits(value)?, single).map(Writing::Cells),
            Table::HoldingRegisters => match (self.kind, value) {
                (Kind::Bit(bit), Raw::Bool(on)) => Ok(Writing::Patch(self.patch(bit, *on))),
                _ => write_registers(address, self.registers(value)?, single).map(Writing::Cells),
            },
            table @ (Table::DiscreteInputs | Table::InputRegisters) => Err(WriteError::ReadOnly(table)),
        }
    }

    fn patch(self, bit: u8, on: bool) -> Patch {
        // Which bit it is on the wire, where the unit exchanges bytes.
        let mask = 1_u16 << bit;
        let mask = if self.order.swaps_bytes() { mask.swap_bytes() } else { mask };
        Patch { address: self.span.first(), mask, bits: if on { mask } else { 0 } }
    }

    fn bits(self, value: &Raw) -> Result<Vec<bool>, WriteError> {
        match (self.kind, value) {
            (Kind::Bool, Raw::Bool(on)) => Ok(vec![*on]),
            (Kind::Bits(count), Raw::Unsigned(number)) => {
                if count < 64 && number >> count != 0 {
                    return Err(WriteError::OutOfRange(self.kind));
                }
                Ok((0..count).map(|bit| number >> bit & 1 == 1).collect())
            }
            _ => Err(WriteError::WrongType(self.kind)),
        }
    }

    fn registers(self, value: &Raw) -> Result<Vec<u16>, WriteError> {
        let bytes = bytes(self.kind, value)?;
        let (pairs, _) = bytes.as_chunks::<2>();
        let registers: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        Ok(self.order.arrange(&registers))
    }
}

fn write_coils(address: u16, on: &[bool], single: Single) -> Result<Request, WriteError> {
    match (on, single) {
        ([on], Single::ByItself) => Ok(Request::write_coil(address, *on)),
        (several, Single::ByItself | Single::AsMultiple) => {
            Request::write_coils(address, several).map_err(WriteError::Request)
        }
    }
}

fn write_registers(address: u16, values: Vec<u16>, single: Single) -> Result<Request, WriteError> {
    match (values.as_slice(), single) {
        ([value], Single::ByItself) => Ok(Request::write_register(address, *value)),
        (_, Single::ByItself | Single::AsMultiple) => {
            Request::write_registers(address, values).map_err(WriteError::Request)
        }
    }
}

/// The bytes of a value of a kind, the highest first.
fn bytes(kind: Kind, value: &Raw) -> Result<Vec<u8>, WriteError> {
    match (kind, value) {
        (Kind::Int16, _) => integer::<i16>(kind, value).map(|n| n.to_be_bytes().to_vec()),
        (Kind::Uint16, _) => integer::<u16>(kind, value).map(|n| n.to_be_bytes().to_vec()),
        (Kind::Int32, _) => integer::<i32>(kind, value).map(|n| n.to_be_bytes().to_vec()),
        (Kind::Uint32, _) => integer::<u32>(kind, value).map(|n| n.to_be_bytes().to_vec()),
        (Kind::Int64, _) => integer::<i64>(kind, value).map(|n| n.to_be_bytes().to_vec()),
        (Kind::Uint64, _) => integer::<u64>(kind, value).map(|n| n.to_be_bytes().to_vec()),
        (Kind::Float32, _) => {
            narrow(float(kind, value, f32::MANTISSA_DIGITS)?).map(|n| n.to_be_bytes().to_vec())
        }
        (Kind::Float64, _) => float(kind, value, f64::MANTISSA_DIGITS).map(|n| n.to_be_bytes().to_vec()),
        (Kind::Bool, Raw::Bool(on)) => Ok(vec![0, u8::from(*on)]),
        (Kind::Text(count), Raw::Text(text)) => padded(kind, text, count),
        (Kind::Bytes(count), Raw::Bytes(bytes)) => {
            let (got, most) = (bytes.len(), 2 * usize::from(count));
            if got == most { Ok(bytes.clone()) } else { Err(WriteError::Length { kind, got, most }) }
        }
        _ => Err(WriteError::WrongType(kind)),
    }
}

fn integer<N: TryFrom<i64> + TryFrom<u64>>(kind: Kind, value: &Raw) -> Result<N, WriteError> {
    let fits = match value {
        Raw::Signed(number) => N::try_from(*number).ok(),
        Raw::Unsigned(number) => N::try_from(*number).ok(),
        Raw::Float32(_)
        | Raw::Float64(_)
        | Raw::NotFinite(_)
        | Raw::Bool(_)
        | Raw::Text(_)
        | Raw::Bytes(_) => return Err(WriteError::WrongType(kind)),
    };
    fits.ok_or(WriteError::OutOfRange(kind))
}

/// A number as a float whose integers are exact as far as so many bits.
fn float(kind: Kind, value: &Raw, digits: u32) -> Result<f64, WriteError> {
    match value {
        Raw::Float32(number) if number.is_finite() => Ok(f64::from(*number)),
        Raw::Float64(number) if number.is_finite() => Ok(*number),
        Raw::Signed(number) => whole(number.unsigned_abs(), digits)
            .map(|size| if *number < 0 { -size } else { size })
            .ok_or(WriteError::Inexact(kind)),
        Raw::Unsigned(number) => whole(*number, digits).ok_or(WriteError::Inexact(kind)),
        Raw::NotFinite(what) => Err(WriteError::NotFinite(*what)),
        Raw::Float32(_) | Raw::Float64(_) => Err(WriteError::OutOfRange(kind)),
        Raw::Bool(_) | Raw::Text(_) | Raw::Bytes(_) => Err(WriteError::WrongType(kind)),
    }
}

/// An integer as a float, where its bits from the highest to the lowest that is set are no more than `digits`.
#[allow(clippy::cast_precision_loss, reason = "nothing is lost where the bits that are set are few enough")]
fn whole(number: u64, digits: u32) -> Option<f64> {
    let used = u64::BITS.saturating_sub(number.leading_zeros() + number.trailing_zeros());
    (used <= digits).then_some(number as f64)
}

/// To the nearest number of 32 bits.
#[allow(clippy::cast_possible_truncation, reason = "`as` rounds to the nearest, which is what is wanted")]
fn narrow(number: f64) -> Result<f32, WriteError> {
    let nearest = number as f32;
    if nearest.is_finite() { Ok(nearest) } else { Err(WriteError::OutOfRange(Kind::Float32)) }
}

/// Text with NULs up to its length.
fn padded(kind: Kind, text: &str, registers: u16) -> Result<Vec<u8>, WriteError> {
    let most = 2 * usize::from(registers);
    if text.contains('\0') {
        return Err(WriteError::Nul);
    }
    if text.len() > most {
        return Err(WriteError::Length { kind, got: text.len(), most });
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(most, 0);
    Ok(bytes)
}
