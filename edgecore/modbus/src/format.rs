//! Of which type a value is, and what of which cells.

mod read;
mod write;

pub use read::ReadError;
pub use write::{Patch, Single, WriteError, Writing};

use thiserror::Error;

use crate::order::Order;
use crate::span::{Span, SpanError, Table};

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One register, two's complement.
    Int16,
    /// One register.
    Uint16,
    /// Two registers, two's complement.
    Int32,
    /// Two registers.
    Uint32,
    /// Four registers, two's complement.
    Int64,
    /// Four registers.
    Uint64,
    /// Two registers, IEEE 754.
    Float32,
    /// Four registers, IEEE 754.
    Float64,
    /// One coil or discrete input; or one register that is true unless 0, and is written as 1 and 0.
    Bool,
    /// One bit of a register, 0 the lowest.
    Bit(u8),
    /// Coils or discrete inputs, 1 to 64, as one number: the first is its lowest bit.
    Bits(u16),
    /// So many registers of two bytes of UTF-8 each; ends before the first NUL.
    Text(u16),
    /// So many registers of two bytes each.
    Bytes(u16),
}

impl Kind {
    /// How many cells a value takes.
    pub const fn cells(self) -> u16 {
        match self {
            Self::Int16 | Self::Uint16 | Self::Bool | Self::Bit(_) => 1,
            Self::Int32 | Self::Uint32 | Self::Float32 => 2,
            Self::Int64 | Self::Uint64 | Self::Float64 => 4,
            Self::Bits(count) | Self::Text(count) | Self::Bytes(count) => count,
        }
    }

    /// Whether it can be made of the cells of such a table.
    const fn fits(self, table: Table) -> bool {
        match self {
            Self::Bool => true,
            Self::Bits(_) => table.holds_bits(),
            Self::Int16
            | Self::Uint16
            | Self::Int32
            | Self::Uint32
            | Self::Int64
            | Self::Uint64
            | Self::Float32
            | Self::Float64
            | Self::Bit(_)
            | Self::Text(_)
            | Self::Bytes(_) => !table.holds_bits(),
        }
    }
}

/// Where a value stands in a unit, of which type, in which order: all it takes to read it, and to write it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    span: Span,
    kind: Kind,
    order: Order,
}

/// A value that cannot be where it is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormatError {
    /// Numbers are in registers, and several bits as one are coils.
    #[error("{kind:?} in {table}")]
    WrongTable {
        /// The type.
        kind: Kind,
        /// The table.
        table: Table,
    },
    /// Registers have bits 0 to 15.
    #[error("bit {0} of a register")]
    NoSuchBit(u8),
    /// A number has 64 bits.
    #[error("{0} bits as one number")]
    TooManyBits(u16),
    /// The cells are none that a request reads.
    #[error("the cells cannot be read at once")]
    Span(#[source] SpanError),
}

impl Format {
    /// A value of a kind from address `first` of `table` on. The order is of no meaning for coils and discrete inputs,
    /// and is not refused there: KubeEdge's samples set it.
    ///
    /// # Errors
    /// [`FormatError`] where the table cannot hold it, or not there.
    pub fn new(table: Table, first: u16, kind: Kind, order: Order) -> Result<Self, FormatError> {
        if !kind.fits(table) {
            return Err(FormatError::WrongTable { kind, table });
        }
        if let Kind::Bit(bit @ 16..) = kind {
            return Err(FormatError::NoSuchBit(bit));
        }
        if let Kind::Bits(count @ 65..) = kind {
            return Err(FormatError::TooManyBits(count));
        }
        let span = Span::new(table, first, kind.cells()).map_err(FormatError::Span)?;
        Ok(Self { span, kind, order })
    }

    /// The cells.
    pub const fn span(self) -> Span {
        self.span
    }

    /// The type.
    pub const fn kind(self) -> Kind {
        self.kind
    }
}
