//! One unit on a line: what is to be done with it, and whether it answers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::schedule::rest::rest;
use crate::schedule::{Change, Job, REPEATS, ReadId, WriteId};
use crate::span::Span;

/// What shorter periods are taken for.
const SHORTEST: Duration = Duration::from_millis(1);

/// One unit on a line.
#[derive(Debug, Default)]
pub(super) struct Station {
    commands: VecDeque<Command>,
    polls: BTreeMap<ReadId, Poll>,
    /// Whether it ever answered.
    proven: bool,
    /// Requests in a row that it did not answer.
    failures: u32,
    /// Until when it is left alone.
    resting: Duration,
}

/// A write that waits.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) id: WriteId,
    pub(super) change: Change,
    pub(super) expires: Option<Duration>,
    /// Its place among all writes on the line.
    pub(super) arrived: u64,
}

/// A read that comes again.
#[derive(Debug)]
struct Poll {
    span: Span,
    every: Duration,
    due: Duration,
    /// Answers in a row that it did not get.
    failures: u32,
    /// Answers in a row that came damaged.
    damaged: u32,
}

impl Poll {
    /// The next time of its rhythm that is later than `now`.
    fn go_on(&mut self, now: Duration) {
        let late = now.saturating_sub(self.due).as_nanos() / self.every.as_nanos().max(1) + 1;
        let steps = u32::try_from(late).unwrap_or(u32::MAX);
        let next = self.due.saturating_add(self.every.saturating_mul(steps));
        self.due = if next > now { next } else { now.saturating_add(self.every) };
        self.failures = 0;
        self.damaged = 0;
    }
}

impl Station {
    pub(super) fn poll(&mut self, read: ReadId, span: Span, every: Duration, first: Duration) {
        let every = every.max(SHORTEST);
        self.polls.insert(read, Poll { span, every, due: first, failures: 0, damaged: 0 });
    }

    pub(super) fn poll_now(&mut self, read: ReadId, now: Duration) {
        if let Some(poll) = self.polls.get_mut(&read) {
            poll.due = poll.due.min(now);
        }
    }

    pub(super) fn stop(&mut self, read: ReadId) {
        self.polls.remove(&read);
    }

    pub(super) fn command(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    pub(super) fn waiting(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn take(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    pub(super) fn into_writes(self) -> Vec<WriteId> {
        self.commands.into_iter().map(|command| command.id).collect()
    }

    /// Whether it answered the last time.
    pub(super) const fn healthy(&self) -> bool {
        self.proven && self.failures == 0
    }

    /// Since when it may be asked again.
    pub(super) const fn rested(&self) -> Duration {
        self.resting
    }

    /// The place of its first write, where it may have that at `now`.
    pub(super) fn write(&self, now: Duration) -> Option<u64> {
        self.commands.front().filter(|_| now >= self.resting).map(|command| command.arrived)
    }

    /// The read that has been due longest, where it may have that at `now`.
    pub(super) fn read(&self, now: Duration) -> Option<(Duration, ReadId, Span)> {
        let due = self.polls.iter().map(|(id, poll)| (poll.due, *id, poll.span)).min()?;
        (now >= due.0.max(self.resting)).then_some(due)
    }

    /// When there is something to do.
    pub(super) fn ready_at(&self) -> Option<Duration> {
        let write = self.commands.front().map(|_| Duration::ZERO);
        let read = self.polls.values().map(|poll| poll.due).min();
        write.into_iter().chain(read).min().map(|at| at.max(self.resting))
    }

    /// When the first of its writes expires.
    pub(super) fn expires_at(&self) -> Option<Duration> {
        self.commands.iter().filter_map(|command| command.expires).min()
    }

    /// Takes out a write that has waited too long.
    pub(super) fn expired(&mut self, now: Duration) -> Option<WriteId> {
        let over = |command: &Command| command.expires.is_some_and(|at| at <= now);
        let at = self.commands.iter().position(over)?;
        self.commands.remove(at).map(|command| command.id)
    }

    /// It answered. Reads that failed along with it are due by now: none of them rests longer than the unit did.
    pub(super) fn answered(&mut self, job: Job, now: Duration) {
        self.proven = true;
        self.failures = 0;
        self.resting = Duration::ZERO;
        if let Some(poll) = self.polled(job) {
            poll.go_on(now);
        }
    }

    /// It did not answer: it rests, and a read rests by itself as well, so that one that a unit never answers does not
    /// keep it from the others.
    pub(super) fn no_answer(&mut self, job: Job, now: Duration, random: f64) {
        self.failures = self.failures.saturating_add(1);
        self.resting = now.saturating_add(rest(self.failures, random));
        if let Some(poll) = self.polled(job) {
            poll.failures = poll.failures.saturating_add(1);
            poll.damaged = 0;
            poll.due = now.saturating_add(rest(poll.failures, random));
        }
    }

    /// It answered something that nobody understood: it is there. A read is repeated, and then left until its next time.
    pub(super) fn damaged(&mut self, job: Job, now: Duration) {
        self.proven = true;
        self.failures = 0;
        self.resting = Duration::ZERO;
        if let Some(poll) = self.polled(job) {
            poll.damaged += 1;
            if poll.damaged > REPEATS {
                poll.go_on(now);
            }
        }
    }

    fn polled(&mut self, job: Job) -> Option<&mut Poll> {
        match job {
            Job::Read(read) => self.polls.get_mut(&read),
            Job::Write(_) => None,
        }
    }
}
