//! What came in over a line while an answer was awaited.

use crate::answer::Answer;

/// One thing heard. `E` names what it was where it was not the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<E> {
    /// The answer to the request; nothing is awaited any longer.
    Answer(Answer),
    /// Something else, by name. The error says how to go on.
    Other(E),
}

/// What follows from something that was not the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoOn {
    /// The answer may still come: wait until the time for it is over.
    KeepWaiting,
    /// The answer will not come any more; the line is in step, and the next request may go out.
    NextRequest,
    /// The answer will not come any more, and nothing may be sent before the line is silent.
    AfterSilence,
    /// Nothing that comes over this connection can be understood any more: close it and open another.
    Reconnect,
}
