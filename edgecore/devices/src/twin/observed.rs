//! What was read: the last value, how good it is, and whether it is stale.

use kit::{Elapsed, WallTime};

use crate::settings::Settings;
use crate::twin::event::{Now, Sample};
use crate::value::{Value, shortened};

/// How much of a driver's reason is kept, in characters.
pub(super) const REASON: usize = 256;

/// What is to be seen of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The last value that was not bad; none where there never was one.
    pub reading: Option<Reading>,
    /// How good the last sample was.
    pub quality: Quality,
    /// Whether the value is older than it may be.
    pub stale: bool,
}

/// A value and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub value: Value,
    /// When the device had it, as the driver says.
    pub observed_at: WallTime,
    /// When it came here.
    pub received_at: WallTime,
}

/// How good a sample is, in OPC's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quality {
    Good,
    Uncertain(Box<str>),
    Bad(Box<str>),
}

/// The state behind [`Reported`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Observed {
    reported: Option<Reported>,
    stale_at: Option<Elapsed>,
}

impl Observed {
    pub(super) const fn reported(&self) -> Option<&Reported> {
        self.reported.as_ref()
    }

    /// When the value will be stale.
    pub(super) const fn stale_at(&self) -> Option<Elapsed> {
        self.stale_at
    }

    pub(super) fn time_passed(&mut self, now: Elapsed) {
        if self.stale_at.is_some_and(|at| at <= now) {
            self.stale_at = None;
            if let Some(reported) = &mut self.reported {
                reported.stale = true;
            }
        }
    }

    /// Takes a sample; gives its value if that is good.
    pub(super) fn read(
        &mut self,
        settings: &Settings,
        sample: Sample,
        observed_at: WallTime,
        now: Now,
    ) -> Option<&Value> {
        let (text, doubt) = match sample {
            Sample::Good(text) => (text, None),
            Sample::Uncertain(text, doubt) => (text, Some(doubt)),
            Sample::Bad(why) => {
                self.bad(&why);
                return None;
            }
        };
        let value = match settings.definition.parse(&text) {
            Ok(value) => value,
            Err(error) => {
                self.bad(&error.to_string());
                return None;
            }
        };
        let good = doubt.is_none();
        let quality = doubt.map_or(Quality::Good, |doubt| Quality::Uncertain(shortened(&doubt, REASON)));
        self.stale_at = settings.stale_after.map(|life| now.elapsed.plus(life));
        let reading = Reading { value, observed_at, received_at: now.wall };
        let reported = self.reported.insert(Reported { reading: Some(reading), quality, stale: false });
        reported.reading.as_ref().filter(|_| good).map(|reading| &reading.value)
    }

    fn bad(&mut self, why: &str) {
        let quality = Quality::Bad(shortened(why, REASON));
        match &mut self.reported {
            Some(reported) => reported.quality = quality,
            None => self.reported = Some(Reported { reading: None, quality, stale: false }),
        }
    }
}
