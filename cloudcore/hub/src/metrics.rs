//! What the hub counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
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
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Objects sent down, exactly.
    pub objects_sent: Family<SentLabel, Counter>,
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

impl Metrics {
    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("skerry_hub_objects_sent", "Objects sent to edges", self.objects_sent.clone());
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
