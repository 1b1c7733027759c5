//! The twin of a property: what is desired, what was reported, and what follows from the two.
//!
//! [`step`] takes a twin, an event and the time, and gives the twin that follows and what is to be done. There is one twin
//! per property of a Device, by the Device's UID: versions of a Device that was deleted and made again start anew. The
//! link to the cloud is no event here: reports wait in the store until somebody takes them, and what was desired
//! meanwhile comes when it comes.
//!
//! # Writes
//!
//! - Two kinds of writes reach a device. The *desired* value is a state: the one of the highest version counts, and it
//!   is tried until the device has it or refuses it. A *command* is a deed: it is tried at most once, and only before it
//!   expires.
//! - Versions of the desired value are monotonic. One that was seen before changes nothing, so what is delivered twice is
//!   written once. One that is older than the one known lost, and is told so.
//! - A command is known by its id. The same id again is not done again; who asks is told how it ended. One that was
//!   refused outright (no value, read-only, expired, expiring too late) is judged again.
//! - At most one write is under way per property, and at most one desired value and one command wait for it. Later
//!   writes overtake what waits, and the loser is told `Failed(Superseded)`:
//!   a desired value overtakes an older one, and a waiting command; a command overtakes a waiting command. An older
//!   desired value gives way to a command only where that may have reached the device: after `Failed` or `Expired` it
//!   is still what is wanted.
//! - Every command and every desired value ends in exactly one [`Outcome`], told as [`Effect::Outcome`]. *Success* and
//!   *failed* are what driver or device answered, or what could be told without asking them. *Timeout* is that nobody
//!   answered: it may have been done. *Expired* is that it was not handed over in time, and never will be.
//! - What is handed to a driver ([`Effect::Write`]) has a number of its own that is never used again, and a time after
//!   which the driver must not begin. An answer to what is not under way any more is ignored.
//! - A desired value that did not arrive is tried again: at once when the driver comes (back), else after 1 s, doubling to
//!   60 s. Where the failed try may have been done after all, a good reading of the desired value settles it.
//! - A driver that goes away answers nothing more: what was under way is *timeout* at once. A process that was started
//!   anew does the same with the twin that it finds.
//!
//! # Readings
//!
//! - A reading has a value, when it was observed at the device (`observedAt`), when it was received here (`receivedAt`),
//!   and a quality: good, uncertain, or bad with the reason. NaN, a value of the wrong type or outside the model's bounds
//!   is bad; the last value that was not bad stays.
//! - A value becomes stale by itself when no new one came for three collect cycles, or for 5 s if that is longer.
//! - What was heard first of a property is reported at once. After that a report is worth making where the value left
//!   the deadband around the one last reported, or where quality or staleness changed. Within `min_interval` of the last
//!   report it is held back; at the end of the interval what then is true is reported, if it still differs.
//! - Changes of what is desired, and of what became of it, are not held back.
//! - What did not change has no effects, and [`Twin::wake_at`] says until when nothing will.
//!
//! # Bounds
//!
//! A twin holds two values (the last read and the last reported), the desired one, the waiting command, and the
//! [`history::MOST`] last commands. A command that is forgotten before it expires raises a bar: what expires no later is
//! refused rather than perhaps done twice.

mod delivery;
mod event;
pub mod history;
mod observed;
mod writes;

pub use delivery::Report;
pub use event::{
    Answer, Command, CommandId, Effect, Event, Failure, Now, Outcome, Request, Sample, Write, WriteId,
};
pub use observed::{Quality, Reading, Reported};
pub use writes::{Desired, MOST_TTL, Progress, WRITE_TIMEOUT};

use kit::Elapsed;

use crate::settings::Settings;
use crate::twin::delivery::Delivery;
use crate::twin::observed::Observed;
use crate::twin::writes::Writes;

/// Everything that is known of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    settings: Settings,
    writes: Writes,
    observed: Observed,
    delivery: Delivery,
}

impl Twin {
    /// Of a property of which nothing is known yet, with no driver there.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            writes: Writes::default(),
            observed: Observed::default(),
            delivery: Delivery::default(),
        }
    }

    /// What is desired and what was reported, as it is now.
    pub fn report(&self) -> Report {
        Report { desired: self.writes.desired().cloned(), reported: self.observed.reported().cloned() }
    }

    /// When [`step`] has something to do next with [`Event::Tick`]; before that and without another event it has not.
    pub fn wake_at(&self) -> Option<Elapsed> {
        let held = self.delivery.held_until(&self.settings, self.writes.desired(), self.observed.reported());
        [self.writes.wake_at(), self.observed.stale_at(), held].into_iter().flatten().min()
    }
}

/// What follows from an event. Effects are to be done in their order, after the twin that comes with them was kept.
pub fn step(mut twin: Twin, event: Event, now: Now) -> (Twin, Vec<Effect>) {
    let mut effects = Vec::new();
    let Twin { settings, writes, observed, delivery } = &mut twin;
    writes.time_passed(now.elapsed, &mut effects);
    observed.time_passed(now.elapsed);
    match event {
        Event::Desired { version, text } => writes.desire(settings, version, text.as_deref(), &mut effects),
        Event::Command(command) => writes.command(settings, command, now, &mut effects),
        Event::Read { sample, observed_at } => {
            if let Some(value) = observed.read(settings, sample, observed_at, now) {
                writes.has_been_read(value, &mut effects);
            }
        }
        Event::Answered { write, answer } => writes.answered(write, answer, now.elapsed, &mut effects),
        Event::DriverUp => writes.driver_up(now.elapsed),
        Event::DriverDown => writes.driver_down(now.elapsed, &mut effects),
        Event::Tick => {}
    }
    writes.hand_over(now.elapsed, &mut effects);
    effects.extend(
        delivery
            .report(settings, writes.desired(), observed.reported(), now.elapsed)
            .map(Box::new)
            .map(Effect::Report),
    );
    (twin, effects)
}
