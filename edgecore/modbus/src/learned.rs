//! What units have shown that they do not give together.
//!
//! A unit refuses a read by "illegal data address" where one of the cells in it is none of its own, and by "illegal
//! data value" where they are more than it gives at once; it does not say which or how many. So a read that is refused
//! is planned as two, and those again, until each is given or is one point. What remains is known for the next time.

use std::collections::{BTreeMap, BTreeSet};

use crate::exception::Exception;
use crate::plan::{Point, Read};
use crate::span::{Span, Table};
use crate::unit::Unit;

/// What is known of all units of a line. It grows by one entry per refusal, and no further than there are points.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    /// Addresses that are not read together with the one before.
    borders: BTreeMap<(Unit, Table), BTreeSet<u16>>,
    /// Points that were refused by themselves.
    refused: BTreeSet<(Unit, Span)>,
}

/// What a refusal showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// The read is planned as two from now on: plan again.
    Split,
    /// The cells of a point are refused by themselves: that is its value's error. It is read alone from now on, so that
    /// no other shares its fate: plan again where the read had others.
    Refused(Span),
    /// Other cells would have been refused as well.
    Nothing,
}

impl Learned {
    /// Learns from a read, planned for `points`, that was refused.
    pub fn learn(&mut self, points: &[Point], read: &Read, exception: Exception) -> Lesson {
        if !exception.of_the_span() {
            return Lesson::Nothing;
        }
        let spans: Vec<Span> =
            read.points.iter().filter_map(|index| points.get(*index)).map(|point| point.span).collect();
        if spans.contains(&read.span) {
            self.refused.insert((read.unit, read.span));
            return Lesson::Refused(read.span);
        }
        let Some(border) = border(read.span, &spans) else { return Lesson::Nothing };
        self.borders.entry((read.unit, read.span.table())).or_default().insert(border);
        Lesson::Split
    }

    /// Forgets a unit: it was exchanged or configured anew.
    pub fn forget(&mut self, unit: Unit) {
        self.borders.retain(|(of, _), _| *of != unit);
        self.refused.retain(|(of, _)| *of != unit);
    }

    /// Whether a border runs through these cells.
    pub(crate) fn apart(&self, unit: Unit, span: Span) -> bool {
        // Behind the first cell: count is 1 at least, and where it is 1 the range is empty.
        let inside = u32::from(span.first()) + 1..span.end();
        let borders = self.borders.get(&(unit, span.table()));
        borders.is_some_and(|all| all.iter().any(|border| inside.contains(&u32::from(*border))))
    }

    /// Whether there are cells among these that were refused by themselves.
    pub(crate) fn refuses(&self, unit: Unit, span: Span) -> bool {
        self.refused.iter().any(|(of, refused)| *of == unit && refused.within(span).is_some())
    }
}

/// Where to split a read that is more than any of its points: before the point with the widest gap before it, and of
/// equal ones the most central. `None` where no point starts inside.
fn border(whole: Span, spans: &[Span]) -> Option<u16> {
    let middle = u32::midpoint(whole.first().into(), whole.end());
    let starts: BTreeSet<u16> =
        spans.iter().map(|s| s.first()).filter(|first| *first > whole.first()).collect();
    starts.into_iter().max_by_key(|start| {
        let before = spans.iter().filter(|span| span.first() < *start).map(|span| span.end()).max();
        let gap = u32::from(*start).saturating_sub(before.unwrap_or_default());
        (gap, u32::MAX - u32::from(*start).abs_diff(middle))
    })
}
