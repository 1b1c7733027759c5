//! What controllers count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What was written, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabel {
    /// `tolerations`, `connected` or `event`.
    pub(crate) what: &'static str,
    /// `ok`, `conflict`, `gone` or `failed`.
    pub(crate) result: &'static str,
}

/// Counters of the controllers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    writes: Family<WriteLabel, Counter>,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "skerry_controller_writes",
            "Writes of controllers by how they ended",
            self.writes.clone(),
        );
    }

    pub(crate) fn count(&self, what: &'static str, result: &'static str) {
        self.writes.get_or_create(&WriteLabel { what, result }).inc();
    }
}
