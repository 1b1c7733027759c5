//! What sync counts, and the accounts of the store.

use std::fmt::Error;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use edgecore_store::{LedgerRow, Store};

use crate::state::{LinkStatus, PHASES};

type Label = [(&'static str, &'static str); 1];
type StreamLabel = [(&'static str, String); 1];

/// Counters of sync. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    attempts: Family<Label, Counter>,
    sessions: Family<Label, Counter>,
    changes: Family<Label, Counter>,
    mismatches: Counter,
    resyncs: Family<Label, Counter>,
    tokens: Family<Label, Counter>,
    apply: Histogram,
    acks: Family<StreamLabel, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            sessions: Family::default(),
            changes: Family::default(),
            mismatches: Counter::default(),
            resyncs: Family::default(),
            tokens: Family::default(),
            // From a commit to flash to one that had to wait for room.
            apply: Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            // From a link in the house to an API server that is away for a while.
            acks: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 4.0, 9))),
        }
    }
}

impl Metrics {
    /// Registers all of them, and the link's state and the store's accounts, which are read when asked for.
    pub fn register(&self, registry: &mut Registry, status: &LinkStatus, store: &Store) {
        registry.register(
            "skerry_link_attempts",
            "Attempts to connect by what came of them",
            self.attempts.clone(),
        );
        registry.register("skerry_link_sessions", "Sessions by how they ended", self.sessions.clone());
        registry.register(
            "skerry_sync_changes",
            "Changes of objects received, by what became of them",
            self.changes.clone(),
        );
        registry.register(
            "skerry_sync_apply_seconds",
            "Time until a batch of changes was on the disk",
            self.apply.clone(),
        );
        registry.register(
            "skerry_sync_mismatches",
            "Times the digests of edge and cloud differed",
            self.mismatches.clone(),
        );
        registry.register(
            "skerry_sync_resyncs",
            "Times the cloud compared everything, by why: the session opened, the edge found a mismatch, the cloud found drift",
            self.resyncs.clone(),
        );
        registry.register("skerry_token_calls", "Calls for tokens by result", self.tokens.clone());
        registry.register(
            "skerry_stream_ack_seconds",
            "Time from sending to the cloud's answer",
            self.acks.clone(),
        );
        let (status, store) = (status.clone(), store.clone());
        registry.register_collector(Box::new(Collected { status, store }));
    }

    pub(crate) fn attempt(&self, result: &'static str) {
        self.attempts.get_or_create(&[("result", result)]).inc();
    }

    pub(crate) fn session(&self, end: &'static str) {
        self.sessions.get_or_create(&[("end", end)]).inc();
    }

    pub(crate) fn applied(&self, changes: usize, rejected: usize, took: Duration) {
        let op = |op| self.changes.get_or_create(&[("result", op)]).clone();
        op("applied").inc_by(changes.saturating_sub(rejected) as u64);
        op("rejected").inc_by(rejected as u64);
        self.apply.observe(took.as_secs_f64());
    }

    pub(crate) fn mismatch(&self) {
        self.mismatches.inc();
    }

    pub(crate) fn resync(&self, reason: &'static str) {
        self.resyncs.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn token(&self, result: &'static str) {
        self.tokens.get_or_create(&[("result", result)]).inc();
    }

    pub(crate) fn acknowledged(&self, stream: &str, took: Duration) {
        self.acks.get_or_create(&[("stream", stream.to_owned())]).observe(took.as_secs_f64());
    }
}

/// What is read only when somebody asks.
#[derive(Debug)]
struct Collected {
    status: LinkStatus,
    store: Store,
}

impl prometheus_client::collector::Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let now = self.status.get().phase;
        let states: Family<Label, Gauge> = Family::default();
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
        let mut metric = encoder.encode_descriptor(
            "skerry_store_info",
            "1 for the store, whose id names its accounts: another one began them anew",
            None,
            MetricType::Gauge,
        )?;
        let labels = [("store_id", self.store.meta().store_id)];
        ConstGauge::new(1_i64).encode(metric.encode_family(&labels)?)?;
        // A store that cannot be read has no accounts to show; the rest of the metrics still counts.
        ledger(&mut encoder, &self.store.ledger().unwrap_or_default())
    }
}

/// What a stream counts under one name.
type Account = (&'static str, &'static str, fn(&LedgerRow) -> u64);

/// `produced = delivered + superseded + expired + dropped + queued`, for each stream.
const COUNTERS: [Account; 4] = [
    ("skerry_stream_produced", "Entries taken in", |row| row.produced),
    ("skerry_stream_delivered", "Entries that the cloud took", |row| row.delivered),
    ("skerry_stream_superseded", "Entries replaced by a later value before delivery", |row| row.superseded),
    ("skerry_stream_expired", "Entries of no use any more before delivery", |row| row.expired),
];
const GAUGES: [Account; 2] = [
    ("skerry_stream_queued", "Entries held until they are delivered", |row| row.queued),
    ("skerry_stream_held_bytes", "Bytes of bodies on the disk", |row| row.bytes),
];

fn ledger(encoder: &mut DescriptorEncoder<'_>, rows: &[LedgerRow]) -> Result<(), Error> {
    for (name, help, of) in COUNTERS {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for row in rows {
            of_stream(&mut metric, row, |metric| ConstCounter::new(of(row)).encode(metric))?;
        }
    }
    let mut metric = encoder.encode_descriptor(
        "skerry_stream_dropped",
        "Entries given up, by why",
        None,
        MetricType::Counter,
    )?;
    for row in rows {
        for (reason, n) in &row.dropped {
            let labels = [("stream", row.stream.as_str()), ("reason", reason.as_str())];
            ConstCounter::new(*n).encode(metric.encode_family(&labels)?)?;
        }
    }
    for (name, help, of) in GAUGES {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for row in rows {
            let value = i64::try_from(of(row)).unwrap_or(i64::MAX);
            of_stream(&mut metric, row, |metric| ConstGauge::new(value).encode(metric))?;
        }
    }
    Ok(())
}

fn of_stream(
    metric: &mut MetricEncoder<'_>,
    row: &LedgerRow,
    encode: impl FnOnce(MetricEncoder<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let labels = [("stream", row.stream.as_str())];
    encode(metric.encode_family(&labels)?)
}
