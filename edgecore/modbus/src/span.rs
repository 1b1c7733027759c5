//! Cells of a unit: which table, from where, how many.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// One of the four tables of the data model ("MODBUS Application Protocol Specification V1.1b3", 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Bits, read and written.
    Coils,
    /// Bits, read only.
    DiscreteInputs,
    /// Registers of 16 bits, read and written.
    HoldingRegisters,
    /// Registers of 16 bits, read only.
    InputRegisters,
}

impl Table {
    /// All four.
    pub const ALL: [Self; 4] =
        [Self::Coils, Self::DiscreteInputs, Self::HoldingRegisters, Self::InputRegisters];

    /// By the name that KubeEdge gives it in a visitor's `register`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// KubeEdge's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coils => "CoilRegister",
            Self::DiscreteInputs => "DiscreteInputRegister",
            Self::HoldingRegisters => "HoldingRegister",
            Self::InputRegisters => "InputRegister",
        }
    }

    /// Whether a cell is one bit; otherwise it is a register.
    pub const fn holds_bits(self) -> bool {
        matches!(self, Self::Coils | Self::DiscreteInputs)
    }

    /// Whether its cells can be written.
    pub const fn writable(self) -> bool {
        matches!(self, Self::Coils | Self::HoldingRegisters)
    }

    /// How many cells one request reads at most (V1.1b3, 6.1 to 6.4).
    pub const fn most_read(self) -> u16 {
        if self.holds_bits() { 2000 } else { 125 }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Cells in a row that one request can read: never empty, never past address 65535, never more than the table's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    table: Table,
    first: u16,
    count: u16,
}

/// Cells that no request reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SpanError {
    /// Nothing is no span.
    #[error("{table} {first}: no cells")]
    Empty {
        /// Of which table.
        table: Table,
        /// From where.
        first: u16,
    },
    /// Over what a request can hold.
    #[error("{table} {first}: {count} cells, and one request reads {most} at most")]
    TooMany {
        /// Of which table.
        table: Table,
        /// From where.
        first: u16,
        /// How many were meant.
        count: u16,
        /// How many can be.
        most: u16,
    },
    /// There is no address behind 65535.
    #[error("{table} {first}: {count} cells reach past address 65535")]
    PastTheEnd {
        /// Of which table.
        table: Table,
        /// From where.
        first: u16,
        /// How many were meant.
        count: u16,
    },
}

impl Span {
    /// `count` cells of `table` from address `first` on, counted from 0 as on the wire.
    ///
    /// # Errors
    /// [`SpanError`] where no single request reads them.
    pub fn new(table: Table, first: u16, count: u16) -> Result<Self, SpanError> {
        let most = table.most_read();
        if count == 0 {
            Err(SpanError::Empty { table, first })
        } else if count > most {
            Err(SpanError::TooMany { table, first, count, most })
        } else if u32::from(first) + u32::from(count) > 0x1_0000 {
            Err(SpanError::PastTheEnd { table, first, count })
        } else {
            Ok(Self { table, first, count })
        }
    }

    /// Of which table.
    pub const fn table(self) -> Table {
        self.table
    }

    /// The first address.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// How many cells.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// The address behind the last one, up to 65536.
    pub fn end(self) -> u32 {
        u32::from(self.first) + u32::from(self.count)
    }

    /// Where the cells of this stand among those of `whole`; `None` where they are not all in it.
    pub fn within(self, whole: Self) -> Option<Range<usize>> {
        let covered = self.table == whole.table && self.first >= whole.first && self.end() <= whole.end();
        let start = usize::from(self.first.checked_sub(whole.first)?);
        covered.then(|| start..start + usize::from(self.count))
    }

    /// From the start of the earlier to the end of the later; an error where one request does not read that.
    pub(crate) fn joined(self, other: Self) -> Option<Self> {
        let first = self.first.min(other.first);
        let count = u16::try_from(self.end().max(other.end()) - u32::from(first)).ok()?;
        (self.table == other.table).then(|| Self::new(self.table, first, count).ok())?
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}+{}", self.table, self.first, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_what_one_request_reads() {
        let registers = |first, count| Span::new(Table::HoldingRegisters, first, count);
        assert!(registers(0, 125).is_ok());
        assert!(matches!(registers(0, 126), Err(SpanError::TooMany { most: 125, .. })));
        assert!(matches!(registers(7, 0), Err(SpanError::Empty { first: 7, .. })));
        assert!(registers(65535, 1).is_ok());
        assert!(matches!(registers(65535, 2), Err(SpanError::PastTheEnd { .. })));
        assert!(Span::new(Table::Coils, 0, 2000).is_ok());
        assert!(matches!(Span::new(Table::DiscreteInputs, 0, 2001), Err(SpanError::TooMany { .. })));
    }

    #[test]
    fn a_span_knows_its_place_in_another() {
        let span = |first, count| Span::new(Table::Coils, first, count).unwrap();
        assert_eq!(span(12, 3).within(span(10, 5)), Some(2..5));
        assert_eq!(span(12, 4).within(span(10, 5)), None);
        assert_eq!(span(9, 2).within(span(10, 5)), None);
        assert_eq!(Span::new(Table::DiscreteInputs, 12, 1).unwrap().within(span(10, 5)), None);
    }

    #[test]
    fn tables_have_kubeedges_names() {
        for table in Table::ALL {
            assert_eq!(Table::parse(table.name()), Some(table));
        }
        assert_eq!(Table::parse("holdingregister"), None);
    }
}
