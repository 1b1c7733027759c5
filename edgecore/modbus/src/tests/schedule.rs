//! One line: whose turn it is, and what becomes of units that do not answer.

mod rules;
mod simulated;

use std::time::Duration;

use crate::answer::Answer;
use crate::request::Request;
use crate::schedule::{Change, Failure, Finished, Job, Line, LineConfig, Next, ReadId, WriteId};
use crate::tests::{holding, unit};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const TIMEOUT: Duration = ms(500);
const PAUSE: Duration = ms(4);

fn line() -> Line {
    Line::new(LineConfig { timeout: TIMEOUT, per_byte: ms(0), pause: PAUSE, most_writes: 64 })
}

fn write(value: u16) -> Change {
    Change::Request(Request::write_register(1, value))
}

/// A line and its time.
struct Bench {
    line: Line,
    now: Duration,
}

impl Bench {
    /// With units that each have one read a second, number and address their own, from the beginning.
    fn polling(units: &[i64]) -> Self {
        let mut line = line();
        for number in units {
            let address = u16::try_from(*number).unwrap();
            line.poll(unit(*number), ReadId(u64::from(address)), holding(address, 1), ms(1000), ms(0));
        }
        Self { line, now: ms(0) }
    }

    fn write(&mut self, number: i64, id: u64) {
        self.line.write(unit(number), WriteId(id), write(7), None).unwrap();
    }

    /// Waits for the next request.
    fn sends(&mut self) -> Job {
        loop {
            match self.line.next(self.now) {
                Next::Send { job, until, .. } => {
                    assert_eq!(until, self.now + TIMEOUT);
                    return job;
                }
                Next::WaitUntil(at) => {
                    assert!(at > self.now, "{at:?} at {:?}", self.now);
                    self.now = at;
                }
                other @ (Next::Expired { .. } | Next::Idle) => panic!("{other:?}"),
            }
        }
    }

    /// The answer comes 20 ms later.
    fn answered(&mut self, answer: Answer) -> Option<Finished> {
        self.now += ms(20);
        self.line.answered(answer, self.now, 1.0)
    }

    fn read_answered(&mut self) {
        self.answered(Answer::Registers(vec![1])).unwrap();
    }

    fn unanswered(&mut self) -> Option<Finished> {
        self.now += TIMEOUT;
        self.line.failed(Failure::NoAnswer, self.now, 1.0)
    }

    /// Takes part until the units have all answered once.
    fn all_answer(&mut self, units: usize) {
        for _ in 0..units {
            self.sends();
            self.read_answered();
        }
    }
}

fn read(id: u64) -> Job {
    Job::Read(ReadId(id))
}

fn written(id: u64) -> Job {
    Job::Write(WriteId(id))
}
