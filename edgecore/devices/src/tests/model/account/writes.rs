//! What was asked for, what the driver was given, and what was told.

use std::collections::{BTreeMap, BTreeSet};

use kit::{Elapsed, WallTime};

use crate::twin::{
    Command, CommandId, Effect, Failure, Now, Outcome, Request, WRITE_TIMEOUT, Write, WriteId,
};
use crate::value::Value;

/// Desired values are those of their version; commands' start here.
const COMMANDS: i64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Writes {
    /// What the device has; starts as no value that anybody wants.
    pub(super) device: i64,
    /// Versions that came, with whether they are values; in the order in which they came.
    desired: Vec<(u64, Option<bool>)>,
    commands: Vec<Command>,
    /// When the driver was given what, by the number of the write.
    given: BTreeMap<WriteId, (Request, Elapsed)>,
    under_way: Option<WriteId>,
    /// Whose values the device ever had.
    done: BTreeSet<Request>,
    told: BTreeMap<Request, Outcome>,
    /// The command that came in this step again.
    again: Option<CommandId>,
}

fn value(request: &Request) -> i64 {
    match request {
        Request::Desired(version) => i64::try_from(*version).unwrap(),
        Request::Command(id) => COMMANDS + id.as_str().parse::<i64>().unwrap(),
    }
}

fn whose(value: &Value) -> Request {
    let Value::Integer(value) = value else { panic!("{value:?}") };
    let value = i64::try_from(*value).unwrap();
    match value - COMMANDS {
        number @ 0.. => Request::Command(CommandId::new(&number.to_string()).unwrap()),
        _ => Request::Desired(u64::try_from(value).unwrap()),
    }
}

impl Writes {
    fn highest(&self) -> Option<u64> {
        self.desired.iter().map(|(version, _)| *version).max()
    }

    /// A version so far ahead of the highest, and its text.
    pub(super) fn desire(&mut self, ahead: i64, what: Option<bool>) -> (u64, Option<String>) {
        let version = self.highest().unwrap_or(100).saturating_add_signed(ahead).max(50);
        // A version that comes again says what it said.
        let known = self.desired.iter().find(|(known, _)| *known == version).map(|(_, what)| *what);
        let what = known.unwrap_or(what);
        if known.is_none() {
            self.desired.push((version, what));
        }
        let text = what.map(|valid| if valid { version.to_string() } else { "warm".into() });
        (version, text)
    }

    pub(super) fn command(&mut self, back: usize, expires: WallTime, valid: bool) -> Command {
        if let Some(known) = back.checked_sub(1).and_then(|back| self.commands.iter().rev().nth(back)) {
            self.again = Some(known.id.clone());
            return known.clone();
        }
        let id = CommandId::new(&self.commands.len().to_string()).unwrap();
        let text = if valid { value(&Request::Command(id.clone())).to_string() } else { "warm".into() };
        let command = Command { id, text, expires };
        self.commands.push(command.clone());
        command
    }

    /// What the driver answers to next.
    pub(super) fn to_answer(&self, late: bool) -> Option<WriteId> {
        if late { self.given.keys().next().copied() } else { self.under_way }
    }

    /// The driver answers, and the device has the value or not.
    pub(super) fn answers(&mut self, write: WriteId, done: bool) {
        if self.under_way != Some(write) {
            return;
        }
        self.under_way = None;
        let (request, _) = &self.given[&write];
        if done {
            self.device = value(request);
            self.done.insert(request.clone());
        }
    }

    /// The driver says nothing more.
    pub(super) fn silence(&mut self) {
        self.under_way = None;
    }

    pub(super) fn time_passed(&mut self, now: Elapsed) {
        let given = self.under_way.and_then(|write| self.given.get(&write));
        if given.is_some_and(|(_, at)| now >= at.plus(WRITE_TIMEOUT)) {
            self.under_way = None;
        }
    }

    pub(super) fn follows(&mut self, effects: &[Effect], now: Now, driver: bool) {
        for effect in effects {
            match effect {
                Effect::Write(write) => self.written(write, now, driver),
                Effect::Outcome { of, outcome } => self.was_told(of, outcome, now),
                Effect::Report(_) => {}
            }
        }
        self.again = None;
    }

    fn written(&mut self, write: &Write, now: Now, driver: bool) {
        let request = whose(&write.value);
        assert!(driver, "nobody takes {write:?}");
        assert_eq!(self.under_way, None, "two writes at once");
        assert!(!self.told.contains_key(&request), "{request:?} has ended and is written");
        assert!(write.start_before > now.elapsed, "{write:?} is late");
        if let Request::Command(id) = &request {
            let before = self.given.values().any(|(given, _)| *given == request);
            assert!(!before, "{request:?} is done twice");
            let command = self.commands.iter().find(|command| command.id == *id).unwrap();
            assert!(command.expires > now.wall, "{command:?} is late");
            let left = command.expires.0 - now.wall.0;
            let given = write.start_before.since(now.elapsed).as_millis();
            assert!(given <= u128::try_from(left).unwrap(), "{command:?} may be late");
        }
        assert!(self.given.keys().all(|given| *given < write.id), "{write:?} is an old number");
        self.given.insert(write.id, (request, now.elapsed));
        self.under_way = Some(write.id);
    }

    fn was_told(&mut self, of: &Request, outcome: &Outcome, now: Now) {
        if let Some(first) = self.told.get(of) {
            let Request::Command(id) = of else { panic!("{of:?} ended {first:?}, and then {outcome:?}") };
            assert_eq!(self.again.as_ref(), Some(id), "{of:?} is told again, unasked");
            let command = self.commands.iter().find(|command| command.id == *id).unwrap();
            let forgotten = *outcome == Outcome::Failed(Failure::Forgotten)
                || (*outcome == Outcome::Expired && command.expires <= now.wall);
            assert!(first == outcome || forgotten, "{of:?} ended {first:?}, and then {outcome:?}");
            return;
        }
        if *outcome == Outcome::Success {
            assert!(self.done.contains(of), "{of:?} was never done");
        }
        if let (Request::Command(_), Outcome::Failed(_) | Outcome::Expired) = (of, outcome) {
            assert!(!self.done.contains(of), "{of:?} was done, and is told as {outcome:?}");
        }
        self.told.insert(of.clone(), outcome.clone());
    }

    /// In the end everything has ended, and the device has what was desired last, unless a command came after that.
    pub(super) fn ended(&self) {
        for command in &self.commands {
            let request = Request::Command(command.id.clone());
            // One that comes again long after may be under way then; all have ended now.
            assert!(self.told.contains_key(&request), "{command:?} never ended");
        }
        for (version, what) in &self.desired {
            assert!(
                what.is_none() || self.told.contains_key(&Request::Desired(*version)),
                "v{version} never ended"
            );
        }
        let last = self.desired.iter().max_by_key(|(version, _)| *version);
        let Some((version, Some(true))) = last else { return };
        let request = Request::Desired(*version);
        match &self.told[&request] {
            Outcome::Success | Outcome::Failed(Failure::Refused(_)) => {}
            Outcome::Failed(Failure::Superseded) => {
                let by = self.told.iter().any(|(other, outcome)| {
                    matches!(other, Request::Command(_))
                        && matches!(outcome, Outcome::Success | Outcome::Timeout)
                });
                assert!(by, "v{version} was overtaken by nothing");
            }
            other @ (Outcome::Failed(_) | Outcome::Timeout | Outcome::Expired) => {
                panic!("v{version} ended {other:?}")
            }
        }
    }
}
