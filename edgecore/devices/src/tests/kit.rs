//! Properties and settings for tests.

use std::time::Duration;

use crds::devices::device_model::{DataType, Property};
use kit::{Elapsed, WallTime};

use crate::settings::{Deadband, Settings};
use crate::twin::Now;
use crate::value::Definition;

/// A word of KubeEdge's for a type.
pub(super) fn data_type(word: &str) -> DataType {
    serde_json::from_value(word.into()).unwrap()
}

/// A property `p` of that type, with bounds where they are not empty.
pub(super) fn property(word: &str, minimum: &str, maximum: &str) -> Property {
    let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Property {
        name: "p".into(),
        data_type: Some(data_type(word)),
        minimum: bound(minimum),
        maximum: bound(maximum),
        ..Property::default()
    }
}

pub(super) fn definition(word: &str) -> Definition {
    Definition::of(&property(word, "", "")).unwrap()
}

/// A writable property that reports every change at once and never grows stale.
pub(super) fn settings(word: &str) -> Settings {
    Settings {
        definition: definition(word),
        writable: true,
        deadband: Deadband::none(),
        min_interval: Duration::ZERO,
        stale_after: None,
    }
}

/// So many milliseconds after the start, which was at 1,000,000 s of wall time.
pub(super) fn at(millis: u64) -> Now {
    let wall = WallTime(1_000_000_000).plus_millis(i64::try_from(millis).unwrap());
    Now { elapsed: Elapsed::from_millis(millis), wall }
}
