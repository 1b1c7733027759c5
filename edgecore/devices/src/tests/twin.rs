//! The rules of twins, one by one.

mod readings;
mod writes;

use crate::settings::Settings;
use crate::tests::kit::{at, settings};
use crate::twin::{
    Answer, Command, CommandId, Effect, Event, Outcome, Report, Request, Sample, Twin, Write, WriteId, step,
};

/// A twin with its effects, driven by hand.
struct Hand {
    twin: Twin,
    millis: u64,
}

impl Hand {
    fn new(settings: Settings) -> Self {
        Self { twin: Twin::new(settings), millis: 0 }
    }

    fn int() -> Self {
        Self::new(settings("INT"))
    }

    fn does(&mut self, event: Event) -> Vec<Effect> {
        let (twin, effects) = step(self.twin.clone(), event, at(self.millis));
        self.twin = twin;
        effects
    }

    /// Time passes, and nothing else happens.
    fn pass(&mut self, millis: u64) -> Vec<Effect> {
        self.millis += millis;
        self.does(Event::Tick)
    }

    fn desire(&mut self, version: u64, text: &str) -> Vec<Effect> {
        self.does(Event::Desired { version, text: Some(text.to_owned()) })
    }

    /// A command that expires after so many milliseconds.
    fn command(&mut self, id: &str, text: &str, ttl: i64) -> Vec<Effect> {
        let expires = at(self.millis).wall.plus_millis(ttl);
        self.does(Event::Command(Command { id: command_id(id), text: text.to_owned(), expires }))
    }

    fn answer(&mut self, write: u64, answer: Answer) -> Vec<Effect> {
        self.does(Event::Answered { write: WriteId(write), answer })
    }

    fn read(&mut self, sample: Sample) -> Vec<Effect> {
        let observed_at = at(self.millis).wall;
        self.does(Event::Read { sample, observed_at })
    }

    fn good(&mut self, text: &str) -> Vec<Effect> {
        self.read(Sample::Good(text.to_owned()))
    }

    fn bad(&mut self, why: &str) -> Vec<Effect> {
        self.read(Sample::Bad(why.to_owned()))
    }
}

fn command_id(id: &str) -> CommandId {
    CommandId::new(id).unwrap()
}

/// The writes among effects.
fn writes<'a>(effects: &'a [Effect]) -> Vec<&'a Write> {
    let write = |effect: &'a Effect| match effect {
        Effect::Write(write) => Some(write),
        Effect::Outcome { .. } | Effect::Report(_) => None,
    };
    effects.iter().filter_map(write).collect()
}

/// Which numbers were given which values.
fn written(effects: &[Effect]) -> Vec<(u64, String)> {
    writes(effects).iter().map(|write| (write.id.0, write.value.to_string())).collect()
}

/// The outcomes among effects, by command or version.
fn outcomes(effects: &[Effect]) -> Vec<(String, Outcome)> {
    let outcome = |effect: &Effect| match effect {
        Effect::Outcome { of: Request::Desired(version), outcome } => {
            Some((format!("v{version}"), outcome.clone()))
        }
        Effect::Outcome { of: Request::Command(id), outcome } => {
            Some((id.as_str().to_owned(), outcome.clone()))
        }
        Effect::Write(_) | Effect::Report(_) => None,
    };
    effects.iter().filter_map(outcome).collect()
}

/// The report among effects.
fn report(effects: &[Effect]) -> Option<&Report> {
    effects.iter().find_map(|effect| match effect {
        Effect::Report(report) => Some(&**report),
        Effect::Write(_) | Effect::Outcome { .. } => None,
    })
}
