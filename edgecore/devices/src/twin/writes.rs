//! What is to be written: the desired value, commands, and the one write that is under way.

mod desired;
mod seen;

pub use desired::{Desired, Progress};

use std::time::Duration;

use kit::{Elapsed, WallTime};

use crate::settings::Settings;
use crate::twin::event::{
    Answer, Command, CommandId, Effect, Failure, Now, Outcome, Request, Write, WriteId,
};
use crate::twin::history::History;
use crate::twin::observed::REASON;
use crate::twin::writes::desired::Wanted;
use crate::twin::writes::seen::Seen;
use crate::value::{Value, shortened};

/// How long a driver may take to answer.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How far away a command's expiry may be: so long may one that was forgotten stand in the way of others.
pub const MOST_TTL: Duration = Duration::from_hours(1);

/// All writes of a property.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Writes {
    wanted: Option<Wanted>,
    seen: Seen,
    waiting: Option<Waiting>,
    under_way: Option<UnderWay>,
    history: History,
    /// The number of the last write that was handed over.
    last_write: u64,
    /// Counts desired values and commands as they come: the later one wins.
    arrivals: u64,
    driver: bool,
}

/// A command that no driver was given yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    id: CommandId,
    value: Value,
    expires: WallTime,
    expires_at: Elapsed,
    arrived: u64,
}

/// What a driver was given and has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UnderWay {
    write: WriteId,
    what: What,
    answer_by: Elapsed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The desired value of a version.
    Desired(u64),
    Command {
        id: CommandId,
        expires: WallTime,
        arrived: u64,
    },
}

impl Writes {
    /// What is desired, if anything is.
    pub(super) fn desired(&self) -> Option<&Desired> {
        self.wanted.as_ref().and_then(Wanted::desired)
    }

    pub(super) fn wake_at(&self) -> Option<Elapsed> {
        let expires = self.waiting.as_ref().map(|waiting| waiting.expires_at);
        let answer = self.under_way.as_ref().map(|under_way| under_way.answer_by);
        let idle = self.driver && self.under_way.is_none() && self.waiting.is_none();
        let retry = self.wanted.as_ref().filter(|_| idle).and_then(Wanted::next_try);
        [expires, answer, retry].into_iter().flatten().min()
    }

    pub(super) fn time_passed(&mut self, now: Elapsed, effects: &mut Vec<Effect>) {
        if let Some(late) = self.waiting.take_if(|waiting| waiting.expires_at <= now) {
            self.end_waiting(late, Outcome::Expired, effects);
        }
        if let Some(late) = self.under_way.take_if(|under_way| under_way.answer_by <= now) {
            self.ended(late.what, Answer::Unanswered("no answer within 10 s".into()), now, effects);
        }
    }

    pub(super) fn desire(
        &mut self,
        settings: &Settings,
        version: u64,
        text: Option<&str>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.seen.first_time(version) {
            return;
        }
        let mut say = |version, outcome| effects.push(tell(Request::Desired(version), outcome));
        if self.wanted.as_ref().is_some_and(|wanted| wanted.version > version) {
            say(version, Outcome::Failed(Failure::Superseded));
            return;
        }
        self.arrivals += 1;
        let wanted = Wanted::new(settings, version, self.arrivals, text);
        let under_way = self.under_way_version();
        if let Some(old) = self.wanted.take().filter(|old| old.waits() && under_way != Some(old.version)) {
            say(old.version, Outcome::Failed(Failure::Superseded));
        }
        if let Some(failure) = wanted.failure() {
            say(version, Outcome::Failed(failure.clone()));
        }
        let overtakes = wanted.waits();
        self.wanted = Some(wanted);
        if let Some(overtaken) = self.waiting.take_if(|_| overtakes) {
            self.end_waiting(overtaken, Outcome::Failed(Failure::Superseded), effects);
        }
    }

    pub(super) fn command(
        &mut self,
        settings: &Settings,
        command: Command,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(outcome) = self.history.outcome(&command.id) {
            effects.push(tell(Request::Command(command.id), outcome.clone()));
            return;
        }
        if self.knows(&command.id) {
            return;
        }
        if self.history.forgot(&command) {
            effects.push(tell(Request::Command(command.id), Outcome::Failed(Failure::Forgotten)));
            return;
        }
        let waiting = match self.accepted(settings, &command, now) {
            Ok(waiting) => waiting,
            // Not kept: asked again, it is judged again.
            Err(outcome) => {
                effects.push(tell(Request::Command(command.id), outcome));
                return;
            }
        };
        self.arrivals += 1;
        if let Some(overtaken) = self.waiting.replace(waiting) {
            self.end_waiting(overtaken, Outcome::Failed(Failure::Superseded), effects);
        }
    }

    /// What is to wait, or how it ends here and now.
    fn accepted(&self, settings: &Settings, command: &Command, now: Now) -> Result<Waiting, Outcome> {
        let left = command.expires.0.saturating_sub(now.wall.0);
        let left = u64::try_from(left).ok().filter(|left| *left > 0).ok_or(Outcome::Expired)?;
        let left = Duration::from_millis(left);
        if left > MOST_TTL {
            return Err(Outcome::Failed(Failure::ExpiresTooLate));
        }
        if !settings.writable {
            return Err(Outcome::Failed(Failure::ReadOnly));
        }
        let value = settings.definition.parse(&command.text);
        Ok(Waiting {
            id: command.id.clone(),
            value: value.map_err(|error| Outcome::Failed(error.into()))?,
            expires: command.expires,
            expires_at: now.elapsed.plus(left),
            arrived: self.arrivals + 1,
        })
    }

    pub(super) fn answered(
        &mut self,
        write: WriteId,
        answer: Answer,
        now: Elapsed,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(under_way) = self.under_way.take_if(|under_way| under_way.write == write) {
            self.ended(under_way.what, answer, now, effects);
        }
    }

    pub(super) fn driver_up(&mut self, now: Elapsed) {
        self.driver = true;
        if let Some(wanted) = &mut self.wanted {
            wanted.try_at(now);
        }
    }

    pub(super) fn driver_down(&mut self, now: Elapsed, effects: &mut Vec<Effect>) {
        self.driver = false;
        if let Some(under_way) = self.under_way.take() {
            self.ended(under_way.what, Answer::Unanswered("the driver went away".into()), now, effects);
        }
    }

    /// The device was read and has this value.
    pub(super) fn has_been_read(&mut self, value: &Value, effects: &mut Vec<Effect>) {
        let under_way = self.under_way_version();
        let Some(wanted) = self.wanted.as_mut().filter(|wanted| under_way != Some(wanted.version)) else {
            return;
        };
        if wanted.was_done_after_all(value) {
            effects.push(tell(Request::Desired(wanted.version), Outcome::Success));
        }
    }

    /// Gives the driver what waits, if it has nothing to do.
    pub(super) fn hand_over(&mut self, now: Elapsed, effects: &mut Vec<Effect>) {
        if !self.driver || self.under_way.is_some() {
            return;
        }
        let answer_by = now.plus(WRITE_TIMEOUT);
        let (what, value, start_before) = if let Some(command) = self.waiting.take() {
            let Waiting { id, value, expires, expires_at, arrived } = command;
            (What::Command { id, expires, arrived }, value, expires_at.min(answer_by))
        } else {
            let due = self.wanted.as_ref().and_then(|wanted| Some((wanted.version, wanted.due(now)?)));
            let Some((version, value)) = due else { return };
            (What::Desired(version), value.clone(), answer_by)
        };
        self.last_write += 1;
        let id = WriteId(self.last_write);
        self.under_way = Some(UnderWay { write: id, what, answer_by });
        effects.push(Effect::Write(Write { id, value, start_before }));
    }

    fn ended(&mut self, what: What, answer: Answer, now: Elapsed, effects: &mut Vec<Effect>) {
        match what {
            What::Command { id, expires, arrived } => {
                let outcome = outcome(answer);
                let perhaps_done = matches!(outcome, Outcome::Success | Outcome::Timeout);
                self.history.keep(id.clone(), expires, outcome.clone());
                effects.push(tell(Request::Command(id), outcome));
                let older = self
                    .wanted
                    .as_mut()
                    .filter(|wanted| perhaps_done && wanted.waits() && wanted.arrived < arrived);
                if let Some(wanted) = older {
                    wanted.fail(Failure::Superseded);
                    effects
                        .push(tell(Request::Desired(wanted.version), Outcome::Failed(Failure::Superseded)));
                }
            }
            What::Desired(version) => {
                let ended = match self.wanted.as_mut().filter(|wanted| wanted.version == version) {
                    Some(wanted) => wanted.answered(answer, now),
                    None => Some(outcome(answer)),
                };
                effects.extend(ended.map(|outcome| tell(Request::Desired(version), outcome)));
            }
        }
    }

    fn end_waiting(&mut self, waiting: Waiting, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.history.keep(waiting.id.clone(), waiting.expires, outcome.clone());
        effects.push(tell(Request::Command(waiting.id), outcome));
    }

    /// Whether a command waits or is under way.
    fn knows(&self, id: &CommandId) -> bool {
        let under_way = self.under_way.as_ref().is_some_and(
            |under_way| matches!(&under_way.what, What::Command { id: known, .. } if known == id),
        );
        under_way || self.waiting.as_ref().is_some_and(|waiting| waiting.id == *id)
    }

    /// The version of the desired value that is under way.
    fn under_way_version(&self) -> Option<u64> {
        match self.under_way.as_ref()?.what {
            What::Desired(version) => Some(version),
            What::Command { .. } => None,
        }
    }
}

fn tell(of: Request, outcome: Outcome) -> Effect {
    Effect::Outcome { of, outcome }
}

/// What an answer is for who is not tried again.
fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Done => Outcome::Success,
        Answer::Refused(why) => Outcome::Failed(Failure::Refused(shortened(&why, REASON))),
        Answer::Unreachable(why) => Outcome::Failed(Failure::Unreachable(shortened(&why, REASON))),
        Answer::Unanswered(_) => Outcome::Timeout,
    }
}
