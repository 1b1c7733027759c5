//! What sessions cost while nothing happens: memory, descriptors, and the processor time of heartbeats and Leases.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use crate::bench::Results;
use crate::bench::sample::{Used, rss_mib};
use crate::host;
use crate::proc::all_pids;

/// What the figure calls settled.
const SETTLED: Duration = Duration::from_mins(1);
/// Every Lease is renewed several times in it.
const WINDOW: Duration = Duration::from_mins(2);

#[expect(clippy::cast_precision_loss, reason = "a number of nodes")]
pub(super) fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let cloud = bench.cloud()?.pid;
    std::thread::sleep(SETTLED);
    let rss = rss_mib(cloud, "VmRSS")?;
    results.add("session_memory", (rss - bench.empty_mib) * 1024.0 / bench.nodes as f64);
    results.add("cloud_rss_10k", rss);
    let descriptors = std::fs::read_dir(format!("/proc/{cloud}/fd"))?.count();
    host::progress(&format!(
        "  beside it: {descriptors} descriptors, VmHWM {:.1} MiB, {:.1} MiB before; kernel memory of all sockets: {}",
        rss_mib(cloud, "VmHWM")?,
        bench.empty_mib,
        socket_memory()?
    ));
    let apiserver = apiserver(&bench.lab.dir().display().to_string())?;
    let used = || (Used::by(&[cloud]).cpu, Used::by(&[apiserver]).cpu);
    let (before, begun) = (used(), host::now());
    std::thread::sleep(WINDOW);
    let (after, seconds) = (used(), begun.elapsed().as_secs_f64());
    results.add("heartbeat_cpu_10k", (after.0 - before.0) / seconds * 100.0);
    results.add("apiserver_cpu_10k", (after.1 - before.1) / seconds * 100.0);
    Ok(())
}

/// The API server of the lab in this directory.
fn apiserver(dir: &str) -> Result<i32> {
    let is_it = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(dir) && line.split('\0').any(|word| word.rsplit('/').next() == Some("kube-apiserver"))
    };
    all_pids().into_iter().find(is_it).context("no kube-apiserver of this lab")
}

/// The kernel's own words: TCP sockets in use and the pages their buffers take, the fleet's side included.
fn socket_memory() -> Result<String> {
    let text = std::fs::read_to_string("/proc/net/sockstat")?;
    text.lines().find(|line| line.starts_with("TCP:")).map(str::to_owned).context("sockstat without TCP")
}
