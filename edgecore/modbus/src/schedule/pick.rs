//! Whose turn it is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::schedule::station::Station;
use crate::schedule::{ReadId, TURNS_PER_PROBE, WRITES_IN_A_ROW};
use crate::span::Span;
use crate::unit::Unit;

/// What goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The first write that waits for a unit.
    Write(Unit),
    /// A read.
    Read(Unit, ReadId, Span),
}

/// What went lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turns {
    /// Requests to units that answer, since the last to a doubtful one.
    healthy: u32,
    /// Writes since the last read, to units that answer.
    writes: u32,
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { healthy: 0, writes: 0 }
    }
}

/// What goes at `now`, and what then went lately; `None` where nothing is to be done.
pub(super) fn pick(
    stations: &BTreeMap<Unit, Station>,
    turns: Turns,
    now: Duration,
) -> Option<(Choice, Turns)> {
    let sound = healthy(stations, turns, now);
    let probe = doubtful(stations, now);
    match (sound, probe) {
        (Some(choice), None) => Some((choice, turns.after(choice))),
        (Some(choice), Some(_)) if turns.healthy < TURNS_PER_PROBE => Some((choice, turns.after(choice))),
        (_, probe) => probe.map(|choice| (choice, Turns { healthy: 0, ..turns })),
    }
}

impl Turns {
    const fn after(self, choice: Choice) -> Self {
        let healthy = self.healthy.saturating_add(1);
        match choice {
            Choice::Write(_) => Self { healthy, writes: self.writes.saturating_add(1) },
            Choice::Read(..) => Self { healthy, writes: 0 },
        }
    }
}

/// Among units that answer: the write that came first, unless it is a read's turn; the read that has been due longest.
fn healthy(stations: &BTreeMap<Unit, Station>, turns: Turns, now: Duration) -> Option<Choice> {
    let sound = || stations.iter().filter(|(_, station)| station.healthy());
    let write = sound().filter_map(|(unit, station)| Some((station.write(now)?, *unit))).min();
    let read = sound()
        .filter_map(|(unit, station)| {
            let (due, id, span) = station.read(now)?;
            Some((due, *unit, id, span))
        })
        .min();
    let write = write.map(|(_, unit)| Choice::Write(unit));
    let read = read.map(|(_, unit, id, span)| Choice::Read(unit, id, span));
    if turns.writes >= WRITES_IN_A_ROW { read.or(write) } else { write.or(read) }
}

/// Of the units that did not answer the one that has been ready longest: its first write, or the read that has been
/// due longest.
fn doubtful(stations: &BTreeMap<Unit, Station>, now: Duration) -> Option<Choice> {
    let ready = |(unit, station): (&Unit, &Station)| {
        let write = station.write(now).map(|_| Choice::Write(*unit));
        let read = || station.read(now).map(|(_, id, span)| Choice::Read(*unit, id, span));
        Some((station.rested(), write.or_else(read)?))
    };
    let all = stations.iter().filter(|(_, station)| !station.healthy()).filter_map(ready);
    // The first of equals, in order of units.
    all.min_by_key(|(rested, _)| *rested).map(|(_, choice)| choice)
}
