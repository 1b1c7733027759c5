//! What is counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Labels of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabels {
    /// `Pod`, `Node` or `Event`.
    pub(crate) kind: &'static str,
    /// `written`, `unchanged`, `deleted`, `gone`, `created`, `conflict`, `retried`, `refused` or `dropped`.
    pub(crate) result: &'static str,
}

/// Labels by kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabel {
    /// `Pod` or `Node`.
    pub(crate) kind: &'static str,
}

/// Counters of all nodes together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    patches: Family<WriteLabels, Counter>,
    asked: Family<KindLabel, Counter>,
}

impl Metrics {
    /// Registers the counters.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "skerry_status_patches",
            "What became of reports, by kind of object and result",
            self.patches.clone(),
        );
        registry.register(
            "skerry_status_asked",
            "Reports asked for again because the cluster shows something else than the edge last said",
            self.asked.clone(),
        );
    }

    /// Something came of a write.
    pub(crate) fn count(&self, kind: &'static str, result: &'static str) {
        self.patches.get_or_create(&WriteLabels { kind, result }).inc();
    }

    /// A report was asked for.
    pub(crate) fn count_asked(&self, kind: &'static str) {
        self.asked.get_or_create(&KindLabel { kind }).inc();
    }
}
