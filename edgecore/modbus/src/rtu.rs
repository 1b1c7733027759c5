//! Modbus over serial lines: frames by silence, answers by unit and checksum.
//!
//! "MODBUS over Serial Line V1.02", 2.5.1: unit, protocol data unit, checksum; 256 bytes at most, 3.5 characters of
//! silence before and behind, none inside.
//!
//! What comes in between two silences is one burst. The answer is looked for anywhere in it, so that it is found at
//! once and behind garbage (a transceiver that switches direction adds bytes); what is left of the burst is judged
//! when it is over. Line and transceiver may also return what was sent: see [`Echo`].
//!
//! Serial lines have no transactions. An answer that comes after its request was given up looks like the answer to the
//! next one of the same kind to the same unit, so a unit that did not answer is left alone for a while (`schedule`).

mod burst;
mod error;

pub use error::RtuError;

use std::time::Duration;

use crate::answer::{Answer, AnswerError};
use crate::crc::crc16;
use crate::heard::Heard;
use crate::request::Request;
use crate::rtu::burst::{Found, judge, search};
use crate::unit::Unit;

/// Bytes of the longest frame (V1.02, 2.5.1).
const MAX_FRAME: usize = 256;
/// Bytes of the longest burst: an echo or garbage, and an answer.
const MAX_BURST: usize = 2 * MAX_FRAME;

/// Whether the line returns what is sent on it, as adapters for two wires do.
///
/// The answer to a write of one cell is its repetition, so an echo of it looks like success. What is asked by a read
/// tells them apart, and what was told stays known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Echo {
    /// Not yet seen. A repetition of a write is not believed until a second one or a read has shown what it was.
    #[default]
    Unknown,
    /// It does: the first repetition is none of the unit's.
    On,
    /// It does not.
    Off,
}

/// The client's end of a serial line, without the line: what to send, and what to make of what comes when. It holds
/// one burst at most.
#[derive(Debug)]
pub struct Client {
    silence: Duration,
    echo: Echo,
    asked: Option<Asked>,
    buffer: Vec<u8>,
    /// When the last byte came.
    last: Option<Duration>,
    /// Whether the burst is longer than any can be; it is passed over.
    babble: bool,
}

#[derive(Debug)]
struct Asked {
    unit: Unit,
    request: Request,
    frame: Vec<u8>,
    /// Whether the frame came back.
    echoed: bool,
    /// What is either an echo or the answer.
    unproven: Option<Answer>,
    /// What the unit sent that answers no such request.
    misfit: Option<AnswerError>,
    /// Whether something else came before.
    disturbed: bool,
}

impl Client {
    /// Of a line where `silence` parts frames ([`crate::Timing::silence`]), and of which is known whether it echoes.
    pub const fn new(silence: Duration, echo: Echo) -> Self {
        Self { silence, echo, asked: None, buffer: Vec::new(), last: None, babble: false }
    }

    /// The bytes that ask `unit`. What came before is passed over: the unit had not been asked.
    pub fn ask(&mut self, unit: Unit, request: Request) -> Vec<u8> {
        let frame = encode(unit, &request);
        self.buffer.clear();
        let sent = frame.clone();
        let (echoed, disturbed) = (false, false);
        self.asked = Some(Asked { unit, request, frame, echoed, unproven: None, misfit: None, disturbed });
        sent
    }

    /// Takes from `bytes`, which came at `now`, up to the first thing that can be told, and tells it. Call again until
    /// there is nothing. Times are since any one moment, the same for all calls.
    pub fn next(&mut self, bytes: &mut &[u8], now: Duration) -> Option<Heard<RtuError>> {
        if bytes.is_empty() {
            return self.found();
        }
        if self.silent(now)
            && let Some(heard) = self.end_burst()
        {
            return Some(heard);
        }
        loop {
            if let Some(heard) = self.found() {
                return Some(heard);
            }
            if bytes.is_empty() {
                return None;
            }
            self.last = Some(now);
            if self.babble {
                *bytes = &[];
                return None;
            }
            let room = MAX_BURST - self.buffer.len();
            if room == 0 {
                self.babble = true;
                self.buffer.clear();
                self.asked = None;
                return Some(Heard::Other(RtuError::Babble));
            }
            let (taken, left) = bytes.split_at(room.min(bytes.len()));
            *bytes = left;
            self.buffer.extend_from_slice(taken);
        }
    }

    /// When to call [`Self::quiet`] if nothing comes; `None` where nothing waits for silence.
    pub fn quiet_at(&self) -> Option<Duration> {
        let waits = self.babble || !self.buffer.is_empty();
        self.last.filter(|_| waits).map(|last| last.saturating_add(self.silence))
    }

    /// Nothing has come up to `now`. Where that is silence, what the burst left is told.
    pub fn quiet(&mut self, now: Duration) -> Option<Heard<RtuError>> {
        if self.silent(now) { self.end_burst() } else { None }
    }

    /// The time for an answer is over. Tells the most that is known of why.
    pub fn gave_up(&mut self) -> RtuError {
        let left = std::mem::take(&mut self.buffer);
        let Some(asked) = self.asked.take() else { return RtuError::NoAnswer };
        if asked.unproven.is_some() {
            return RtuError::EchoOrAnswer;
        }
        if let Some(error) = asked.misfit {
            return error.into();
        }
        match judge(asked.unit, &asked.request, &left) {
            Heard::Other(error) if !left.is_empty() => error,
            Heard::Other(_) | Heard::Answer(_) if asked.echoed => RtuError::OnlyEcho,
            Heard::Other(_) | Heard::Answer(_) => RtuError::NoAnswer,
        }
    }

    /// What is known of the line's echo by now, for the next client on it.
    pub const fn echo(&self) -> Echo {
        self.echo
    }

    fn silent(&self, now: Duration) -> bool {
        self.last.is_some_and(|last| now.saturating_sub(last) >= self.silence)
    }

    /// The next thing in the buffer that is known to be what it is before the burst ends.
    fn found(&mut self) -> Option<Heard<RtuError>> {
        loop {
            let asked = self.asked.as_mut()?;
            let (at, found) = search(asked, self.echo, &self.buffer)?;
            if at > 0 {
                self.buffer.drain(..at);
                asked.disturbed = true;
                return Some(Heard::Other(RtuError::Noise(at)));
            }
            match found {
                Found::Echo => {
                    self.buffer.drain(..asked.frame.len());
                    asked.echoed = true;
                    self.echo = Echo::On;
                    return Some(Heard::Other(RtuError::Echo));
                }
                Found::Unproven(answer) => {
                    self.buffer.drain(..asked.frame.len());
                    asked.unproven = Some(answer);
                }
                Found::Misfit(length, error) => {
                    self.buffer.drain(..length);
                    asked.disturbed = true;
                    asked.misfit = Some(error);
                    return Some(Heard::Other(error.into()));
                }
                Found::Answer(length, answer) => {
                    self.buffer.drain(..length);
                    self.learn();
                    self.asked = None;
                    return Some(Heard::Answer(answer));
                }
            }
        }
    }

    /// An answer is there: did its request come back before?
    fn learn(&mut self) {
        let Some(asked) = &self.asked else { return };
        let answers_repeat = asked.request.answer(&asked.request.encode()).is_ok();
        if asked.unproven.is_some() {
            self.echo = Echo::On;
        } else if !asked.echoed && !asked.disturbed && !answers_repeat {
            self.echo = Echo::Off;
        }
    }

    /// Tells what a burst was that held nothing awaited.
    fn end_burst(&mut self) -> Option<Heard<RtuError>> {
        self.babble = false;
        self.last = None;
        let left = std::mem::take(&mut self.buffer);
        if left.is_empty() {
            return None;
        }
        let Some(asked) = self.asked.as_mut() else {
            return Some(Heard::Other(RtuError::Unsolicited(left.len())));
        };
        asked.disturbed = true;
        let heard = judge(asked.unit, &asked.request, &left);
        match &heard {
            Heard::Other(RtuError::Answer(error)) => asked.misfit = Some(*error),
            Heard::Other(error) if error.keeps_waiting() => {}
            Heard::Other(_) | Heard::Answer(_) => self.asked = None,
        }
        Some(heard)
    }
}

fn encode(unit: Unit, request: &Request) -> Vec<u8> {
    let mut frame = vec![unit.number()];
    frame.extend(request.encode());
    frame.extend(crc16(&frame).to_le_bytes());
    frame
}
