//! What sync counts.

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use edgecore_store::Store;

use crate::state::{LinkStatus, PHASES};

type Label = [(&'static str, &'static str); 1];

/// Counters of sync. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    sessions: Family<Label, Counter>,
    changes: Family<Label, Counter>,
    mismatches: Counter,
    tokens: Family<Label, Counter>,
}

impl Metrics {
    /// Registers all of them, and the link's state and the store's accounts, which are read when asked for.
    pub fn register(&self, registry: &mut Registry, status: &LinkStatus, store: &Store) {
        registry.register("skerry_link_sessions", "Sessions by how they ended", self.sessions.clone());
        registry.register(
            "skerry_sync_changes",
            "Changes of objects received, by what became of them",
            self.changes.clone(),
        );
        registry.register(
            "skerry_sync_mismatches",
            "Times the digests of edge and cloud differed",
            self.mismatches.clone(),
        );
        registry.register("skerry_token_calls", "Calls for tokens by result", self.tokens.clone());
        let (status, store) = (status.clone(), store.clone());
        registry.register_collector(Box::new(Collected { status, store }));
    }

    pub(crate) fn session(&self, end: &'static str) {
        self.sessions.get_or_create(&[("end", end)]).inc();
    }

    pub(crate) fn applied(&self, changes: usize, rejected: usize) {
        let op = |op| self.changes.get_or_create(&[("result", op)]).clone();
        op("applied").inc_by(changes.saturating_sub(rejected) as u64);
        op("rejected").inc_by(rejected as u64);
    }

    pub(crate) fn mismatch(&self) {
        self.mismatches.inc();
    }

    pub(crate) fn token(&self, result: &'static str) {
        self.tokens.get_or_create(&[("result", result)]).inc();
    }
}

/// What is read only when somebody asks.
#[derive(Debug)]
struct Collected {
    status: LinkStatus,
    store: Store,
}

impl prometheus_client::collector::Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = self.status.get().phase;
        let states: Family<Label, prometheus_client::metrics::gauge::Gauge> = Family::default();
        for phase in PHASES {
            states.get_or_create(&[("state", phase.name())]).set(i64::from(phase == now));
        }
        let metric = encoder.encode_descriptor(
            "skerry_link_state",
            "1 for the state the link is in",
            None,
            states.metric_type(),
        )?;
        states.encode(metric)?;

        let count = ConstGauge::new(i64::from(self.store.digest().1));
        let metric =
            encoder.encode_descriptor("skerry_store_objects", "Objects held", None, count.metric_type())?;
        count.encode(metric)?;
        self.ledger(encoder)
    }
}

impl Collected {
    fn ledger(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // A store that cannot be read has no accounts to show; the rest of the metrics still counts.
        let rows = self.store.ledger().unwrap_or_default();
        let no_unit: Option<&Unit> = None;
        let sample = ConstCounter::new(0_u64);
        let mut metric = encoder.encode_descriptor(
            "skerry_ledger",
            "What became of everything that streams took in",
            no_unit,
            sample.metric_type(),
        )?;
        for row in &rows {
            let fates = [
                ("produced", row.produced),
                ("delivered", row.delivered),
                ("superseded", row.superseded),
                ("expired", row.expired),
            ];
            for (fate, n) in fates {
                let labels = [("stream", row.stream.as_str()), ("fate", fate)];
                ConstCounter::new(n).encode(metric.encode_family(&labels)?)?;
            }
            for (reason, n) in &row.dropped {
                let labels =
                    [("stream", row.stream.as_str()), ("fate", "dropped"), ("reason", reason.as_str())];
                ConstCounter::new(*n).encode(metric.encode_family(&labels)?)?;
            }
        }
        let sample = ConstGauge::new(0_i64);
        let mut metric = encoder.encode_descriptor(
            "skerry_ledger_queued",
            "What streams hold until it is delivered",
            no_unit,
            sample.metric_type(),
        )?;
        for row in &rows {
            let queued = i64::try_from(row.queued).unwrap_or(i64::MAX);
            let labels = [("stream", row.stream.as_str())];
            ConstGauge::new(queued).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
