//! How a property is read, written and reported: what its Device and DeviceModel say together.
//!
//! KubeEdge has words for cycles only. Ours stand beside a driver's own in `visitors.configData`, which may be any
//! object: `deadband` here, `transform` in [`crate::transform`].

use std::time::Duration;

use crds::devices::device_model::AccessMode;
use crds::devices::{FreeForm, VisitorConfig, device, device_model};
use serde_json::Value as Json;

use crate::decimal::Decimal;
use crate::decimal::exact::Exact;
use crate::value::{self, Definition, Value};

/// After how many collect cycles without a value the last one is stale.
const STALE_CYCLES: u32 = 3;
/// How long a value lives at least, whatever its cycle: one retry of a driver must not make it stale.
const LEAST_LIFE: Duration = Duration::from_secs(5);

/// What holds for a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub definition: Definition,
    /// Whether it can be written.
    pub writable: bool,
    /// Which changes are worth a report.
    pub deadband: Deadband,
    /// The least time between two reports of values: the Device's `reportCycle`. Zero holds nothing back.
    pub min_interval: Duration,
    /// How long after it was received a value is stale; never, where nobody knows how often it should come.
    pub stale_after: Option<Duration>,
}

/// How far a number must move from the one last delivered to be worth a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadband {
    /// By more than this; 0 for any change.
    Absolute(Exact),
    /// By more than this share of the number last delivered, in percent.
    Percent(Exact),
}

/// Settings that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Definition(#[from] value::Error),
    /// Not `0.5`, `"0.5"` or `"2%"`, or negative.
    #[error("property {property}: deadband {value} is neither a number from 0 nor a percentage")]
    Deadband { property: Box<str>, value: Box<str> },
    /// Milliseconds below 0.
    #[error("property {property}: {cycle} is {millis}, which is negative")]
    Cycle { property: Box<str>, cycle: &'static str, millis: i64 },
    /// A word of a later version.
    #[error("property {property}: access mode {word} is not known")]
    Access { property: Box<str>, word: Box<str> },
}

impl Settings {
    /// What the Device's property and its model's say. `usual_cycle` is how often the driver collects where the Device
    /// leaves that to it (one second for KubeEdge's mappers; `None` for drivers that are told of changes).
    ///
    /// # Errors
    ///
    /// What cannot be meant, by the property's name.
    pub fn of(
        device: &device::Property,
        model: &device_model::Property,
        usual_cycle: Option<Duration>,
    ) -> Result<Self, Error> {
        let writable = match &model.access_mode {
            // KubeEdge's mappers write whatever is not said to be read-only.
            Some(AccessMode::ReadWrite) | None => true,
            Some(AccessMode::ReadOnly) => false,
            Some(AccessMode::Other(word)) => {
                return Err(Error::Access {
                    property: model.name.as_str().into(),
                    word: word.as_str().into(),
                });
            }
        };
        let collect = cycle(&model.name, "collectCycle", device.collect_cycle)?.or(usual_cycle);
        let visitor = visitor(device.visitors.as_ref(), model.visitors.as_ref());
        Ok(Self {
            definition: Definition::of(model)?,
            writable,
            deadband: Deadband::of(&model.name, visitor.0.get("deadband"))?,
            min_interval: cycle(&model.name, "reportCycle", device.report_cycle)?.unwrap_or_default(),
            stale_after: collect.map(|cycle| cycle.saturating_mul(STALE_CYCLES).max(LEAST_LIFE)),
        })
    }
}

/// What a driver is told of a property: the model's `configData` with the device's laid over it, key by key, as KubeEdge
/// merges them.
pub fn visitor(device: Option<&VisitorConfig>, model: Option<&VisitorConfig>) -> FreeForm {
    let fields = |visitor: Option<&VisitorConfig>| visitor.and_then(|visitor| visitor.config_data.clone());
    let mut merged = fields(model).unwrap_or_default();
    merged.0.extend(fields(device).unwrap_or_default().0);
    merged
}

/// A cycle, where one is given; 0 gives none.
fn cycle(property: &str, cycle: &'static str, millis: Option<i64>) -> Result<Option<Duration>, Error> {
    let millis = millis.unwrap_or(0);
    let known =
        u64::try_from(millis).map_err(|_| Error::Cycle { property: property.into(), cycle, millis })?;
    Ok((known > 0).then(|| Duration::from_millis(known)))
}

impl Deadband {
    /// Any change counts.
    pub fn none() -> Self {
        Self::Absolute(Exact::from(0))
    }

    fn of(property: &str, said: Option<&Json>) -> Result<Self, Error> {
        let Some(said) = said else { return Ok(Self::none()) };
        let text = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
        let (number, band): (_, fn(Exact) -> Self) = match text.strip_suffix('%') {
            Some(number) => (number, Self::Percent),
            None => (text.as_str(), Self::Absolute),
        };
        let exact = Decimal::parse(number).and_then(|number| Exact::of(&number).ok());
        let exact = exact.filter(|exact| !exact.is_negative());
        exact
            .map(band)
            .ok_or_else(|| Error::Deadband { property: property.into(), value: value::shortened(&text, 64) })
    }

    /// Whether `now` is so far from `delivered` that it is worth a report. Of what are no numbers, every change is; and
    /// so is one that is too long to calculate with.
    pub fn passed(self, delivered: &Value, now: &Value) -> bool {
        if delivered == now {
            return false;
        }
        let number = |value: &Value| Exact::of(&value.number()?).ok();
        let (Some(old), Some(new)) = (number(delivered), number(now)) else { return true };
        let moved = new.minus(old).map(Exact::abs);
        let passed = match self {
            Self::Absolute(most) => moved.and_then(|moved| moved.exceeds(most)),
            Self::Percent(most) => {
                let moved = moved.and_then(|moved| moved.times(Exact::from(100)));
                let most = old.abs().times(most);
                moved.and_then(|moved| moved.exceeds(most?))
            }
        };
        passed.unwrap_or(true)
    }
}
