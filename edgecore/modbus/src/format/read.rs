//! Cells become a value.

use thiserror::Error;

use crate::answer::Cells;
use crate::format::{Format, Kind};
use crate::raw::Raw;

/// Cells that are no such value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Bits where registers were due, the other way round, or not as many.
    #[error("the cells are not those of the value")]
    WrongCells,
    /// Bytes that are not UTF-8.
    #[error("no text: byte {0} is not UTF-8")]
    NotText(usize),
}

impl Format {
    /// The value that `cells` hold, which are those of [`Format::span`].
    ///
    /// # Errors
    /// [`ReadError::WrongCells`] where they are others, [`ReadError::NotText`] where text is none.
    pub fn read(self, cells: Cells<'_>) -> Result<Raw, ReadError> {
        match cells {
            Cells::Bits(bits) if self.span.table().holds_bits() => self.read_bits(bits),
            Cells::Registers(registers) if !self.span.table().holds_bits() => self.read_registers(registers),
            Cells::Bits(_) | Cells::Registers(_) => Err(ReadError::WrongCells),
        }
    }

    fn read_bits(self, bits: &[bool]) -> Result<Raw, ReadError> {
        match (self.kind, bits) {
            (Kind::Bool, [bit]) => Ok(Raw::Bool(*bit)),
            (Kind::Bits(count), bits) if bits.len() == usize::from(count) => {
                Ok(Raw::Unsigned(bits.iter().rev().fold(0, |number, bit| number << 1 | u64::from(*bit))))
            }
            _ => Err(ReadError::WrongCells),
        }
    }

    fn read_registers(self, registers: &[u16]) -> Result<Raw, ReadError> {
        let arranged = self.order.arrange(registers);
        let bytes: Vec<u8> = arranged.iter().flat_map(|register| register.to_be_bytes()).collect();
        match self.kind {
            Kind::Int16 => sized(&bytes).map(|b| Raw::Signed(i16::from_be_bytes(b).into())),
            Kind::Uint16 => sized(&bytes).map(|b| Raw::Unsigned(u16::from_be_bytes(b).into())),
            Kind::Int32 => sized(&bytes).map(|b| Raw::Signed(i32::from_be_bytes(b).into())),
            Kind::Uint32 => sized(&bytes).map(|b| Raw::Unsigned(u32::from_be_bytes(b).into())),
            Kind::Int64 => sized(&bytes).map(|b| Raw::Signed(i64::from_be_bytes(b))),
            Kind::Uint64 => sized(&bytes).map(|b| Raw::Unsigned(u64::from_be_bytes(b))),
            Kind::Float32 => sized(&bytes).map(|b| f32::from_be_bytes(b).into()),
            Kind::Float64 => sized(&bytes).map(|b| f64::from_be_bytes(b).into()),
            Kind::Bool => sized(&bytes).map(|b| Raw::Bool(u16::from_be_bytes(b) != 0)),
            Kind::Bit(bit) => sized(&bytes).map(|b| Raw::Bool(u16::from_be_bytes(b) >> bit & 1 == 1)),
            Kind::Bits(_) => Err(ReadError::WrongCells),
            Kind::Text(count) => text(counted(bytes, count)?),
            Kind::Bytes(count) => counted(bytes, count).map(Raw::Bytes),
        }
    }
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ReadError> {
    bytes.try_into().map_err(|_| ReadError::WrongCells)
}

fn counted(bytes: Vec<u8>, registers: u16) -> Result<Vec<u8>, ReadError> {
    if bytes.len() == 2 * usize::from(registers) { Ok(bytes) } else { Err(ReadError::WrongCells) }
}

fn text(mut bytes: Vec<u8>) -> Result<Raw, ReadError> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    String::from_utf8(bytes)
        .map(Raw::Text)
        .map_err(|error| ReadError::NotText(error.utf8_error().valid_up_to()))
}
