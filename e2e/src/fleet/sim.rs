//! `lab sim`: a fleet by hand, and how it fares, every second on a line.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use link::Endpoint;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::{Fleet, Options};
use crate::Lab;

/// Runs so many simulated edges until SIGINT or SIGTERM.
///
/// # Errors
/// They cannot be made members, or nobody reads the lines.
pub fn run(lab: &Lab, nodes: usize, cloud: Option<Endpoint>) -> Result<()> {
    // With the lab's other processes, so that `down` finds this one.
    for entrance in lab.host_group()?.entrances(None) {
        std::fs::write(&entrance, "0").with_context(|| format!("cannot enter {}", entrance.display()))?;
    }
    let fleet = Fleet::start(lab, Options { nodes, endpoints: cloud.into_iter().collect(), probe: None })?;
    fleet.api().1.block_on(print(&fleet))
}

async fn print(fleet: &Fleet) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = second.tick() => {
                fleet.check()?;
                let line = serde_json::to_string(&fleet.counts())?;
                writeln!(std::io::stdout(), "{line}").context("nobody reads the numbers")?;
            }
        }
    }
}
