//! The core figures: one edge, ten pods.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Results;
use super::sample::{MIB, rss_mib};
use crate::{Edge, Lab, UpOptions, host};

mod idle;
mod outage;

/// "Ten pods" of the figures: one Deployment, one busybox container each, a ConfigMap volume, the default token.
const TEN: &str = include_str!("core/ten.yaml");
const SELECTOR: &str = "app=ten";
const EDGE: &str = "edge-1";
const RUNS: usize = 5;
const PATIENCE: Duration = Duration::from_mins(3);

/// Measures what is wanted, in an order in which each leaves what the next needs.
pub(super) fn measure(dir: &Path, wanted: &dyn Fn(&str) -> bool, results: &mut Results) -> Result<()> {
    let any = |names: &[&str]| names.iter().any(|name| wanted(name));
    let bench = Bench::up(dir)?;
    for (figure, program) in [("agent_binary", "edgecore"), ("cloud_binary", "cloudcore")] {
        if wanted(figure) {
            results.measure(&[figure], |results| bench.binary(figure, program, results));
        }
    }
    if wanted("cloud_rss") {
        results.measure(&["cloud_rss"], |results| bench.cloud_rss(results));
    }
    let rest = [
        "apply_to_running_10",
        "agent_rss",
        "agent_idle_cpu",
        "agent_idle_written",
        "link_idle_rate",
        "runtime_idle_cpu",
        "runtime_idle_written",
        "agent_idle_cpu_probed",
        "reconnect_after_hole_90s",
        "reconnect_pods_ready",
        "powerloss_to_running_10",
    ];
    if any(&rest) {
        bench.edge.add()?;
        bench.measure_edge(&any, results)?;
    }
    bench.lab.down()
}

/// The lab that is measured.
struct Bench {
    lab: Lab,
    edge: Edge,
}

impl Bench {
    fn up(dir: &Path) -> Result<Self> {
        Lab::at(dir)?.down()?;
        let lab = Lab::up(dir, &UpOptions { edges: Some(0), stock: true, ..UpOptions::default() })?;
        let edge = lab.edge(EDGE);
        Ok(Self { lab, edge })
    }

    fn measure_edge(&self, any: &dyn Fn(&[&str]) -> bool, results: &mut Results) -> Result<()> {
        if any(&["apply_to_running_10"]) {
            results.measure(&["apply_to_running_10"], |results| self.apply_to_running(results));
        }
        self.lab.apply(TEN)?;
        self.lab.wait_ready("default", SELECTOR, 10, PATIENCE)?;
        if any(&["agent_rss"]) {
            results.measure(&["agent_rss"], |results| self.agent_rss(results));
        }
        let idle = [
            "agent_idle_cpu",
            "agent_idle_written",
            "link_idle_rate",
            "runtime_idle_cpu",
            "runtime_idle_written",
        ];
        if any(&idle) {
            results.measure(&idle, |results| idle::measure(self, results));
        }
        let reconnect = ["reconnect_after_hole_90s", "reconnect_pods_ready"];
        if any(&reconnect) {
            results.measure(&reconnect, |results| outage::hole(self, results));
        }
        if any(&["powerloss_to_running_10"]) {
            results.measure(&["powerloss_to_running_10"], |results| outage::power_loss(self, results));
        }
        if any(&["agent_idle_cpu_probed"]) {
            results.measure(&["agent_idle_cpu_probed"], |results| idle::probed(self, results));
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a file's length stays far below 2^52")]
    fn binary(&self, figure: &'static str, program: &str, results: &mut Results) -> Result<()> {
        let length = std::fs::metadata(self.lab.dir().join("bin").join(program))?.len();
        results.add(figure, length as f64 / MIB);
        Ok(())
    }

    fn cloud_rss(&self, results: &mut Results) -> Result<()> {
        for _ in 0..RUNS {
            self.lab.kill_cloud(None)?;
            self.lab.start_cloud(None)?;
            // The figure is defined ten seconds after /readyz.
            std::thread::sleep(Duration::from_secs(10));
            let cloud = self.lab.clouds().into_iter().next().context("no cloudcore")?;
            let pid = cloud.process.context("cloudcore does not run")?.pid;
            results.add("cloud_rss", rss_mib(pid, "VmRSS")?);
        }
        Ok(())
    }

    fn apply_to_running(&self, results: &mut Results) -> Result<()> {
        for _ in 0..RUNS {
            let watch = super::watch::Watch::start(
                &self.lab,
                &["pods", "-l", SELECTOR],
                "NAME:.metadata.name,PHASE:.status.phase",
            )?;
            let started = host::now();
            self.lab.apply(TEN)?;
            let mut running = std::collections::BTreeSet::new();
            let tenth = watch.until("ten pods Running", PATIENCE, |words| {
                if let [name, phase, ..] = words
                    && phase == "Running"
                {
                    running.insert(name.clone());
                }
                running.len() == 10
            })?;
            results.add("apply_to_running_10", tenth.duration_since(started).as_secs_f64());
            self.lab.kubectl(&["delete", "deployment", "ten", "--wait=true"])?;
            host::wait("the ten pods gone", PATIENCE, || {
                Ok(self.lab.pods("default", SELECTOR)?.is_empty() && self.edge.containers()?.is_empty())
            })?;
        }
        Ok(())
    }

    fn agent_rss(&self, results: &mut Results) -> Result<()> {
        let pid = self.edge.edgecore()?.pid;
        // The figure is defined as five readings, thirty seconds apart, from a minute after Running.
        std::thread::sleep(Duration::from_mins(1));
        for run in 0..RUNS {
            if run > 0 {
                std::thread::sleep(Duration::from_secs(30));
            }
            results.add("agent_rss", rss_mib(pid, "VmRSS")?);
        }
        host::progress(&format!("  beside it: VmHWM {:.2} MiB", rss_mib(pid, "VmHWM")?));
        Ok(())
    }
}
