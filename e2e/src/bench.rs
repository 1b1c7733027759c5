//! The figures: which there are, which were asked for, how they are printed.
//!
//! Results go to stdout, one line a figure; what is going on goes to stderr. A figure that failed is absent from the
//! results, named on stderr, and makes the exit status 1.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use serde_json::json;

use crate::host;

mod core;
mod fleet;
mod kubectl;
mod sample;
mod watch;

/// A figure's name, unit and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figure {
    name: &'static str,
    unit: &'static str,
    group: &'static str,
}

const fn core(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, group: "core" }
}

const fn fleet(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, group: "fleet" }
}

const fn kubectl(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, group: "kubectl" }
}

const fn ordinary(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, group: ORDINARY }
}

/// The group of what is compared with, measured only where it is asked for: upstream's kubelet takes minutes to build.
const ORDINARY: &str = "ordinary";
/// Nodes of the largest fleet.
const NODES: usize = 10_000;

/// Every figure, in the order of measuring.
const FIGURES: [Figure; 40] = [
    core("agent_binary", "MiB"),
    core("cloud_binary", "MiB"),
    core("cloud_rss", "MiB"),
    core("apply_to_running_10", "s"),
    core("agent_rss", "MiB"),
    core("agent_idle_cpu", "%"),
    core("agent_idle_written", "B/min"),
    core("link_idle_rate", "bit/s"),
    core("runtime_idle_cpu", "%"),
    core("runtime_idle_written", "B/min"),
    core("agent_idle_cpu_probed", "%"),
    core("reconnect_after_hole_90s", "s"),
    core("reconnect_pods_ready", "s"),
    core("powerloss_to_running_10", "s"),
    fleet("resync_bytes_0", "B"),
    fleet("resync_bytes_1", "B"),
    fleet("resync_bytes_100", "B"),
    fleet("configmap_1000_nodes_p50", "s"),
    fleet("configmap_1000_nodes_p99", "s"),
    fleet("pod_create_p99", "s"),
    fleet("session_memory", "KiB"),
    fleet("cloud_rss_10k", "MiB"),
    fleet("heartbeat_cpu_10k", "%"),
    fleet("apiserver_cpu_10k", "%"),
    fleet("reconnect_10k", "s"),
    fleet("reconnect_10k_rss", "MiB"),
    fleet("api_writes_per_delivery", "1"),
    kubectl("kubectl_start", "s"),
    kubectl("logs_first_byte", "s"),
    kubectl("exec_first_byte", "s"),
    kubectl("ctr_exec_first_byte", "s"),
    kubectl("cp_rate", "MiB/s"),
    kubectl("forward_rate", "MiB/s"),
    kubectl("stream_memory", "KiB"),
    kubectl("followers_cpu_cloud", "%"),
    kubectl("followers_cpu_edge", "%"),
    ordinary("ordinary_logs_first_byte", "s"),
    ordinary("ordinary_exec_first_byte", "s"),
    ordinary("ordinary_cp_rate", "MiB/s"),
    ordinary("ordinary_forward_rate", "MiB/s"),
];

/// What was asked.
#[derive(Debug)]
struct Options {
    wanted: Vec<Figure>,
    json: bool,
    dir: PathBuf,
    /// Nodes of the largest fleet; with fewer than [`NODES`] the figures are not those that `docs/figures.md` means.
    nodes: usize,
}

impl Options {
    fn want(&self, group: &str) -> bool {
        self.wanted.iter().any(|figure| figure.group == group)
    }
}

/// What was measured: all runs of each figure.
#[derive(Debug, Default)]
struct Results {
    runs: BTreeMap<&'static str, Vec<f64>>,
    failed: BTreeMap<&'static str, String>,
}

impl Results {
    fn add(&mut self, name: &'static str, run: f64) {
        host::progress(&format!("  {name}: {run:.4}"));
        self.runs.entry(name).or_default().push(run);
    }

    /// Runs a measurement that yields these figures; its failure is theirs.
    fn measure(&mut self, names: &[&'static str], work: impl FnOnce(&mut Self) -> Result<()>) {
        host::progress(&format!("measuring {}", names.join(", ")));
        if let Err(error) = work(self) {
            for name in names {
                self.runs.remove(name);
                self.failed.insert(name, format!("{error:#}"));
            }
        }
    }
}

/// Runs the benchmarks with what follows the program's name: 0 done, 1 a figure failed, 2 not understood.
pub fn main(arguments: &[String]) -> ExitCode {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            host::progress(&format!("error: {error:#}"));
            return ExitCode::from(2);
        }
    };
    let wanted = |name: &str| options.wanted.iter().any(|figure| figure.name == name);
    let mut results = Results::default();
    let mut ended = Ok(());
    if options.want("core") {
        ended = core::measure(&options.dir, &wanted, &mut results);
    }
    if options.want("fleet") {
        let measured = fleet::measure(&options.dir, options.nodes, &wanted, &mut results);
        ended = ended.and(measured);
    }
    if options.want("kubectl") {
        let measured = kubectl::measure(&options.dir, &wanted, &mut results);
        ended = ended.and(measured);
    }
    if options.want(ORDINARY) {
        let measured = kubectl::compare(&options.dir, &wanted, &mut results);
        ended = ended.and(measured);
    }
    for figure in &options.wanted {
        print(figure, &mut results, options.json);
    }
    if let Err(error) = ended {
        host::progress(&format!("error: {error:#}"));
        return ExitCode::FAILURE;
    }
    for (name, reason) in &results.failed {
        host::progress(&format!("{name} failed: {reason}"));
    }
    if results.failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    let names: Vec<_> = results.failed.into_keys().collect();
    host::progress(&format!("error: no figure for {}", names.join(", ")));
    ExitCode::FAILURE
}

fn parse(arguments: &[String]) -> Result<Options> {
    let (mut names, mut json, mut dir) = (Vec::new(), false, Path::new("target/bench").to_owned());
    let mut nodes = NODES;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => json = true,
            "--dir" => match words.next() {
                Some(given) => dir = given.into(),
                None => bail!("--dir needs a directory"),
            },
            "--nodes" => match words.next().and_then(|given| given.parse().ok()) {
                Some(given @ 1..=NODES) => nodes = given,
                _ => bail!("--nodes needs a number up to {NODES}"),
            },
            flag if flag.starts_with('-') => {
                bail!("'{flag}' is not understood; usage: hack/bench [NAME…] [--json] [--nodes N]")
            }
            name => names.push(name.to_owned()),
        }
    }
    for name in &names {
        let known = FIGURES.iter().any(|figure| figure.name == name || figure.group == name);
        ensure!(known, "no figure or group is called '{name}'");
    }
    let chosen = |figure: &Figure| {
        (names.is_empty() && figure.group != ORDINARY)
            || names.iter().any(|name| name == figure.name || name == figure.group)
    };
    Ok(Options { wanted: FIGURES.into_iter().filter(chosen).collect(), json, dir, nodes })
}

fn print(figure: &Figure, results: &mut Results, as_json: bool) {
    use std::io::Write;
    let runs = results.runs.get(figure.name).map(Vec::as_slice).unwrap_or_default();
    let Some(value) = median(runs) else {
        results.failed.entry(figure.name).or_insert_with(|| "not measured".to_owned());
        return;
    };
    let line = if as_json {
        json!({"name": figure.name, "value": value, "unit": figure.unit, "runs": runs}).to_string()
    } else {
        let runs: Vec<_> = runs.iter().map(|run| format!("{run:.3}")).collect();
        format!("{:26} {value:10.3} {:6} runs {}", figure.name, figure.unit, runs.join(" "))
    };
    // Nobody reading is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The middle of the runs, the mean of the two middle ones where their number is even.
fn median(runs: &[f64]) -> Option<f64> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => sorted.get(middle).copied(),
        _ => Some(f64::midpoint(*sorted.get(middle - 1)?, *sorted.get(middle)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_means_its_figures_and_nothing_means_all_of_ours() {
        let count = |words: &[&str]| {
            parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
                .map(|options| options.wanted.len())
        };
        assert_eq!(count(&[]).unwrap(), FIGURES.len() - 4);
        assert_eq!(count(&["ordinary"]).unwrap(), 4);
        assert_eq!(count(&["core"]).unwrap(), 14);
        assert_eq!(count(&["fleet", "--nodes", "200"]).unwrap(), 13);
        assert!(count(&["fleet", "--nodes", "0"]).is_err());
        assert_eq!(count(&["agent_rss", "--json"]).unwrap(), 1);
        assert!(count(&["nonsense"]).is_err());
        assert!(count(&["--nonsense"]).is_err());
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
