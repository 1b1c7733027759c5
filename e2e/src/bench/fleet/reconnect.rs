//! A cloudcore that died comes back, and with it the whole fleet.

use anyhow::{Context, Result};

use super::{Bench, PATIENCE, RUNS};
use crate::bench::Results;
use crate::bench::sample::rss_mib;
use crate::{Fleet, host};

pub(super) fn measure(bench: &Bench, fleet: &Fleet, results: &mut Results) -> Result<()> {
    for _ in 0..RUNS {
        bench.lab.kill_cloud(None)?;
        host::wait("every session ended", PATIENCE, || Ok(fleet.counts().connected == 0))?;
        let (requests, again) = (requests(bench)?, fleet.sent_again());
        let begun = host::now();
        bench.lab.start_cloud(None)?;
        fleet.wait_in_sync(PATIENCE)?;
        results.add("reconnect_10k", begun.elapsed().as_secs_f64());
        let pid = bench.cloud()?.pid;
        // What a machine must have for it is the most that it was.
        results.add("reconnect_10k_rss", rss_mib(pid, "VmHWM")?);
        host::progress(&format!(
            "  beside it: {} requests to the API server, {} objects sent again, VmRSS {:.1} MiB",
            self::requests(bench)?.saturating_sub(requests),
            fleet.sent_again() - again,
            rss_mib(pid, "VmRSS")?
        ));
    }
    Ok(())
}

/// Requests that the API server has answered, by its own metrics; whoever made them.
fn requests(bench: &Bench) -> Result<u64> {
    let metrics = bench.lab.kubectl(&["get", "--raw", "/metrics"])?;
    let counted = metrics.lines().filter(|line| line.starts_with("apiserver_request_total{"));
    let number = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
    let sum = counted.map(number).sum::<Option<f64>>().context("a counter that is no number")? as u64;
    Ok(sum)
}
