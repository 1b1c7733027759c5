//! When what is asked on one line: one request at a time, whatever hangs on it.
//!
//! - Writes go before reads, and those to one unit in the order in which they came. After [`WRITES_IN_A_ROW`] of them a
//!   read goes that is due, so that nobody who writes all the time stops the reading.
//! - Of the reads that are due the one that has waited longest goes; then its next time is one that is still to come.
//!   So every read that is due goes before any goes twice.
//! - A unit that does not answer is left alone for a second, doubling to a minute, and is *doubtful* until it answers,
//!   as one is that has not answered yet. While others have something to do, doubtful ones are asked only after
//!   [`TURNS_PER_PROBE`] requests to those, so that any number of dead units holds nobody up for long.
//! - A write that failed is not repeated: it may have been carried out. One that has waited too long is handed back.
//!
//! Nothing here sends or waits. [`Line::next`] says what to do now; when it is done, [`Line::answered`] or
//! [`Line::failed`] says how it went. Times are since any one moment, the same for all calls (`kit::Elapsed`).

mod pick;
mod rest;
mod station;

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::answer::Answer;
use crate::format::Patch;
use crate::request::Request;
use crate::schedule::pick::{Choice, Turns};
use crate::schedule::station::{Command, Station};
use crate::span::{Span, Table};
use crate::unit::Unit;

/// Writes after which a read goes that is due.
pub const WRITES_IN_A_ROW: u32 = 8;
/// Requests to units that answer, after which one goes to a doubtful one.
pub const TURNS_PER_PROBE: u32 = 4;
/// How often a read is repeated at once whose answer was damaged.
pub const REPEATS: u32 = 2;

/// A read, by the caller's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// A write, by the caller's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Something to be done on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A read that comes again.
    Read(ReadId),
    /// A write, once.
    Write(WriteId),
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// One request.
    Request(Request),
    /// Reads a register and writes it back with some bits changed; nothing comes between on this line.
    Patch(Patch),
}

/// The times of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineConfig {
    /// How long a unit may think. The time that request and answer take on the line comes on top.
    pub timeout: Duration,
    /// How long a byte takes on the line: [`crate::Timing::of_bytes`] one, and nothing over TCP.
    pub per_byte: Duration,
    /// Pause between what came and the next request: on a serial line at least [`crate::Timing::silence`].
    pub pause: Duration,
    /// Writes that may wait for one unit.
    pub most_writes: usize,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this, and wait for the answer until `until`.
    Send {
        /// For what.
        job: Job,
        /// To whom.
        unit: Unit,
        /// What.
        request: Request,
        /// When to give up, with [`Failure::NoAnswer`].
        until: Duration,
    },
    /// This write has waited until its time was over. It was not sent and will not be. Ask again.
    Expired {
        /// Which.
        write: WriteId,
        /// To whom it was to go.
        unit: Unit,
    },
    /// Nothing before this time, unless something is added. While an answer is awaited: when to give up.
    WaitUntil(Duration),
    /// Nothing until something is added.
    Idle,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    /// The time ran out, whatever else was heard meanwhile.
    #[error("no answer")]
    NoAnswer,
    /// The unit answered before the time ran out, and the answer could not be understood.
    #[error("the answer was damaged")]
    Damaged,
    /// The line broke, which says nothing about the unit.
    #[error("the line broke")]
    LineLost,
}

/// How a job ended, or this turn of one that comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub job: Job,
    /// With whom.
    pub unit: Unit,
    /// The answer, which may be a refusal. A write that failed may have been carried out.
    pub result: Result<Answer, Failure>,
}

/// A write that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineError {
    /// As many wait as may.
    #[error("unit {unit}: {waiting} writes wait already")]
    Full {
        /// For whom.
        unit: Unit,
        /// How many.
        waiting: usize,
    },
}

/// One line and all that is to be done on it.
#[derive(Debug)]
pub struct Line {
    config: LineConfig,
    stations: BTreeMap<Unit, Station>,
    flight: Option<Flight>,
    /// The second half of a patch, which goes before everything.
    second: Option<(WriteId, Unit, Request)>,
    free_at: Duration,
    turns: Turns,
    arrived: u64,
}

#[derive(Debug)]
struct Flight {
    job: Job,
    unit: Unit,
    /// What to make of the answer, where it is the first half of a patch.
    patch: Option<Patch>,
    until: Duration,
}

impl Line {
    /// A line with nothing to do.
    pub const fn new(config: LineConfig) -> Self {
        Self {
            config,
            stations: BTreeMap::new(),
            flight: None,
            second: None,
            free_at: Duration::ZERO,
            turns: Turns::new(),
            arrived: 0,
        }
    }

    /// Reads `span` of a unit every so often, for the first time at `first`. Replaces the read of the same number.
    pub fn poll(&mut self, unit: Unit, read: ReadId, span: Span, every: Duration, first: Duration) {
        self.station(unit).poll(read, span, every, first);
    }

    /// Reads at `now` what is read anyway; its rhythm goes on from there.
    pub fn poll_now(&mut self, unit: Unit, read: ReadId, now: Duration) {
        self.station(unit).poll_now(read, now);
    }

    /// No longer reads this. One that is under way still ends.
    pub fn stop(&mut self, unit: Unit, read: ReadId) {
        self.station(unit).stop(read);
    }

    /// No longer has to do with a unit. Returns its writes, which were not sent.
    pub fn remove(&mut self, unit: Unit) -> Vec<WriteId> {
        self.stations.remove(&unit).map(Station::into_writes).unwrap_or_default()
    }

    /// Writes, before any read and after all earlier writes to the unit; not later than `expires`.
    ///
    /// # Errors
    /// [`LineError::Full`] where too many wait.
    pub fn write(
        &mut self,
        unit: Unit,
        id: WriteId,
        change: Change,
        expires: Option<Duration>,
    ) -> Result<(), LineError> {
        let (most, arrived) = (self.config.most_writes, self.arrived);
        let station = self.station(unit);
        if station.waiting() >= most {
            return Err(LineError::Full { unit, waiting: station.waiting() });
        }
        station.command(Command { id, change, expires, arrived });
        self.arrived += 1;
        Ok(())
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Duration) -> Next {
        if let Some((unit, write)) =
            self.stations.iter_mut().find_map(|(unit, station)| Some((*unit, station.expired(now)?)))
        {
            return Next::Expired { write, unit };
        }
        if let Some(flight) = &self.flight {
            return Next::WaitUntil(flight.until);
        }
        if now < self.free_at {
            return self.wait(now);
        }
        if let Some((write, unit, request)) = self.second.take() {
            return self.send(Job::Write(write), unit, request, None, now);
        }
        match pick::pick(&self.stations, self.turns, now) {
            Some((choice, turns)) => {
                self.turns = turns;
                self.start(choice, now)
            }
            None => self.wait(now),
        }
    }

    /// The answer to what was sent. `None` where the job goes on, or nothing was sent. `random` in [0, 1).
    pub fn answered(&mut self, answer: Answer, now: Duration, random: f64) -> Option<Finished> {
        let flight = self.land(now)?;
        let (job, unit) = (flight.job, flight.unit);
        let silent = matches!(&answer, Answer::Refused(exception) if exception.unit_is_silent());
        if let Some(station) = self.stations.get_mut(&unit) {
            if silent {
                station.no_answer(job, now, random);
            } else {
                station.answered(job, now);
            }
        }
        match (flight.patch, &answer, job) {
            (Some(patch), Answer::Registers(registers), Job::Write(write)) if registers.len() == 1 => {
                let register = registers.first().copied().unwrap_or_default();
                let request = Request::write_register(patch.address(), patch.over(register));
                self.second = Some((write, unit, request));
                None
            }
            _ => Some(Finished { job, unit, result: Ok(answer) }),
        }
    }

    /// What was sent has no answer. `None` where nothing was sent. `random` in [0, 1).
    pub fn failed(&mut self, failure: Failure, now: Duration, random: f64) -> Option<Finished> {
        let Flight { job, unit, .. } = self.land(now)?;
        if let Some(station) = self.stations.get_mut(&unit) {
            match failure {
                Failure::NoAnswer => station.no_answer(job, now, random),
                Failure::Damaged => station.damaged(job, now),
                Failure::LineLost => {}
            }
        }
        Some(Finished { job, unit, result: Err(failure) })
    }

    fn station(&mut self, unit: Unit) -> &mut Station {
        self.stations.entry(unit).or_default()
    }

    fn land(&mut self, now: Duration) -> Option<Flight> {
        let flight = self.flight.take()?;
        self.free_at = now.saturating_add(self.config.pause);
        Some(flight)
    }

    fn start(&mut self, choice: Choice, now: Duration) -> Next {
        match choice {
            Choice::Read(unit, read, span) => {
                self.send(Job::Read(read), unit, Request::read(span), None, now)
            }
            Choice::Write(unit) => match self.stations.get_mut(&unit).and_then(Station::take) {
                Some(Command { id, change: Change::Request(request), .. }) => {
                    self.send(Job::Write(id), unit, request, None, now)
                }
                Some(Command { id, change: Change::Patch(patch), .. }) => {
                    match Span::new(Table::HoldingRegisters, patch.address(), 1) {
                        Ok(span) => self.send(Job::Write(id), unit, Request::read(span), Some(patch), now),
                        // One register is a span at every address.
                        Err(_) => self.wait(now),
                    }
                }
                None => self.wait(now),
            },
        }
    }

    fn send(&mut self, job: Job, unit: Unit, request: Request, patch: Option<Patch>, now: Duration) -> Next {
        let travel = self.config.per_byte.saturating_mul(request.bytes_both_ways());
        let until = now.saturating_add(self.config.timeout).saturating_add(travel);
        self.flight = Some(Flight { job, unit, patch, until });
        Next::Send { job, unit, request, until }
    }

    /// Until when nothing is to be done.
    fn wait(&self, now: Duration) -> Next {
        let second = self.second.as_ref().map(|_| now);
        let work = self.stations.values().filter_map(Station::ready_at).chain(second).min();
        let work = work.map(|at| at.max(self.free_at));
        let expiry = self.stations.values().filter_map(Station::expires_at).min();
        work.into_iter().chain(expiry).min().map_or(Next::Idle, Next::WaitUntil)
    }
}
