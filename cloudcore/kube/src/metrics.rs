//! What watches and the election count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels by kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Kind, as it stands in a manifest.
    pub kind: &'static str,
}

/// Counters of all watches, and of the election.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Items and events that could not be read.
    pub malformed: Family<KindLabel, Counter>,
    /// Complete lists.
    pub lists: Family<KindLabel, Counter>,
    /// Lists and watches that failed.
    pub failures: Family<KindLabel, Counter>,
    /// 1 while this process leads.
    pub leader: Gauge,
    /// Times this process began to lead.
    pub leader_terms: Counter,
}

impl Metrics {
    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "skerry_index_malformed",
            "Objects that could not be read and were skipped",
            self.malformed.clone(),
        );
        registry.register("skerry_index_lists", "Complete lists read", self.lists.clone());
        registry.register(
            "skerry_index_watch_failures",
            "Lists and watches that failed",
            self.failures.clone(),
        );
        registry.register("skerry_leader", "Whether this replica leads", self.leader.clone());
        registry.register(
            "skerry_leader_terms",
            "Times this replica began to lead",
            self.leader_terms.clone(),
        );
    }
}
