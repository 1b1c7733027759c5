//! The naive account: what happened, in plain lists, and what must follow from it.

mod reports;
mod writes;

use crate::settings::Settings;
use crate::tests::kit::at;
use crate::tests::model::account::reports::Reports;
use crate::tests::model::account::writes::Writes;
use crate::tests::model::happens::{Happens, How, MOST, Says, Wish};
use crate::twin::{Answer, Effect, Event, Now, Sample, Twin, step};

pub(super) struct Account {
    twin: Twin,
    millis: u64,
    writes: Writes,
    reports: Reports,
    driver: bool,
}

impl Account {
    pub(super) fn new(settings: Settings) -> Self {
        let reports = Reports::new(settings.clone());
        Self { twin: Twin::new(settings), millis: 0, writes: Writes::default(), reports, driver: false }
    }

    fn now(&self) -> Now {
        at(self.millis)
    }

    pub(super) fn take(&mut self, happens: &Happens) {
        match *happens {
            Happens::Oversleep { ms } => {
                self.millis += ms;
                self.step(Event::Tick);
            }
            Happens::Pass { ms } => self.pass(ms),
            Happens::Desire { ahead, what } => {
                let (version, text) = self.writes.desire(
                    ahead,
                    match what {
                        Wish::Value => Some(true),
                        Wish::Invalid => Some(false),
                        Wish::Nothing => None,
                    },
                );
                self.step(Event::Desired { version, text });
            }
            Happens::Command { back, ttl, valid } => {
                let command = self.writes.command(back, self.now().wall.plus_millis(ttl), valid);
                self.step(Event::Command(command));
            }
            Happens::Read { value, how } => self.read(value, how),
            Happens::ReadDevice => self.read(self.writes.device, How::Good),
            Happens::Answer { late, answer } => self.answer(late, answer),
            Happens::DriverUp => {
                self.driver = true;
                self.step(Event::DriverUp);
            }
            Happens::DriverDown => {
                self.driver = false;
                self.writes.silence();
                self.step(Event::DriverDown);
            }
        }
    }

    /// Time passes, and the twin is woken whenever it asked for that.
    fn pass(&mut self, ms: u64) {
        let end = self.millis + ms;
        let wakes = |twin: &Twin| twin.wake_at().map(|at| u64::try_from(at.0.as_millis()).unwrap());
        while let Some(next) = wakes(&self.twin).filter(|next| *next <= end) {
            self.millis = next;
            self.step(Event::Tick);
        }
        self.millis = end;
        self.step(Event::Tick);
    }

    fn read(&mut self, value: i64, how: How) {
        let sample = match how {
            How::Good | How::TooHigh => Sample::Good(value.to_string()),
            How::Uncertain => Sample::Uncertain(value.to_string(), "doubt".into()),
            How::Bad => Sample::Bad("no answer".into()),
            How::NotANumber => Sample::Good("NaN".into()),
        };
        let high = value > MOST && matches!(how, How::Good | How::Uncertain);
        let how = if high { How::TooHigh } else { how };
        self.reports.sampled(value, how, self.millis);
        let event = Event::Read { sample, observed_at: self.now().wall };
        self.step(event.clone());
        let (_, again) = step(self.twin.clone(), event, self.now());
        assert_eq!(again, [], "what did not change costs nothing");
    }

    fn answer(&mut self, late: bool, says: Says) {
        let Some(write) = self.writes.to_answer(late) else { return };
        let (answer, done) = match says {
            Says::Done => (Answer::Done, true),
            Says::Refused => (Answer::Refused("no".into()), false),
            Says::Unreachable => (Answer::Unreachable("no way".into()), false),
            Says::Unanswered { done } => (Answer::Unanswered("hangs".into()), done),
        };
        self.writes.answers(write, done);
        self.step(Event::Answered { write, answer });
    }

    fn step(&mut self, event: Event) {
        let now = self.now();
        self.reports.wants(now.elapsed);
        self.writes.time_passed(now.elapsed);
        let before = self.twin.clone();
        let woken = self.twin.wake_at().is_some_and(|at| at <= now.elapsed);
        let tick = event == Event::Tick;
        let (twin, effects) = step(before.clone(), event, now);
        self.twin = twin;
        if tick && !woken {
            assert_eq!(effects, [], "nothing was to be done before {:?}", before.wake_at());
        }
        self.writes.follows(&effects, now, self.driver);
        self.reports.follows(&effects, &self.twin, now.elapsed);
        assert!(self.twin.wake_at().is_none_or(|at| at > now.elapsed), "to be woken in the past");
        let (same, nothing) = step(self.twin.clone(), Event::Tick, now);
        assert_eq!((&same, nothing), (&self.twin, Vec::<Effect>::new()), "the same moment again");
    }

    /// The driver comes, answers everything, and time passes until nothing is left to do.
    pub(super) fn settle(&mut self) {
        self.take(&Happens::DriverUp);
        for _ in 0..1000 {
            self.take(&Happens::Answer { late: false, answer: Says::Done });
            let Some(next) = self.twin.wake_at() else {
                self.writes.ended();
                return self.reports.ended(&self.twin);
            };
            self.millis = u64::try_from(next.0.as_millis()).unwrap();
            self.step(Event::Tick);
        }
        panic!("never at rest: {:?}", self.twin);
    }
}
