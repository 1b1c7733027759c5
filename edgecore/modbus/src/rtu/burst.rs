//! What is in a burst.

use crate::answer::{Answer, AnswerError};
use crate::crc::crc16;
use crate::heard::Heard;
use crate::request::Request;
use crate::rtu::{Asked, Echo, MAX_FRAME, RtuError};
use crate::unit::Unit;

/// Bytes of the shortest frame: unit, function, checksum.
const MIN_FRAME: usize = 4;
/// Bytes of a refusal: unit, function, code, checksum.
const REFUSAL: usize = 5;

/// What can be told before the burst is over.
pub(super) enum Found {
    /// The request.
    Echo,
    /// The request, and with it what would be its answer.
    Unproven(Answer),
    /// Of so many bytes: the answer.
    Answer(usize, Answer),
    /// Of so many bytes: something else from the unit, of the same function and length.
    Misfit(usize, AnswerError),
}

/// The first echo or answer in `bytes`, and where it starts.
pub(super) fn search(asked: &Asked, echo: Echo, bytes: &[u8]) -> Option<(usize, Found)> {
    (0..bytes.len()).find_map(|at| {
        let rest = bytes.get(at..)?;
        Some((at, repetition(asked, echo, rest).or_else(|| answer(asked, rest))?))
    })
}

fn repetition(asked: &Asked, echo: Echo, bytes: &[u8]) -> Option<Found> {
    let first = !asked.echoed && asked.unproven.is_none();
    if !first || !bytes.starts_with(&asked.frame) {
        return None;
    }
    match (answer(asked, bytes), echo) {
        (Some(Found::Answer(..)), Echo::Off) => None,
        (Some(Found::Answer(_, answer)), Echo::Unknown) => Some(Found::Unproven(answer)),
        (_, Echo::On | Echo::Off | Echo::Unknown) => Some(Found::Echo),
    }
}

/// The frame at the start of `bytes` where unit, function, length and checksum are those of the answer.
fn answer(asked: &Asked, bytes: &[u8]) -> Option<Found> {
    let length = due(asked.unit, &asked.request, bytes)?;
    let pdu = checked(bytes.get(..length)?)?;
    Some(match asked.request.answer(pdu) {
        Ok(answer) => Found::Answer(length, answer),
        Err(error) => Found::Misfit(length, error),
    })
}

/// Bytes of the frame that `bytes` starts as: of the answer or of a refusal.
fn due(unit: Unit, request: &Request, bytes: &[u8]) -> Option<usize> {
    let function = request.function();
    match bytes {
        [from, code, ..] if *from == unit.number() && *code == function.code() => {
            Some(request.answer_length() + 3)
        }
        [from, code, ..] if *from == unit.number() && *code == function.refusal() => Some(REFUSAL),
        _ => None,
    }
}

/// The protocol data unit of a frame whose checksum is right.
fn checked(frame: &[u8]) -> Option<&[u8]> {
    let (body, checksum) = frame.split_last_chunk::<2>()?;
    let whole = (MIN_FRAME..=MAX_FRAME).contains(&frame.len());
    (whole && u16::from_le_bytes(*checksum) == crc16(body)).then(|| body.get(1..))?
}

/// Tells what a burst was, now that it is over.
pub(super) fn judge(asked: Unit, request: &Request, burst: &[u8]) -> Heard<RtuError> {
    if let (Some(pdu), Some(from)) = (checked(burst), burst.first()) {
        let got = Unit::from_wire(*from);
        if got != asked {
            return Heard::Other(RtuError::WrongUnit { asked, got });
        }
        return request.answer(pdu).map_or_else(|error| Heard::Other(error.into()), Heard::Answer);
    }
    Heard::Other(damage(asked, request, burst))
}

/// What a burst was that is no frame.
fn damage(unit: Unit, request: &Request, burst: &[u8]) -> RtuError {
    let Some(expected) = due(unit, request, burst) else { return RtuError::Noise(burst.len()) };
    match burst.get(..expected).and_then(|frame| frame.split_last_chunk::<2>()) {
        Some((body, checksum)) => {
            RtuError::Checksum { expected: crc16(body), got: u16::from_le_bytes(*checksum) }
        }
        None => RtuError::Cut { expected, got: burst.len() },
    }
}
