//! What coming back costs on the wire: TCP payload both ways after the handshakes, Hello to in sync, with so many of a
//! node's ConfigMaps of 1 KiB changed meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Bench, PATIENCE, RESYNC, RUNS, objects};
use crate::bench::Results;
use crate::{Fleet, host};

const CHANGES: [usize; 3] = [0, 1, 100];
/// What was sent last is on the wire when nothing was for so long. Less than a heartbeat.
const QUIET: Duration = Duration::from_secs(1);

pub(super) fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let fleet = bench.fleet(1, None)?;
    let (client, runtime) = fleet.api();
    let names: Vec<String> = (0..100).map(|number| format!("settings-{number:03}")).collect();
    let node = fleet.names().first().context("a fleet without nodes")?;
    runtime.block_on(async {
        for name in &names {
            objects::put_config_map(client, &objects::config_map(name, 0)).await?;
        }
        objects::create_pods(client, vec![objects::pod("named", node, &names)]).await
    })?;
    // Its Node, the API server's Service, the pod, its account and its ConfigMaps.
    host::wait("the pod and its ConfigMaps on the node", PATIENCE, || Ok(fleet.held(0) >= 104))?;
    let mut edition = 0;
    for (figure, changes) in RESYNC.into_iter().zip(CHANGES) {
        for _ in 0..RUNS {
            edition += 1;
            results.add(figure, run(&fleet, &names, changes, edition)?);
        }
    }
    runtime.block_on(objects::delete_pods(client))
}

#[expect(clippy::cast_precision_loss, reason = "bytes stay far below 2^52")]
fn run(fleet: &Fleet, names: &[String], changes: usize, edition: usize) -> Result<f64> {
    let (client, runtime) = fleet.api();
    fleet.hold_back(0, true);
    host::wait("the node gone", PATIENCE, || Ok(fleet.counts().connected == 0))?;
    let changed = names.get(..changes).context("more changes than ConfigMaps")?;
    runtime.block_on(async {
        for name in changed {
            objects::put_config_map(client, &objects::config_map(name, edition)).await?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    // cloudcore's watch must have seen them, or they would come as changes after a resync of nothing.
    std::thread::sleep(QUIET);
    let before = fleet.applied();
    fleet.hold_back(0, false);
    fleet.wait_in_sync(PATIENCE)?;
    let bytes = settled(fleet)?;
    let applied = fleet.applied() - before;
    ensure!(applied == u64::try_from(changes)?, "{applied} objects came where {changes} had changed");
    Ok(bytes as f64)
}

/// The bytes of the session once nothing is under way any more.
fn settled(fleet: &Fleet) -> Result<u64> {
    let mut last = (fleet.traffic(0), host::now());
    host::wait_for("a quiet connection", PATIENCE, || {
        let bytes = fleet.traffic(0);
        if bytes != last.0 {
            last = (bytes, host::now());
        }
        Ok(bytes.filter(|_| last.1.elapsed() >= QUIET))
    })
}
