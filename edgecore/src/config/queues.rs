//! `queues` of `edgecore.yaml`: how much may wait for the cloud, and what happens beyond.

use std::collections::BTreeMap;

use edgecore_store::{Limits, StreamLimit};
use serde::{Deserialize, Serialize};

/// Smallest and largest cap, in bytes: less holds next to nothing, more no disk of an edge.
const CAPS: (u64, u64) = (64 << 10, 64 << 30);

/// What waits for the cloud, by stream. Keys that are left out have their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Queues {
    /// The last report of each object; one that does not fit is dropped.
    pub reports: ReportsQueue,
    /// What happened, for people.
    pub events: StreamQueue,
    /// Messages of applications and rules.
    pub messages: StreamQueue,
    /// Values that devices measured.
    pub readings: StreamQueue,
}

/// The last reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportsQueue {
    /// Bytes they may take.
    pub max_bytes: u64,
}

/// One stream of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamQueue {
    /// Bytes its entries may take on the disk.
    pub max_bytes: u64,
    /// What happens when another comes.
    pub when_full: WhenFull,
}

/// What happens where a stream is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenFull {
    /// The oldest entries leave.
    DropOldest,
    /// Those of lowest priority leave, the oldest of them first.
    DropLowestPriority,
    /// The new one is not taken, and its producer is told.
    Refuse,
}

impl Default for Queues {
    fn default() -> Self {
        let limits = Limits::default();
        let of = |stream: &str| limits.streams.get(stream).copied().map(StreamQueue::from);
        let none = StreamQueue { max_bytes: CAPS.0, when_full: WhenFull::DropOldest };
        Self {
            reports: ReportsQueue { max_bytes: limits.reports_max_bytes },
            events: of("events").unwrap_or_else(|| none.clone()),
            messages: of("messages").unwrap_or_else(|| none.clone()),
            readings: of("readings").unwrap_or(none),
        }
    }
}

impl From<StreamLimit> for StreamQueue {
    fn from(limit: StreamLimit) -> Self {
        let when_full = match limit.when_full {
            edgecore_store::WhenFull::DropOldest => WhenFull::DropOldest,
            edgecore_store::WhenFull::DropLowestPriority => WhenFull::DropLowestPriority,
            edgecore_store::WhenFull::Refuse => WhenFull::Refuse,
        };
        Self { max_bytes: limit.max_bytes, when_full }
    }
}

impl Queues {
    fn streams(&self) -> [(&'static str, &StreamQueue); 3] {
        [("events", &self.events), ("messages", &self.messages), ("readings", &self.readings)]
    }

    /// Caps that make no sense.
    pub(super) fn problems(&self) -> Vec<String> {
        let caps = self.streams().map(|(name, queue)| (name, queue.max_bytes));
        let caps = caps.into_iter().chain([("reports", self.reports.max_bytes)]);
        caps.filter(|(_, bytes)| !(CAPS.0..=CAPS.1).contains(bytes))
            .map(|(name, bytes)| {
                format!("queues.{name}.maxBytes: {bytes} is not from {} to {}", CAPS.0, CAPS.1)
            })
            .collect()
    }

    /// As the store takes them.
    pub(super) fn limits(&self) -> Limits {
        let streams = self.streams().map(|(name, queue)| {
            let when_full = match queue.when_full {
                WhenFull::DropOldest => edgecore_store::WhenFull::DropOldest,
                WhenFull::DropLowestPriority => edgecore_store::WhenFull::DropLowestPriority,
                WhenFull::Refuse => edgecore_store::WhenFull::Refuse,
            };
            (name, StreamLimit { max_bytes: queue.max_bytes, when_full })
        });
        Limits { reports_max_bytes: self.reports.max_bytes, streams: BTreeMap::from(streams) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_stores() {
        assert_eq!(Queues::default().limits(), Limits::default());
        assert_eq!(Queues::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn a_stream_is_set_by_name_and_a_wrong_cap_is_named() {
        let text = r#"{"events":{"maxBytes":1000000,"whenFull":"refuse"},"reports":{"maxBytes":1}}"#;
        let queues: Queues = serde_json::from_str(text).unwrap();
        let events = queues.limits().streams["events"];
        assert_eq!((events.max_bytes, events.when_full), (1_000_000, edgecore_store::WhenFull::Refuse));
        assert_eq!(queues.limits().streams["readings"], Limits::default().streams["readings"]);
        assert!(queues.problems()[0].starts_with("queues.reports.maxBytes: 1 is not"), "{queues:?}");
        for wrong in [
            r#"{"event":{}}"#,
            r#"{"events":{"maxBytes":70000}}"#,
            r#"{"events":{"maxBytes":70000,"whenFull":"perhaps"}}"#,
        ] {
            assert!(serde_json::from_str::<Queues>(wrong).is_err(), "{wrong}");
        }
    }
}
