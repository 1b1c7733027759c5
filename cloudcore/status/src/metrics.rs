//! What is counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Labels of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteLabel {
    /// `Pod`, `Node` or `Event`.
    pub kind: &'static str,
    /// `ok`, `refused` or `retried`.
    pub result: &'static str,
}

/// Counters of reports and their writes.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Reports and events by what came of them.
    pub patches: Family<WriteLabel, Counter>,
    /// Reports asked for again because the cluster shows something else.
    pub wanted: Counter,
    /// Journal entries that were not taken because too many of their node wait.
    pub overflows: Counter,
}

impl Metrics {
    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("skerry_status_patches", "Reports written to the cluster", self.patches.clone());
        registry.register("skerry_status_wanted", "Reports asked for again", self.wanted.clone());
        registry.register("skerry_status_overflows", "Journal entries not taken", self.overflows.clone());
    }
}
