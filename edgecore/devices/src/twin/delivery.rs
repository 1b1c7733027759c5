//! When what is known is worth a report.

use kit::Elapsed;

use crate::settings::Settings;
use crate::twin::observed::Reported;
use crate::twin::writes::Desired;

/// What the cluster shall see of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is desired, and what became of it; none where nothing is.
    pub desired: Option<Desired>,
    /// What was read; none where nothing was yet.
    pub reported: Option<Reported>,
}

/// What was reported last, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Delivery {
    last: Option<(Report, Elapsed)>,
}

/// How a report that is worth making goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    AtOnce,
    AfterInterval,
}

impl Delivery {
    /// The report that is to be made now, if one is; it counts as made.
    pub(super) fn report(
        &mut self,
        settings: &Settings,
        desired: Option<&Desired>,
        reported: Option<&Reported>,
        now: Elapsed,
    ) -> Option<Report> {
        let held = |until: Elapsed| until > now;
        if self.urgency(settings, desired, reported)? == Urgency::AfterInterval
            && self.interval_ends(settings).is_some_and(held)
        {
            return None;
        }
        let report = Report { desired: desired.cloned(), reported: reported.cloned() };
        self.last = Some((report.clone(), now));
        Some(report)
    }

    /// Until when a report is held back, if one is.
    pub(super) fn held_until(
        &self,
        settings: &Settings,
        desired: Option<&Desired>,
        reported: Option<&Reported>,
    ) -> Option<Elapsed> {
        self.urgency(settings, desired, reported)?;
        self.interval_ends(settings)
    }

    fn interval_ends(&self, settings: &Settings) -> Option<Elapsed> {
        self.last.as_ref().map(|(_, at)| at.plus(settings.min_interval))
    }

    fn urgency(
        &self,
        settings: &Settings,
        desired: Option<&Desired>,
        reported: Option<&Reported>,
    ) -> Option<Urgency> {
        let (last_desired, last_reported) = match &self.last {
            Some((last, _)) => (last.desired.as_ref(), last.reported.as_ref()),
            None => (None, None),
        };
        let first = match (last_reported, reported) {
            (None, Some(_)) => true,
            (Some(last), Some(now)) => last.reading.is_none() && now.reading.is_some(),
            (_, None) => false,
        };
        if first || last_desired != desired {
            return Some(Urgency::AtOnce);
        }
        let differs = differs(settings, last_reported?, reported?);
        differs.then_some(Urgency::AfterInterval)
    }
}

/// Whether what was read is worth another report.
fn differs(settings: &Settings, last: &Reported, now: &Reported) -> bool {
    let moved = match (&last.reading, &now.reading) {
        (Some(last), Some(now)) => settings.deadband.passed(&last.value, &now.value),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    };
    moved || last.quality != now.quality || last.stale != now.stale
}
