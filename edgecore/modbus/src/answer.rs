//! What a unit says to a request, held against that request.

use std::ops::Range;

use thiserror::Error;

use crate::exception::Exception;
use crate::request::{Function, Request};
use crate::span::Span;

/// What a unit answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Coils or discrete inputs, as many as were asked for.
    Bits(Vec<bool>),
    /// Registers, as many as were asked for.
    Registers(Vec<u16>),
    /// The write was done.
    Written,
    /// The unit is there, and refuses.
    Refused(Exception),
}

/// Cells out of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells<'a> {
    /// Of coils or discrete inputs.
    Bits(&'a [bool]),
    /// Of registers.
    Registers(&'a [u16]),
}

impl Answer {
    /// The cells at `range`, which [`Span::within`] tells; `None` where the answer has no such cells.
    pub fn cells(&self, range: Range<usize>) -> Option<Cells<'_>> {
        match self {
            Self::Bits(bits) => bits.get(range).map(Cells::Bits),
            Self::Registers(registers) => registers.get(range).map(Cells::Registers),
            Self::Written | Self::Refused(_) => None,
        }
    }
}

/// A response that answers no such request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Not even a function.
    #[error("the response is empty")]
    Empty,
    /// Neither the function that was asked for nor its refusal.
    #[error("function {asked} was asked for and {got:#04x} answered")]
    WrongFunction {
        /// The one asked for.
        asked: Function,
        /// The byte that came.
        got: u8,
    },
    /// Longer or shorter than an answer to the request is.
    #[error("function {function} answered in {got} bytes where {expected} were due")]
    WrongLength {
        /// The one asked for.
        function: Function,
        /// Bytes of the protocol data unit that were due.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The count in the response is not that of the cells asked for.
    #[error("function {function} answered with {got} bytes of data where {expected} were due")]
    WrongByteCount {
        /// The one asked for.
        function: Function,
        /// Bytes of data that were due.
        expected: usize,
        /// What the response says.
        got: u8,
    },
    /// The unit confirms another write.
    #[error("function {function} was confirmed for {got:02x?} where {expected:02x?} was written")]
    OtherWrite {
        /// The one asked for.
        function: Function,
        /// Address, and value or count, that were written.
        expected: [u8; 4],
        /// What the response says.
        got: [u8; 4],
    },
}

impl Request {
    /// Bytes of the protocol data unit that answers this, where the unit does not refuse.
    pub(crate) fn answer_length(&self) -> usize {
        self.reads().map_or(5, |span| 2 + data_length(span))
    }

    /// Reads a protocol data unit as the answer to this.
    ///
    /// # Errors
    /// [`AnswerError`] where it is none: by function, by length, or because it confirms another write. Bits that pad
    /// the last byte are not looked at.
    pub fn answer(&self, pdu: &[u8]) -> Result<Answer, AnswerError> {
        let function = self.function();
        let wrong_length = |expected| AnswerError::WrongLength { function, expected, got: pdu.len() };
        let (&code, data) = pdu.split_first().ok_or(AnswerError::Empty)?;
        if code == function.refusal() {
            return match data {
                [code] => Ok(Answer::Refused(Exception::from_code(*code))),
                _ => Err(wrong_length(2)),
            };
        }
        if code != function.code() {
            return Err(AnswerError::WrongFunction { asked: function, got: code });
        }
        if let Some(span) = self.reads() {
            let expected = data_length(span);
            let (&got, data) = data.split_first().ok_or_else(|| wrong_length(2 + expected))?;
            if usize::from(got) != expected {
                return Err(AnswerError::WrongByteCount { function, expected, got });
            }
            if data.len() != expected {
                return Err(wrong_length(2 + expected));
            }
            return Ok(unpack(span, data));
        }
        let got = <[u8; 4]>::try_from(data).map_err(|_| wrong_length(5))?;
        let expected = self.head();
        if got == expected {
            Ok(Answer::Written)
        } else {
            Err(AnswerError::OtherWrite { function, expected, got })
        }
    }
}

fn data_length(span: Span) -> usize {
    let count = usize::from(span.count());
    if span.table().holds_bits() { count.div_ceil(8) } else { 2 * count }
}

/// The first cell is the lowest bit of the first byte (V1.1b3, 6.1); a register is two bytes, the higher first (4.2).
fn unpack(span: Span, data: &[u8]) -> Answer {
    if span.table().holds_bits() {
        let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        Answer::Bits(bits.take(usize::from(span.count())).collect())
    } else {
        let (pairs, _) = data.as_chunks::<2>();
        Answer::Registers(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
    }
}
