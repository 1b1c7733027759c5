//! How the last commands of a property ended, so that none is done twice.

use kit::WallTime;

use crate::twin::event::{Command, CommandId, Outcome};

/// How many are kept.
pub const MOST: usize = 32;

/// The last commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct History {
    ended: Vec<Ended>,
    /// A command that expires no later may be one that ended and was forgotten.
    bar: Option<WallTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    id: CommandId,
    expires: WallTime,
    outcome: Outcome,
}

impl History {
    /// How a command ended.
    pub(super) fn outcome(&self, id: &CommandId) -> Option<&Outcome> {
        self.ended.iter().find(|ended| ended.id == *id).map(|ended| &ended.outcome)
    }

    /// Whether it cannot be told any more if this command, whose outcome is not known, came before.
    pub(super) fn forgot(&self, command: &Command) -> bool {
        self.bar.is_some_and(|bar| command.expires <= bar)
    }

    /// Keeps how a command ended. Forgotten is what expires first: it is soonest harmless.
    pub(super) fn keep(&mut self, id: CommandId, expires: WallTime, outcome: Outcome) {
        if self.ended.len() >= MOST {
            let least = self.ended.iter().enumerate().min_by_key(|(_, ended)| ended.expires);
            if let Some(at) = least.map(|(at, _)| at) {
                self.bar = self.bar.max(Some(self.ended.remove(at).expires));
            }
        }
        self.ended.push(Ended { id, expires, outcome });
    }
}
