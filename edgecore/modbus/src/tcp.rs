//! Modbus over TCP: frames by length, answers by transaction.
//!
//! "MODBUS Messaging on TCP/IP Implementation Guide V1.0b", 3.1.3: transaction, protocol (0), length of what follows,
//! unit; then the protocol data unit.

use thiserror::Error;

use crate::answer::AnswerError;
use crate::heard::{GoOn, Heard};
use crate::request::{MAX_PDU, Request};
use crate::unit::Unit;

/// Bytes before the protocol data unit.
const HEADER: usize = 7;
/// Bytes of the header that the length does not count.
const BEFORE_LENGTH_COUNTS: usize = 6;

/// The client's end of a connection, without the connection: what to send, and what to make of what comes. It holds
/// one frame at most.
#[derive(Debug, Default)]
pub struct Client {
    transaction: u16,
    awaited: Option<(Unit, Request)>,
    buffer: Vec<u8>,
    out_of_step: bool,
}

/// What came over a connection and was not the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TcpError {
    /// Nothing came in time.
    #[error("no answer")]
    NoAnswer,
    /// An answer to a request that was given up, most likely.
    #[error("an answer to transaction {got} while that to {asked} is awaited")]
    WrongTransaction {
        /// The one that is awaited.
        asked: u16,
        /// The one that came.
        got: u16,
    },
    /// A frame while none is awaited.
    #[error("an answer to transaction {0} while none is awaited")]
    Unsolicited(u16),
    /// The right transaction from somebody else.
    #[error("unit {got} answered for unit {asked}")]
    WrongUnit {
        /// The one asked.
        asked: Unit,
        /// The one that answered.
        got: Unit,
    },
    /// The unit answered something else.
    #[error("the answer fits no such request")]
    Answer(#[source] AnswerError),
    /// The peer speaks something else, or the stream is out of step.
    #[error("protocol {0}, where Modbus is 0")]
    NotModbus(u16),
    /// No frame is as long.
    #[error("a frame of length {0}, which are 2 to 254")]
    ImpossibleLength(u16),
}

impl TcpError {
    /// What follows from it.
    pub const fn go_on(&self) -> GoOn {
        match self {
            Self::WrongTransaction { .. } | Self::Unsolicited(_) => GoOn::KeepWaiting,
            Self::NoAnswer | Self::WrongUnit { .. } | Self::Answer(_) => GoOn::NextRequest,
            Self::NotModbus(_) | Self::ImpossibleLength(_) => GoOn::Reconnect,
        }
    }
}

impl Client {
    /// The bytes that ask `unit`. Whatever was awaited before no longer is: its answer is recognised by its transaction.
    pub fn ask(&mut self, unit: Unit, request: Request) -> Vec<u8> {
        self.transaction = self.transaction.wrapping_add(1);
        let frame = encode(self.transaction, unit, &request);
        self.awaited = Some((unit, request));
        frame
    }

    /// Takes from `bytes` up to the first thing that can be told, and tells it. Call again until there is nothing.
    /// After an error that says [`GoOn::Reconnect`] everything is passed over: a new connection has a new client.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Heard<TcpError>> {
        loop {
            if self.out_of_step {
                *bytes = &[];
                return None;
            }
            let whole = match self.length() {
                Ok(whole) => whole,
                Err(error) => {
                    self.out_of_step = true;
                    return Some(Heard::Other(error));
                }
            };
            if let Some(missing) = whole.checked_sub(self.buffer.len()).filter(|missing| *missing > 0) {
                let (taken, left) = bytes.split_at(missing.min(bytes.len()));
                *bytes = left;
                self.buffer.extend_from_slice(taken);
                if taken.len() < missing {
                    return None;
                }
            } else {
                let heard = self.judge();
                self.buffer.clear();
                return Some(heard);
            }
        }
    }

    /// The time for an answer is over.
    pub fn gave_up(&mut self) -> TcpError {
        self.awaited = None;
        TcpError::NoAnswer
    }

    /// Bytes of the frame that is coming in; of its header as long as that is not there.
    fn length(&self) -> Result<usize, TcpError> {
        let [_, _, p, q, l, m, _, ..] = *self.buffer else { return Ok(HEADER) };
        let (protocol, length) = (u16::from_be_bytes([p, q]), u16::from_be_bytes([l, m]));
        if protocol != 0 {
            return Err(TcpError::NotModbus(protocol));
        }
        let counted = usize::from(length);
        if (2..=MAX_PDU + 1).contains(&counted) {
            Ok(BEFORE_LENGTH_COUNTS + counted)
        } else {
            Err(TcpError::ImpossibleLength(length))
        }
    }

    /// Holds the frame in the buffer against what is awaited.
    fn judge(&mut self) -> Heard<TcpError> {
        let [t, u, _, _, _, _, unit, ref pdu @ ..] = *self.buffer else {
            return Heard::Other(TcpError::Answer(AnswerError::Empty));
        };
        let (got, from) = (u16::from_be_bytes([t, u]), Unit::from_wire(unit));
        let Some((asked, request)) = &self.awaited else { return Heard::Other(TcpError::Unsolicited(got)) };
        if got != self.transaction {
            return Heard::Other(TcpError::WrongTransaction { asked: self.transaction, got });
        }
        let heard = if from == *asked {
            request.answer(pdu).map_or_else(|error| Heard::Other(TcpError::Answer(error)), Heard::Answer)
        } else {
            Heard::Other(TcpError::WrongUnit { asked: *asked, got: from })
        };
        self.awaited = None;
        heard
    }
}

fn encode(transaction: u16, unit: Unit, request: &Request) -> Vec<u8> {
    let pdu = request.encode();
    let mut frame = Vec::with_capacity(HEADER + pdu.len());
    frame.extend(transaction.to_be_bytes());
    frame.extend([0, 0, 0]);
    // At most 254: the length fits its lower byte.
    frame.extend(u8::try_from(pdu.len() + 1));
    frame.push(unit.number());
    frame.extend(pdu);
    frame
}
