//! What was read, and what must have been reported of it.

use kit::Elapsed;

use crate::settings::{Deadband, Settings};
use crate::tests::model::happens::How;
use crate::twin::{Desired, Effect, Quality, Report, Reported, Twin};
use crate::value::Value;

/// What is seen of a property, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    value: Option<i64>,
    quality: &'static str,
    stale: bool,
}

#[derive(Debug)]
pub(super) struct Reports {
    settings: Settings,
    /// All samples, in their order.
    samples: Vec<(i64, How, u64)>,
    /// All reports, in their order.
    made: Vec<(Option<Desired>, Option<View>, Elapsed)>,
    now: Elapsed,
}

impl Reports {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, samples: Vec::new(), made: Vec::new(), now: Elapsed::default() }
    }

    pub(super) fn sampled(&mut self, value: i64, how: How, millis: u64) {
        self.samples.push((value, how, millis));
    }

    pub(super) fn wants(&mut self, now: Elapsed) {
        self.now = now;
    }

    /// What is to be seen now, from all samples.
    fn view(&self) -> Option<View> {
        let (_, how, _) = self.samples.last()?;
        let quality = match how {
            How::Good => "good",
            How::Uncertain => "uncertain",
            How::Bad => "bad",
            How::NotANumber => "no number",
            How::TooHigh => "high",
        };
        let value = self.samples.iter().rev().find(|(_, how, _)| matches!(how, How::Good | How::Uncertain));
        let stale = value.is_some_and(|(_, _, millis)| {
            let since = self.now.since(Elapsed::from_millis(*millis));
            self.settings.stale_after.is_some_and(|life| since >= life)
        });
        Some(View { value: value.map(|(value, _, _)| *value), quality, stale })
    }

    fn moved(&self, old: Option<i64>, new: Option<i64>) -> bool {
        let (Some(old), Some(new)) = (old, new) else { return old != new };
        let moved = (new - old).abs();
        let whole = |exact: crate::decimal::exact::Exact| i64::try_from(exact.integer().unwrap()).unwrap();
        match self.settings.deadband {
            Deadband::Absolute(band) => moved > whole(band),
            Deadband::Percent(band) => moved * 100 > old.abs() * whole(band),
        }
    }

    /// Whether what is seen now differs from what was reported last.
    fn differs(&self, last: &View, now: &View) -> bool {
        self.moved(last.value, now.value) || last.quality != now.quality || last.stale != now.stale
    }

    fn due(&self, desired: Option<&Desired>, now: Option<&View>) -> bool {
        let Some((last_desired, last, at)) = self.made.last() else {
            return desired.is_some() || now.is_some();
        };
        if last_desired.as_ref() != desired {
            return true;
        }
        match (last, now) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(last), Some(now)) if last.value.is_none() && now.value.is_some() => true,
            (Some(last), Some(now)) => {
                self.differs(last, now) && self.now.since(*at) >= self.settings.min_interval
            }
        }
    }

    pub(super) fn follows(&mut self, effects: &[Effect], twin: &Twin, now: Elapsed) {
        assert_eq!(now, self.now);
        let reports: Vec<&Report> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Report(report) => Some(&**report),
                Effect::Write(_) | Effect::Outcome { .. } => None,
            })
            .collect();
        let desired = twin.report().desired;
        let view = self.view();
        let due = self.due(desired.as_ref(), view.as_ref());
        assert_eq!(reports.len(), usize::from(due), "{view:?} after {:?}", self.made.last());
        if let Some(report) = reports.first() {
            assert_eq!((&report.desired, &report.reported.as_ref().map(seen)), (&desired, &view));
            self.made.push((desired, view, now));
        }
    }

    /// In the end the cluster has seen the last of everything.
    pub(super) fn ended(&self, twin: &Twin) {
        assert_eq!(twin.report().reported.as_ref().map(seen), self.view());
        let Some(now) = self.view() else { return };
        let (desired, last, _) = self.made.last().unwrap();
        assert_eq!(*desired, twin.report().desired);
        assert!(!self.differs(last.as_ref().unwrap(), &now), "{now:?} after {last:?}");
        let values = self.made.iter().find_map(|(_, view, _)| view.as_ref()?.value);
        let read = self.samples.iter().find(|(_, how, _)| matches!(how, How::Good | How::Uncertain));
        assert_eq!(values, read.map(|(value, _, _)| *value), "the first value");
        for pair in self.made.windows(2) {
            let [(desired, _, then), (later, _, at)] = pair else { panic!("windows of two") };
            let news = desired != later || first_of(pair);
            assert!(news || at.since(*then) >= self.settings.min_interval, "too soon");
        }
    }
}

/// Whether the second of two reports is the first with a reading, or with a value.
fn first_of(pair: &[(Option<Desired>, Option<View>, Elapsed)]) -> bool {
    let value = |at: usize| pair[at].1.as_ref().and_then(|view| view.value);
    pair[0].1.is_none() || (value(0).is_none() && value(1).is_some())
}

fn seen(reported: &Reported) -> View {
    let value = reported.reading.as_ref().map(|reading| match &reading.value {
        Value::Integer(value) => i64::try_from(*value).unwrap(),
        other @ (Value::Decimal(_) | Value::Boolean(_) | Value::Text(_)) => panic!("{other:?}"),
    });
    let quality = match &reported.quality {
        Quality::Good => "good",
        Quality::Uncertain(_) => "uncertain",
        Quality::Bad(why) if &**why == "no answer" => "bad",
        Quality::Bad(why) if why.contains("at most") => "high",
        Quality::Bad(_) => "no number",
    };
    View { value, quality, stale: reported.stale }
}
