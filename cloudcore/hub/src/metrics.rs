//! What the hub counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of objects sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SentLabel {
    /// Kind, as it stands in a manifest.
    pub kind: String,
    /// `upsert` or `delete`.
    pub op: &'static str,
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// Why, in one word.
    pub reason: &'static str,
}

/// A kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Kind, as it stands in a manifest.
    pub kind: String,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `ok`, `conflict` or `failed`.
    pub result: &'static str,
}

/// Counters of the hub.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Objects sent down, exactly.
    pub objects_sent: Family<SentLabel, Counter>,
    /// From sending a frame to its acknowledgement: it is on the edge's disk.
    pub ack: Histogram,
    /// Frames sent and not acknowledged, of all sessions.
    pub in_flight: Gauge,
    /// Their bytes, as the windows count them.
    pub in_flight_bytes: Gauge,
    /// Bytes of the frames sent down, before TLS.
    pub bytes_sent: Counter,
    /// Sessions open.
    pub sessions: Gauge,
    /// Sessions opened.
    pub opened: Counter,
    /// Sessions refused.
    pub refused: Family<ReasonLabel, Counter>,
    /// Sessions being opened.
    pub opening: Gauge,
    /// TLS handshakes under way.
    pub handshakes: Gauge,
    /// Seconds after which the last edge that had to wait was told to come again.
    pub come_again: Gauge<f64, std::sync::atomic::AtomicU64>,
    /// Sessions that were sent to another replica, since this one ends.
    pub drained: Counter,
    /// Objects that an edge could not apply.
    pub rejected: Family<KindLabel, Counter>,
    /// Times that an edge held something else than was believed.
    pub drift: Counter,
    /// Times that everything was compared: as the session opened, or for a difference found later.
    pub resyncs: Family<ReasonLabel, Counter>,
    /// Writes of Leases.
    pub lease_writes: Family<ResultLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            objects_sent: Family::default(),
            // From a link in the house to a full one of some kbit/s.
            ack: Histogram::new(exponential_buckets(0.005, 4.0, 9)),
            in_flight: Gauge::default(),
            in_flight_bytes: Gauge::default(),
            bytes_sent: Counter::default(),
            sessions: Gauge::default(),
            opened: Counter::default(),
            refused: Family::default(),
            opening: Gauge::default(),
            handshakes: Gauge::default(),
            come_again: Gauge::default(),
            drained: Counter::default(),
            rejected: Family::default(),
            drift: Counter::default(),
            resyncs: Family::default(),
            lease_writes: Family::default(),
        }
    }
}

impl Metrics {
    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("skerry_hub_objects_sent", "Objects sent to edges", self.objects_sent.clone());
        registry.register(
            "skerry_hub_ack_seconds",
            "Time from sending a frame to its acknowledgement",
            self.ack.clone(),
        );
        registry.register("skerry_hub_in_flight", "Frames sent and not acknowledged", self.in_flight.clone());
        registry.register(
            "skerry_hub_in_flight_bytes",
            "Bytes of frames sent and not acknowledged",
            self.in_flight_bytes.clone(),
        );
        registry.register("skerry_hub_bytes_sent", "Bytes of frames sent to edges", self.bytes_sent.clone());
        registry.register("skerry_hub_sessions", "Sessions open", self.sessions.clone());
        registry.register("skerry_hub_sessions_opened", "Sessions opened", self.opened.clone());
        registry.register("skerry_hub_sessions_refused", "Sessions refused", self.refused.clone());
        registry.register("skerry_hub_sessions_opening", "Sessions being opened", self.opening.clone());
        registry.register("skerry_hub_handshakes", "TLS handshakes under way", self.handshakes.clone());
        registry.register(
            "skerry_hub_come_again_seconds",
            "Time after which the last edge that had to wait was told to come again",
            self.come_again.clone(),
        );
        registry.register(
            "skerry_hub_sessions_drained",
            "Sessions sent elsewhere at the end",
            self.drained.clone(),
        );
        registry.register(
            "skerry_hub_objects_rejected",
            "Objects that an edge could not apply",
            self.rejected.clone(),
        );
        registry.register(
            "skerry_hub_drift",
            "Times an edge held something else than believed",
            self.drift.clone(),
        );
        registry.register(
            "skerry_hub_resyncs",
            "Times everything was compared, by why: the session opened, or drift was found",
            self.resyncs.clone(),
        );
        registry.register("skerry_hub_lease_writes", "Writes of node Leases", self.lease_writes.clone());
    }
}

/// What one session has in flight, as part of the gauges; nothing any more when it goes.
#[derive(Debug)]
pub(crate) struct Flight {
    frames: Gauge,
    bytes: Gauge,
    counted: (i64, i64),
}

impl Flight {
    /// Nothing yet.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self { frames: metrics.in_flight.clone(), bytes: metrics.in_flight_bytes.clone(), counted: (0, 0) }
    }

    /// So many frames, and so many bytes of them.
    pub(crate) fn set(&mut self, (frames, bytes): (usize, usize)) {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let now = (whole(frames), whole(bytes));
        let before = std::mem::replace(&mut self.counted, now);
        if now != before {
            self.frames.inc_by(now.0 - before.0);
            self.bytes.inc_by(now.1 - before.1);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.set((0, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_goes_takes_what_it_had_in_flight_along() {
        let metrics = Metrics::default();
        let (mut one, mut other) = (Flight::new(&metrics), Flight::new(&metrics));
        one.set((3, 100));
        other.set((1, 10));
        one.set((2, 90));
        assert_eq!((metrics.in_flight.get(), metrics.in_flight_bytes.get()), (3, 100));
        drop(one);
        assert_eq!((metrics.in_flight.get(), metrics.in_flight_bytes.get()), (1, 10));
    }
}
