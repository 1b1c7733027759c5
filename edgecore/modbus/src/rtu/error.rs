//! What came over a serial line and was not the answer.

use thiserror::Error;

use crate::answer::AnswerError;
use crate::heard::GoOn;
use crate::unit::Unit;

/// What came over a serial line and was not the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RtuError {
    /// Nothing came in time.
    #[error("no answer")]
    NoAnswer,
    /// The request came back and nothing else.
    #[error("no answer; the line returned the request")]
    OnlyEcho,
    /// The request came back once, which is an echo or the answer. It may have been carried out.
    #[error("what came back is the request, and whether the line or the unit returned it is not known yet")]
    EchoOrAnswer,
    /// The line returned the request.
    #[error("the line returned the request")]
    Echo,
    /// Bytes that are no frame.
    #[error("{0} bytes of noise")]
    Noise(usize),
    /// A frame, or what is left of one, while none is awaited.
    #[error("{0} bytes while no answer is awaited")]
    Unsolicited(usize),
    /// More bytes in a row than a frame can have, without silence.
    #[error("the line does not fall silent")]
    Babble,
    /// Silence where the answer was not complete.
    #[error("the answer ended after {got} bytes where {expected} were due")]
    Cut {
        /// Bytes of the whole frame.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The answer came, damaged.
    #[error("checksum {got:#06x} where {expected:#06x} was due")]
    Checksum {
        /// Of the bytes that came.
        expected: u16,
        /// What they say.
        got: u16,
    },
    /// A frame of somebody else.
    #[error("unit {got} answered while unit {asked} was asked")]
    WrongUnit {
        /// The one asked.
        asked: Unit,
        /// The one that answered.
        got: Unit,
    },
    /// The unit answered something else.
    #[error("the answer fits no such request")]
    Answer(#[source] AnswerError),
}

impl From<AnswerError> for RtuError {
    fn from(error: AnswerError) -> Self {
        Self::Answer(error)
    }
}

impl RtuError {
    /// What follows from it. After the answer of an unexpected unit the time goes on running ("MODBUS over Serial Line
    /// V1.02", 2.4.1), as after noise and an echo; and after one that fits no such request, which may be a late one to
    /// an earlier: the true one would meet the next request on the line. Damage is told only once the line is silent.
    pub const fn go_on(&self) -> GoOn {
        match self {
            Self::Echo | Self::Noise(_) | Self::Unsolicited(_) | Self::WrongUnit { .. } | Self::Answer(_) => {
                GoOn::KeepWaiting
            }
            Self::Babble => GoOn::AfterSilence,
            Self::NoAnswer
            | Self::OnlyEcho
            | Self::EchoOrAnswer
            | Self::Cut { .. }
            | Self::Checksum { .. } => GoOn::NextRequest,
        }
    }

    pub(crate) const fn keeps_waiting(&self) -> bool {
        matches!(self.go_on(), GoOn::KeepWaiting)
    }
}
