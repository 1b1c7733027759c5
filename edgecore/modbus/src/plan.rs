//! Which reads fetch a set of points: as few as the protocol, and what was learned of the units, allow.

use crate::learned::Learned;
use crate::span::{Span, Table};
use crate::unit::Unit;

/// Cells that somebody wants, of one unit. They are read in one request, so that no value is torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Of whom.
    pub unit: Unit,
    /// Which.
    pub span: Span,
}

/// One request, and whom it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Whom to ask.
    pub unit: Unit,
    /// What.
    pub span: Span,
    /// Which of the points it covers, by their place in what was planned for.
    pub points: Vec<usize>,
}

/// How far points may lie apart to be read together, and how much a unit gives at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// Registers between two points that are read along.
    pub gap_registers: u16,
    /// Coils or discrete inputs between two points that are read along.
    pub gap_bits: u16,
    /// Registers in one request; above 125 it is 125.
    pub most_registers: u16,
    /// Coils or discrete inputs in one request; above 2000 it is 2000.
    pub most_bits: u16,
}

impl Default for Merge {
    /// A request more costs some 13 bytes, two silences and the unit's time to think: more than the 32 bytes of 16
    /// registers or 256 bits.
    fn default() -> Self {
        Self { gap_registers: 16, gap_bits: 256, most_registers: 125, most_bits: 2000 }
    }
}

impl Merge {
    const fn gap(self, table: Table) -> u16 {
        if table.holds_bits() { self.gap_bits } else { self.gap_registers }
    }

    const fn most(self, table: Table) -> u16 {
        if table.holds_bits() { self.most_bits } else { self.most_registers }
    }
}

/// The fewest reads that fetch all points: never across units, tables, too wide a gap or what was learned to be apart.
/// In order of unit, table and address.
///
/// Points are taken by their start, each with the read before it where that may grow so far. A point that does not fit
/// there reaches further than the read can, so nothing behind it fits there either, and this is the least number.
pub fn plan(points: &[Point], learned: &Learned, merge: Merge) -> Vec<Read> {
    let mut order: Vec<(usize, &Point)> = points.iter().enumerate().collect();
    // The longer first where two start together: the shorter is inside.
    order.sort_by_key(|(_, point)| {
        let span = point.span;
        (point.unit, span.table(), span.first(), u32::MAX - span.end())
    });
    let mut reads: Vec<Read> = Vec::new();
    for (index, point) in order {
        let joined = reads.last_mut().and_then(|read| Some((joined(read, *point, learned, merge)?, read)));
        if let Some((span, read)) = joined {
            read.span = span;
            read.points.push(index);
        } else {
            reads.push(Read { unit: point.unit, span: point.span, points: vec![index] });
        }
    }
    reads
}

/// The cells of the read with those of the point, where they may be read together.
fn joined(read: &Read, point: Point, learned: &Learned, merge: Merge) -> Option<Span> {
    let (whole, table) = (read.span.joined(point.span)?, read.span.table());
    if read.unit != point.unit {
        return None;
    }
    if learned.refuses(read.unit, whole) {
        // The same cells once more are the same read.
        return (read.span == point.span).then_some(whole);
    }
    if whole == read.span {
        return Some(whole);
    }
    let gap = u32::from(point.span.first()).saturating_sub(read.span.end());
    let fits = whole.count() <= merge.most(table) && gap <= u32::from(merge.gap(table));
    (fits && !learned.apart(read.unit, whole)).then_some(whole)
}
