//! What the kubelet's endpoints count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How a call was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    /// HTTP status.
    pub code: u16,
}

/// Counters of the kubelet's endpoints.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Nodes that are served here.
    pub endpoints: Gauge,
    /// Calls answered.
    pub calls: Family<CodeLabel, Counter>,
    /// Calls under way.
    pub active: Gauge,
    /// Connections passed on to the replica that has the session.
    pub passed_on: Counter,
}

impl Metrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "skerry_kubelet_endpoints",
            "Nodes whose kubelet API is served here",
            self.endpoints.clone(),
        );
        registry.register("skerry_kubelet_calls", "Calls of the kubelet API answered", self.calls.clone());
        registry.register(
            "skerry_kubelet_calls_active",
            "Calls of the kubelet API under way",
            self.active.clone(),
        );
        registry.register(
            "skerry_kubelet_passed_on",
            "Connections passed on to the replica that has the session",
            self.passed_on.clone(),
        );
    }
}
