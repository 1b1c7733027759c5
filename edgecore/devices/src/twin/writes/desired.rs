//! The desired value: tried until the device has it or refuses it.

use std::time::Duration;

use kit::Elapsed;

use crate::settings::Settings;
use crate::twin::event::{Answer, Failure, Outcome};
use crate::twin::observed::REASON;
use crate::twin::writes::outcome;
use crate::value::{MOST_BYTES, Type, Value, shortened};

/// The first wait before another try, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What is desired, to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    pub version: u64,
    /// As the Device says it; shortened where it is too long to be a value.
    pub text: Box<str>,
    pub progress: Progress,
}

/// What became of what is desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The device has not got it yet; why the last try failed, if there was one.
    Waiting(Option<Box<str>>),
    /// The device had it once. That it has it still is for the readings to say.
    Done,
    Failed(Failure),
}

/// The state behind [`Desired`]: the value of the highest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: u64,
    /// When it came, among all that came.
    pub(super) arrived: u64,
    /// None where nothing is desired any more.
    goal: Option<Goal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Goal {
    desired: Desired,
    /// None where the text is no value.
    value: Option<Value>,
    failures: u32,
    try_at: Elapsed,
    /// Whether a try may have been done without an answer.
    perhaps_done: bool,
}

impl Wanted {
    pub(super) fn new(settings: &Settings, version: u64, arrived: u64, text: Option<&str>) -> Self {
        // KubeEdge's mappers need a desired value for every property; where none is meant, manifests leave it empty.
        let texts = matches!(settings.definition.data_type(), Type::String | Type::Bytes | Type::Stream);
        let goal = text.filter(|text| texts || !text.is_empty()).map(|text| {
            let (value, progress) = match settings.definition.parse(text) {
                _ if !settings.writable => (None, Progress::Failed(Failure::ReadOnly)),
                Ok(value) => (Some(value), Progress::Waiting(None)),
                Err(error) => (None, Progress::Failed(error.into())),
            };
            let text = if text.len() > MOST_BYTES { shortened(text, REASON) } else { text.into() };
            Goal {
                desired: Desired { version, text, progress },
                value,
                failures: 0,
                try_at: Elapsed::default(),
                perhaps_done: false,
            }
        });
        Self { version, arrived, goal }
    }

    pub(super) fn desired(&self) -> Option<&Desired> {
        self.goal.as_ref().map(|goal| &goal.desired)
    }

    /// Whether it has still to reach the device.
    pub(super) fn waits(&self) -> bool {
        self.goal.as_ref().is_some_and(Goal::waits)
    }

    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match &self.goal.as_ref()?.desired.progress {
            Progress::Failed(failure) => Some(failure),
            Progress::Waiting(_) | Progress::Done => None,
        }
    }

    /// When it is to be tried next.
    pub(super) fn next_try(&self) -> Option<Elapsed> {
        self.goal.as_ref().filter(|goal| goal.waits()).map(|goal| goal.try_at)
    }

    /// The value, if it is to be tried now.
    pub(super) fn due(&self, now: Elapsed) -> Option<&Value> {
        let goal = self.goal.as_ref().filter(|goal| goal.waits() && goal.try_at <= now);
        goal.and_then(|goal| goal.value.as_ref())
    }

    /// Tries again then, as if for the first time.
    pub(super) fn try_at(&mut self, at: Elapsed) {
        if let Some(goal) = &mut self.goal {
            (goal.failures, goal.try_at) = (0, at);
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        if let Some(goal) = &mut self.goal {
            goal.desired.progress = Progress::Failed(failure);
        }
    }

    /// Takes an answer to a try; gives the outcome if that was the last one.
    pub(super) fn answered(&mut self, answer: Answer, now: Elapsed) -> Option<Outcome> {
        let goal = self.goal.as_mut()?;
        let (why, perhaps_done) = match answer {
            Answer::Unreachable(why) => (why, false),
            Answer::Unanswered(why) => (why, true),
            Answer::Done | Answer::Refused(_) => {
                let outcome = outcome(answer);
                goal.desired.progress = match &outcome {
                    Outcome::Failed(failure) => Progress::Failed(failure.clone()),
                    Outcome::Success | Outcome::Timeout | Outcome::Expired => Progress::Done,
                };
                return Some(outcome);
            }
        };
        goal.desired.progress = Progress::Waiting(Some(shortened(&why, REASON)));
        goal.perhaps_done |= perhaps_done;
        let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(goal.failures).unwrap_or(u32::MAX));
        goal.failures = goal.failures.saturating_add(1).min(31);
        goal.try_at = now.plus(wait.min(LONGEST_WAIT));
        None
    }

    /// Whether a value that was read shows that a try without an answer was done; it counts as done then.
    pub(super) fn was_done_after_all(&mut self, read: &Value) -> bool {
        let Some(goal) = self.goal.as_mut().filter(|goal| goal.waits() && goal.perhaps_done) else {
            return false;
        };
        let done = goal.value.as_ref() == Some(read);
        if done {
            goal.desired.progress = Progress::Done;
        }
        done
    }
}

impl Goal {
    const fn waits(&self) -> bool {
        matches!(self.desired.progress, Progress::Waiting(_))
    }
}
