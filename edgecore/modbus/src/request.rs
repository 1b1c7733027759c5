//! What is asked of a unit, as bytes.

use std::fmt;

use thiserror::Error;

use crate::span::{Span, Table};

/// Coils that one request writes at most (V1.1b3, 6.11).
pub const MOST_COILS_WRITTEN: usize = 1968;
/// Registers that one request writes at most (V1.1b3, 6.12).
pub const MOST_REGISTERS_WRITTEN: usize = 123;
/// Bytes of the longest request or response without addressing and checksum (V1.1b3, 4.1).
pub const MAX_PDU: usize = 253;

/// The functions that are spoken ("MODBUS Application Protocol Specification V1.1b3", 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// 1
    ReadCoils,
    /// 2
    ReadDiscreteInputs,
    /// 3
    ReadHoldingRegisters,
    /// 4
    ReadInputRegisters,
    /// 5
    WriteSingleCoil,
    /// 6
    WriteSingleRegister,
    /// 15
    WriteMultipleCoils,
    /// 16
    WriteMultipleRegisters,
}

impl Function {
    /// The byte that travels.
    pub const fn code(self) -> u8 {
        match self {
            Self::ReadCoils => 1,
            Self::ReadDiscreteInputs => 2,
            Self::ReadHoldingRegisters => 3,
            Self::ReadInputRegisters => 4,
            Self::WriteSingleCoil => 5,
            Self::WriteSingleRegister => 6,
            Self::WriteMultipleCoils => 15,
            Self::WriteMultipleRegisters => 16,
        }
    }

    /// The byte by which a unit refuses it.
    pub(crate) const fn refusal(self) -> u8 {
        self.code() | 0x80
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(f)
    }
}

/// A request to one unit. Only such exist as the specification allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Ask);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    Read(Span),
    Coil { address: u16, on: bool },
    Register { address: u16, value: u16 },
    Coils { address: u16, count: u16, packed: Vec<u8> },
    Registers { address: u16, count: u16, values: Vec<u16> },
}

/// A write that no request holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Nothing is not written.
    #[error("nothing to write from address {0} on")]
    Empty(u16),
    /// Over the specification's limit.
    #[error("{count} cells to write from address {address} on, and one request holds {most} at most")]
    TooMany {
        /// From where.
        address: u16,
        /// How many were meant.
        count: usize,
        /// How many can be.
        most: usize,
    },
    /// There is no address behind 65535.
    #[error("{count} cells to write from address {address} on reach past address 65535")]
    PastTheEnd {
        /// From where.
        address: u16,
        /// How many were meant.
        count: usize,
    },
}

impl Request {
    /// Reads cells: functions 1 to 4.
    pub const fn read(span: Span) -> Self {
        Self(Ask::Read(span))
    }

    /// Switches one coil: function 5.
    pub const fn write_coil(address: u16, on: bool) -> Self {
        Self(Ask::Coil { address, on })
    }

    /// Writes one holding register: function 6.
    pub const fn write_register(address: u16, value: u16) -> Self {
        Self(Ask::Register { address, value })
    }

    /// Switches coils from `address` on: function 15.
    ///
    /// # Errors
    /// [`RequestError`] for none, for more than [`MOST_COILS_WRITTEN`], and past address 65535.
    pub fn write_coils(address: u16, on: &[bool]) -> Result<Self, RequestError> {
        let count = counted(address, on.len(), MOST_COILS_WRITTEN)?;
        let pack = |eight: &[bool]| eight.iter().rev().fold(0, |byte, on| byte << 1 | u8::from(*on));
        Ok(Self(Ask::Coils { address, count, packed: on.chunks(8).map(pack).collect() }))
    }

    /// Writes holding registers from `address` on: function 16.
    ///
    /// # Errors
    /// [`RequestError`] for none, for more than [`MOST_REGISTERS_WRITTEN`], and past address 65535.
    pub fn write_registers(address: u16, values: Vec<u16>) -> Result<Self, RequestError> {
        let count = counted(address, values.len(), MOST_REGISTERS_WRITTEN)?;
        Ok(Self(Ask::Registers { address, count, values }))
    }

    /// Which function it is.
    pub const fn function(&self) -> Function {
        match &self.0 {
            Ask::Read(span) => match span.table() {
                Table::Coils => Function::ReadCoils,
                Table::DiscreteInputs => Function::ReadDiscreteInputs,
                Table::HoldingRegisters => Function::ReadHoldingRegisters,
                Table::InputRegisters => Function::ReadInputRegisters,
            },
            Ask::Coil { .. } => Function::WriteSingleCoil,
            Ask::Register { .. } => Function::WriteSingleRegister,
            Ask::Coils { .. } => Function::WriteMultipleCoils,
            Ask::Registers { .. } => Function::WriteMultipleRegisters,
        }
    }

    /// The cells it reads; `None` where it writes.
    pub const fn reads(&self) -> Option<Span> {
        match &self.0 {
            Ask::Read(span) => Some(*span),
            Ask::Coil { .. } | Ask::Register { .. } | Ask::Coils { .. } | Ask::Registers { .. } => None,
        }
    }

    /// The protocol data unit: function and data, 5 to 253 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut pdu = vec![self.function().code()];
        pdu.extend(self.head());
        match &self.0 {
            Ask::Read(_) | Ask::Coil { .. } | Ask::Register { .. } => {}
            Ask::Coils { packed, .. } => {
                pdu.extend(u8::try_from(packed.len()));
                pdu.extend(packed);
            }
            Ask::Registers { values, .. } => {
                pdu.extend(u8::try_from(2 * values.len()));
                pdu.extend(values.iter().flat_map(|value| value.to_be_bytes()));
            }
        }
        pdu
    }

    /// Bytes of the frames that ask and answer this on a serial line.
    pub(crate) fn bytes_both_ways(&self) -> u32 {
        let written = match &self.0 {
            Ask::Read(_) | Ask::Coil { .. } | Ask::Register { .. } => 0,
            Ask::Coils { packed, .. } => 1 + packed.len(),
            Ask::Registers { values, .. } => 1 + 2 * values.len(),
        };
        // Address and checksum are three bytes each way.
        u32::try_from(3 + 5 + written + 3 + self.answer_length()).unwrap_or(u32::MAX)
    }

    /// The four bytes behind the function: an address, and a count or a value. A unit that has written repeats them.
    pub(crate) fn head(&self) -> [u8; 4] {
        let (address, second) = match &self.0 {
            Ask::Read(span) => (span.first(), span.count()),
            Ask::Coil { address, on } => (*address, if *on { 0xFF00 } else { 0 }),
            Ask::Register { address, value } => (*address, *value),
            Ask::Coils { address, count, .. } | Ask::Registers { address, count, .. } => (*address, *count),
        };
        let ([a, b], [c, d]) = (address.to_be_bytes(), second.to_be_bytes());
        [a, b, c, d]
    }
}

fn counted(address: u16, count: usize, most: usize) -> Result<u16, RequestError> {
    if count == 0 {
        return Err(RequestError::Empty(address));
    }
    match u16::try_from(count) {
        Ok(fits) if count <= most => {
            let past = u32::from(address) + u32::from(fits) > 0x1_0000;
            if past { Err(RequestError::PastTheEnd { address, count }) } else { Ok(fits) }
        }
        Ok(_) | Err(_) => Err(RequestError::TooMany { address, count, most }),
    }
}
