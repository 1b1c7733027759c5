//! What the index holds, counted when somebody asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use wire::Kind;

use crate::handle::Index;

impl Index {
    /// Registers what is counted.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Held(self.clone())));
    }
}

#[derive(Debug)]
struct Held(Index);

impl Collector for Held {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let counts = self.0.counts();
        let objects = counts.iter().map(|(kind, known)| (*kind, known.objects));
        gauges(&mut encoder, "skerry_index_objects", "Objects known", objects)?;
        let bodies = counts.iter().map(|(kind, known)| (*kind, known.bodies));
        gauges(
            &mut encoder,
            "skerry_index_bodies",
            "Objects whose body is kept, for nodes connected here",
            bodies,
        )
    }
}

fn gauges(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (Kind, usize)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (kind, count) in counts {
        let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[("kind", kind.name())])?)?;
    }
    Ok(())
}
