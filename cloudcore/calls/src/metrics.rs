//! What is counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Labels of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    /// What was asked: `token`, or `unknown`.
    call: &'static str,
    /// HTTP status that fits the answer.
    code: u32,
}

/// Counters of all nodes together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    answered: Family<CallLabels, Counter>,
}

impl Metrics {
    /// Registers the counters.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("skerry_calls", "Calls of edges, by question and outcome", self.answered.clone());
    }

    /// A call was answered.
    pub(crate) fn count(&self, call: &'static str, code: u32) {
        self.answered.get_or_create(&CallLabels { call, code }).inc();
    }
}
