//! What the engine knows of a pod only as long as the process lives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kit::Elapsed;

use crate::action::{Action, Outcome};
use crate::runtime::SandboxId;

/// First and longest wait after a failed pull, as upstream's.
const PULL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));
/// First and longest wait after any other failed start.
const START: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// First and longest wait before steps that changed nothing are taken again.
const REPEAT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// From here on a failed pull is a back-off: for so long people see what went wrong.
pub const PULL_ERROR_SHOWN: Duration = Duration::from_secs(5);

/// Why a container does not start, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Upstream's reason.
    pub reason: String,
    /// Message.
    pub message: String,
    /// The image is what is missing.
    pub image: bool,
    /// When it failed.
    pub since: Elapsed,
    /// When it is tried again.
    pub until: Elapsed,
    /// The whole wait.
    pub wait: Duration,
}

/// A container that must be restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doom {
    /// For the event.
    pub message: String,
    /// Grace of its own.
    pub grace: Option<Duration>,
}

/// What is known of one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that is independent of the others")]
pub struct Memory {
    /// Its files are in place.
    pub prepared: bool,
    /// Since when they are missing, where they were looked for.
    pub unprepared: Option<Elapsed>,
    /// Everything of it is gone.
    pub cleared: bool,
    /// It may not start yet: something of another pod is in its way.
    pub blocked: bool,
    /// Failed starts by container name.
    pub starts: BTreeMap<String, Retry>,
    /// Containers (by id) whose probe wants them restarted.
    pub doomed: BTreeMap<String, Doom>,
    /// Sandboxes known to be stopped.
    pub stopped: BTreeSet<SandboxId>,
    /// The steps taken last, how often in a row, and when they ended.
    last: Option<(Vec<Action>, u32, Elapsed)>,
    /// What steps wait for came, perhaps while they were being taken.
    hurried: bool,
}

impl Memory {
    /// Takes in what came of a step.
    pub fn note(&mut self, outcome: &Outcome, now: Elapsed) {
        match outcome {
            Outcome::Prepared => {
                self.prepared = true;
                self.unprepared = None;
            }
            Outcome::Stopped(id) => {
                self.stopped.insert(id.clone());
            }
            Outcome::Started(name) => {
                self.starts.remove(name);
            }
            Outcome::NotStarted { name, reason, message, image } => {
                let (first, most) = if *image { PULL } else { START };
                let before = self.starts.get(name).filter(|retry| retry.image == *image);
                let wait = before.map_or(first, |retry| retry.wait.saturating_mul(2).min(most));
                let retry = Retry {
                    reason: reason.clone(),
                    message: message.clone(),
                    image: *image,
                    since: now,
                    until: now.plus(wait),
                    wait,
                };
                self.starts.insert(name.clone(), retry);
            }
            Outcome::Cleared => self.cleared = true,
            Outcome::Failed(_) => {}
        }
    }

    /// What these steps were waiting for may have come: everything but pulls is tried at once.
    pub fn hurry(&mut self, now: Elapsed) {
        for retry in self.starts.values_mut().filter(|retry| !retry.image) {
            retry.until = retry.until.min(now);
        }
        self.last = None;
        self.hurried = true;
    }

    /// The runtime is back: whatever failed may have failed because of that.
    pub fn recovered(&mut self, now: Elapsed) {
        self.starts.values_mut().for_each(|retry| retry.until = retry.until.min(now));
        self.last = None;
    }

    /// Remembers that these steps were taken to their end, whatever it was.
    pub fn done(&mut self, actions: Vec<Action>, now: Elapsed) {
        if actions.contains(&Action::Prepare) && !self.prepared {
            self.unprepared.get_or_insert(now);
        }
        let hurried = std::mem::take(&mut self.hurried);
        let times = match &self.last {
            Some((before, times, _)) if !hurried && *before == actions => times.saturating_add(1),
            _ => 1,
        };
        self.last = Some((actions, times, now));
    }

    /// When the last steps ended.
    pub fn rested_since(&self) -> Option<Elapsed> {
        self.last.as_ref().map(|(.., ended)| *ended)
    }

    /// How often in a row these very steps were taken before.
    pub fn tries(&self, actions: &[Action]) -> u32 {
        self.last.as_ref().filter(|(before, ..)| before == actions).map_or(0, |(_, times, _)| *times)
    }

    /// When these steps may be taken: at once, unless they were just taken and changed nothing.
    pub fn not_before(&self, actions: &[Action]) -> Option<Elapsed> {
        let (before, times, ended) = self.last.as_ref()?;
        let doubled = REPEAT.0.saturating_mul(1 << times.saturating_sub(1).min(10));
        (before == actions).then(|| ended.plus(doubled.min(REPEAT.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Elapsed {
        Elapsed::from_millis(ms)
    }

    #[test]
    fn files_are_missing_from_the_first_try_on() {
        let mut memory = Memory::default();
        memory.done(vec![Action::Prepare], at(10));
        memory.hurry(at(20));
        memory.done(vec![Action::Prepare], at(30));
        assert_eq!(memory.unprepared, Some(at(10)));
        memory.note(&Outcome::Prepared, at(40));
        memory.done(vec![Action::Prepare], at(40));
        assert_eq!(memory.unprepared, None);
    }

    #[test]
    fn what_comes_while_its_steps_are_taken_is_not_waited_for() {
        let mut memory = Memory::default();
        for _ in 0..8 {
            memory.done(vec![Action::Prepare], at(0));
        }
        assert_eq!(memory.not_before(&[Action::Prepare]), Some(at(10_000)));
        memory.hurry(at(1));
        memory.done(vec![Action::Prepare], at(2));
        assert_eq!(memory.not_before(&[Action::Prepare]), Some(at(102)));
    }
}
