//! What is counted.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of what became of a report or an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResultLabels {
    /// `Pod`, `Node` or `Event`.
    pub(crate) kind: &'static str,
    /// `written`, `unchanged`, `deleted`, `gone`, `created`, `conflict`, `retried`, `refused` or `dropped`.
    pub(crate) result: &'static str,
}

/// Labels of a request that writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabels {
    /// `Pod`, `Node` or `Event`.
    pub(crate) kind: &'static str,
    /// `create`, `patch` or `delete`.
    pub(crate) verb: &'static str,
    /// HTTP status; 200 of all successes, 0 where there was no answer.
    pub(crate) code: u16,
}

/// Labels by kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabel {
    /// `Pod`, `Node` or `Event`.
    pub(crate) kind: &'static str,
}

type Times = Family<KindLabel, Histogram, fn() -> Histogram>;

/// Counters of all nodes together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    patches: Family<ResultLabels, Counter>,
    asked: Family<KindLabel, Counter>,
    writes: Family<WriteLabels, Counter>,
    write_times: Times,
    answer_times: Times,
}

/// How much waits to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    /// Objects and entries that wait or are under way.
    pub(crate) keys: usize,
    /// Of those, under way.
    pub(crate) running: usize,
}

/// From a quick write to an API server that is away for a while.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 4.0, 9))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            patches: Family::default(),
            asked: Family::default(),
            writes: Family::default(),
            write_times: Times::new_with_constructor(times),
            answer_times: Times::new_with_constructor(times),
        }
    }
}

impl Metrics {
    /// Registers the counters; `depth` is asked for how much waits.
    pub(crate) fn register(
        &self,
        registry: &mut Registry,
        depth: impl Fn() -> Option<Depth> + Send + Sync + 'static,
    ) {
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
        registry.register(
            "skerry_status_writes",
            "Requests to the API server that write, by what it answered",
            self.writes.clone(),
        );
        registry.register(
            "skerry_status_write_seconds",
            "Time of a request that writes",
            self.write_times.clone(),
        );
        registry.register(
            "skerry_status_answer_seconds",
            "Time from a report or an entry to the answer to its edge",
            self.answer_times.clone(),
        );
        registry.register_collector(Box::new(Queued(depth)));
    }

    /// Something came of a report or an entry.
    pub(crate) fn count(&self, kind: &'static str, result: &'static str) {
        self.patches.get_or_create(&ResultLabels { kind, result }).inc();
    }

    /// A report was asked for.
    pub(crate) fn count_asked(&self, kind: &'static str) {
        self.asked.get_or_create(&KindLabel { kind }).inc();
    }

    /// A request that writes ended.
    pub(crate) fn written(&self, kind: &'static str, verb: &'static str, code: u16, took: Duration) {
        self.writes.get_or_create(&WriteLabels { kind, verb, code }).inc();
        self.write_times.get_or_create(&KindLabel { kind }).observe(took.as_secs_f64());
    }

    /// An edge was answered.
    pub(crate) fn answered(&self, kind: &'static str, took: Duration) {
        self.answer_times.get_or_create(&KindLabel { kind }).observe(took.as_secs_f64());
    }
}

/// The queue's depth, read when somebody asks.
struct Queued<F>(F);

impl<F> fmt::Debug for Queued<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queued")
    }
}

impl<F: Fn() -> Option<Depth> + Send + Sync + 'static> Collector for Queued<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(Depth { keys, running }) = (self.0)() else { return Ok(()) };
        for (name, help, value) in [
            ("skerry_status_queued", "Reports and entries that wait or are being written", keys),
            ("skerry_status_running", "Reports and entries that are being written", running),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
