//! What happens to a twin, and what is to be done about it.

use kit::{Elapsed, WallTime};

use crate::twin::delivery::Report;
use crate::value::{self, Value};

/// The time, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub elapsed: Elapsed,
    pub wall: WallTime,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The Device says what is desired; `None`, or an empty text where that is no value, is nothing. The version is the
    /// desired value's own: it is raised where that changed, not where something else of the Device did.
    Desired { version: u64, text: Option<String> },
    /// Somebody asked for a write.
    Command(Command),
    /// A driver read the property, or tried to.
    Read { sample: Sample, observed_at: WallTime },
    /// A driver says what became of a write.
    Answered { write: WriteId, answer: Answer },
    /// There is a driver that takes writes.
    DriverUp,
    /// There is none any more. Also the first event of a process that found the twin where another left it.
    DriverDown,
    /// Nothing but time.
    Tick,
}

/// A write that is done once, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: CommandId,
    pub text: String,
    /// When it must not begin any more.
    pub expires: WallTime,
}

/// The name of a command, its asker's choice, never used for another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(Box<str>);

impl CommandId {
    /// How long it may be, in bytes.
    pub const MOST_BYTES: usize = 128;

    /// `None` where it is empty or longer than [`Self::MOST_BYTES`].
    pub fn new(id: &str) -> Option<Self> {
        (1..=Self::MOST_BYTES).contains(&id.len()).then(|| Self(id.into()))
    }

    /// As its asker wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a driver read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    /// A value.
    Good(String),
    /// A value with a doubt.
    Uncertain(String, String),
    /// None, and why.
    Bad(String),
}

/// The number of a write that a driver was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId(pub u64);

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The device has the value.
    Done,
    /// It will not have it, now or later.
    Refused(String),
    /// It was not reached and has not got the value.
    Unreachable(String),
    /// Whether it has the value is not known.
    Unanswered(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The driver shall write.
    Write(Write),
    /// Whoever asked is told how it ended.
    Outcome { of: Request, outcome: Outcome },
    /// The cluster shall see this.
    Report(Box<Report>),
}

/// What a driver shall do, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub id: WriteId,
    pub value: Value,
    /// From then on the driver must not begin.
    pub start_before: Elapsed,
}

/// Whose outcome it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// The desired value of this version.
    Desired(u64),
    Command(CommandId),
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The device has the value.
    Success,
    /// It has not got it, and why.
    Failed(Failure),
    /// Nobody answered; it may have it.
    Timeout,
    /// It was not handed over before it expired.
    Expired,
}

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("superseded by a later write")]
    Superseded,
    #[error(transparent)]
    Invalid(#[from] value::Error),
    #[error("the property is read-only")]
    ReadOnly,
    #[error("refused by the device: {0}")]
    Refused(Box<str>),
    #[error("the device was not reached: {0}")]
    Unreachable(Box<str>),
    #[error("it expires more than an hour from now")]
    ExpiresTooLate,
    #[error("too many later commands came for this property to tell whether this one was done before")]
    Forgotten,
}
