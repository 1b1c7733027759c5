//! The fleet figures: simulated edges by the thousand, one cloudcore, a real control plane.
//!
//! All of it shares one machine, the fleet's own work included: where processors are short the figures are worse than
//! cloudcore's alone would be.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Results;
use super::sample::rss_mib;
use crate::fleet::Options;
use crate::proc::Process;
use crate::{Fleet, Lab, UpOptions, host};

mod delivery;
mod idle;
mod objects;
mod reconnect;
mod recorder;
mod resync;
mod writes;

/// Runs of a figure that is quick to take.
const RUNS: usize = 5;
/// Nodes of the delivery figures.
const DELIVERED_TO: usize = 1_000;
/// Everything is over by then.
const PATIENCE: Duration = Duration::from_mins(10);

const RESYNC: [&str; 3] = ["resync_bytes_0", "resync_bytes_1", "resync_bytes_100"];
const CONFIG_MAP: [&str; 2] = ["configmap_1000_nodes_p50", "configmap_1000_nodes_p99"];
const IDLE: [&str; 4] = ["session_memory", "cloud_rss_10k", "heartbeat_cpu_10k", "apiserver_cpu_10k"];
const RECONNECT: [&str; 2] = ["reconnect_10k", "reconnect_10k_rss"];

/// Measures what is wanted. The largest fleet comes last: Nodes whose edges are gone keep the control plane busy.
pub(super) fn measure(
    dir: &Path,
    nodes: usize,
    wanted: &dyn Fn(&str) -> bool,
    results: &mut Results,
) -> Result<()> {
    let any = |names: &[&str]| names.iter().any(|name| wanted(name));
    let plain = RESYNC.iter().chain(&CONFIG_MAP).chain(&["pod_create_p99"]).chain(&IDLE).chain(&RECONNECT);
    if plain.clone().any(|name| wanted(name)) {
        let bench = Bench::up(dir, nodes, false)?;
        bench.measure(&any, results);
        bench.lab.down()?;
    }
    if wanted("api_writes_per_delivery") {
        let bench = Bench::up(dir, nodes, true)?;
        results.measure(&["api_writes_per_delivery"], |results| writes::measure(&bench, results));
        bench.lab.down()?;
    }
    Ok(())
}

/// The lab that is measured.
struct Bench {
    lab: Lab,
    /// Nodes of the largest fleet.
    nodes: usize,
    /// cloudcore's resident memory while the cluster was empty, in MiB.
    empty_mib: f64,
}

impl Bench {
    fn up(dir: &Path, nodes: usize, audit: bool) -> Result<Self> {
        Lab::at(dir)?.down()?;
        let lab = Lab::up(dir, &UpOptions { edges: Some(0), audit, ..UpOptions::default() })?;
        lab.kubectl(&["create", "namespace", objects::NAMESPACE])?;
        host::wait("the namespace's service account", PATIENCE, || {
            Ok(lab.kubectl(&["get", "serviceaccount", "default", "-n", objects::NAMESPACE]).is_ok())
        })?;
        // As cloud_rss is defined: ten seconds after /readyz.
        std::thread::sleep(Duration::from_secs(10));
        let mut bench = Self { lab, nodes, empty_mib: 0.0 };
        bench.empty_mib = rss_mib(bench.cloud()?.pid, "VmRSS")?;
        Ok(bench)
    }

    fn measure(&self, any: &dyn Fn(&[&str]) -> bool, results: &mut Results) {
        if any(&RESYNC) {
            results.measure(&RESYNC, |results| resync::measure(self, results));
        }
        if any(&CONFIG_MAP) || any(&["pod_create_p99"]) {
            let names = [CONFIG_MAP[0], CONFIG_MAP[1], "pod_create_p99"];
            results.measure(&names, |results| delivery::measure(self, results));
        }
        if any(&IDLE) || any(&RECONNECT) {
            let names: Vec<_> = IDLE.into_iter().chain(RECONNECT).collect();
            results.measure(&names, |results| {
                let fleet = self.restarted(self.nodes)?;
                if any(&IDLE) {
                    idle::measure(self, results)?;
                }
                if any(&RECONNECT) {
                    reconnect::measure(self, &fleet, results)?;
                }
                Ok(())
            });
        }
    }

    fn cloud(&self) -> Result<Process> {
        let cloud = self.lab.clouds().into_iter().next().context("no cloudcore")?;
        cloud.process.context("cloudcore does not run")
    }

    /// A fleet of so many nodes, all in sync.
    fn fleet(&self, nodes: usize, recorder: Option<&recorder::Recorder>) -> Result<Fleet> {
        let probe = recorder.map(recorder::Recorder::probe);
        let fleet = Fleet::start(&self.lab, Options { nodes, endpoints: Vec::new(), probe })?;
        fleet.wait_in_sync(PATIENCE)?;
        Ok(fleet)
    }

    /// A fleet in sync with a cloudcore that was started for it, and remembers no other.
    fn restarted(&self, nodes: usize) -> Result<Fleet> {
        self.lab.kill_cloud(None)?;
        self.lab.start_cloud(None)?;
        self.fleet(nodes, None)
    }
}

/// The value below which such a share of the values lies.
fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    let place = (values.len() as f64 * share).ceil() as usize;
    values.get(place.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.5), Some(500.0));
        assert_eq!(percentile(&mut values, 0.99), Some(990.0));
        assert_eq!(percentile(&mut values, 1.0), Some(1000.0));
        assert_eq!(percentile(&mut [7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&mut [], 0.5), None);
    }
}
