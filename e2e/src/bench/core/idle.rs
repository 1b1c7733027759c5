//! What a node costs while nothing happens.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, PATIENCE, SELECTOR};
use crate::bench::Results;
use crate::bench::sample::{Used, runtime_pids};
use crate::host;
use crate::proc::tree;

/// Length of every idle window, as the figures define it.
const WINDOW: Duration = Duration::from_mins(5);

/// Two windows: with the agent, and without it, since the runtime's figures are differences.
pub(super) fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    settle();
    let with = window(bench)?;
    bench.edge.kill()?;
    let without = window(bench)?;
    bench.edge.start()?;
    bench.lab.wait_ready("default", SELECTOR, 10, PATIENCE)?;

    let minutes = WINDOW.as_secs_f64() / 60.0;
    results.add("agent_idle_cpu", percent(with.agent.cpu));
    results.add("agent_idle_written", with.agent.written / minutes);
    results.add("link_idle_rate", with.link_bytes * 8.0 / WINDOW.as_secs_f64());
    results.add("runtime_idle_cpu", percent(with.runtime.cpu - without.runtime.cpu));
    results.add("runtime_idle_written", (with.runtime.written - without.runtime.written) / minutes);
    Ok(())
}

/// One window with ten pods that are probed.
pub(super) fn probed(bench: &Bench, results: &mut Results) -> Result<()> {
    bench.lab.kubectl(&["delete", "deployment", "ten", "--ignore-not-found"])?;
    bench.lab.apply(include_str!("probed.yaml"))?;
    bench.lab.wait_ready("default", "app=probed", 10, PATIENCE)?;
    settle();
    results.add("agent_idle_cpu_probed", percent(window(bench)?.agent.cpu));
    bench.lab.kubectl(&["delete", "deployment", "probed"])?;
    Ok(())
}

/// Idle begins when what came before has ended: a minute after.
fn settle() {
    std::thread::sleep(Duration::from_mins(1));
}

/// What was used in one window.
struct Window {
    agent: Used,
    runtime: Used,
    link_bytes: f64,
}

#[expect(clippy::cast_precision_loss, reason = "bytes of five idle minutes stay far below 2^52")]
fn window(bench: &Bench) -> Result<Window> {
    let agent = bench.edge.edgecore().map(|process| process.pid).ok();
    let runtime = runtime_pids(bench.edge.containerd()?.pid);
    let look = || {
        let agent = agent.map(|pid| Used::by(&tree(pid))).unwrap_or_default();
        (agent, Used::by(&runtime))
    };
    let traffic = bench.edge.traffic()?;
    let before = look();
    host::progress(&format!("  idle for {} s", WINDOW.as_secs()));
    std::thread::sleep(WINDOW);
    let after = look();
    let link_bytes = bench.edge.traffic()?.since(traffic).bytes() as f64;
    Ok(Window { agent: since(after.0, before.0), runtime: since(after.1, before.1), link_bytes })
}

fn since(now: Used, before: Used) -> Used {
    Used { cpu: now.cpu - before.cpu, written: now.written - before.written }
}

/// Seconds of processor time in a window as percent of one core.
fn percent(cpu: f64) -> f64 {
    cpu * 100.0 / WINDOW.as_secs_f64()
}
