//! How fast a change reaches a thousand nodes, and a new pod its own.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::recorder::Recorder;
use super::{Bench, CONFIG_MAP, DELIVERED_TO, PATIENCE, RUNS, objects, percentile};
use crate::bench::Results;
use crate::{Fleet, host};

const SHARED: &str = "shared";
/// Pods a second that are offered where the API server can take them.
const RATE: f64 = 1_000.0;
/// Pods of one run.
const PODS: usize = 2_000;

pub(super) fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let recorder = Recorder::default();
    let fleet = bench.fleet(DELIVERED_TO.min(bench.nodes), Some(&recorder))?;
    config_map(&fleet, &recorder, results)?;
    pods(bench, &fleet, &recorder, results)
}

fn config_map(fleet: &Fleet, recorder: &Recorder, results: &mut Results) -> Result<()> {
    let ((client, runtime), nodes) = (fleet.api(), fleet.names());
    let pods = nodes.iter().map(|node| objects::pod(&format!("on-{node}"), node, &[SHARED.to_owned()]));
    runtime.block_on(async {
        objects::put_config_map(client, &objects::config_map(SHARED, 0)).await?;
        objects::create_pods(client, pods.collect()).await
    })?;
    let shared = |arrival: &super::recorder::Arrival| arrival.kind == "ConfigMap" && arrival.name == SHARED;
    recorder.take(nodes.len(), PATIENCE, shared)?;
    for edition in 1..=RUNS {
        recorder.forget();
        let begun = host::now();
        runtime.block_on(objects::put_config_map(client, &objects::config_map(SHARED, edition)))?;
        let arrivals = recorder.take(nodes.len(), PATIENCE, shared)?;
        let mut seconds: Vec<f64> =
            arrivals.iter().map(|arrival| arrival.at.duration_since(begun).as_secs_f64()).collect();
        for (figure, share) in CONFIG_MAP.into_iter().zip([0.5, 0.99]) {
            results.add(figure, percentile(&mut seconds, share).context("nothing arrived")?);
        }
    }
    runtime.block_on(objects::delete_pods(client))
}

/// What the API server takes alone is measured with cloudcore dead; the fleet waits, and comes back.
fn pods(bench: &Bench, fleet: &Fleet, recorder: &Recorder, results: &mut Results) -> Result<()> {
    let ((client, runtime), nodes) = (fleet.api(), fleet.names());
    (0..nodes.len()).for_each(|number| fleet.hold_back(number, true));
    bench.lab.kill_cloud(None)?;
    let begun = host::now();
    runtime.block_on(objects::create_pods(client, named("alone", nodes, PODS).into_values().collect()))?;
    #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
    let alone = PODS as f64 / begun.elapsed().as_secs_f64();
    runtime.block_on(objects::delete_pods(client))?;
    bench.lab.start_cloud(None)?;
    (0..nodes.len()).for_each(|number| fleet.hold_back(number, false));
    fleet.wait_in_sync(PATIENCE)?;
    // Flat out it queues; what it holds for long is half of that.
    let rate = (alone / 2.0).min(RATE);
    host::progress(&format!(
        "  beside it: the API server alone takes {alone:.0} pods a second flat out; offered {rate:.0}"
    ));
    for run in 0..RUNS {
        let prefix = format!("run-{run}");
        recorder.forget();
        let offered = named(&prefix, nodes, PODS).into_iter().collect();
        let begun: BTreeMap<String, Instant> =
            runtime.block_on(objects::offer_pods(client, offered, rate))?.into_iter().collect();
        let arrivals = recorder.take(PODS, PATIENCE, |arrival| begun.contains_key(&arrival.name))?;
        let latency = |arrival: &super::recorder::Arrival| {
            Some(arrival.at.duration_since(*begun.get(&arrival.name)?).as_secs_f64())
        };
        let mut seconds: Vec<f64> = arrivals.iter().filter_map(latency).collect();
        results.add("pod_create_p99", percentile(&mut seconds, 0.99).context("nothing arrived")?);
        runtime.block_on(objects::delete_pods(client))?;
    }
    Ok(())
}

/// So many pods by name, spread over the nodes.
fn named(prefix: &str, nodes: &[String], count: usize) -> BTreeMap<String, Value> {
    let spread = nodes.iter().cycle().take(count).enumerate();
    let one = |(number, node): (usize, &String)| {
        let name = format!("{prefix}-{number}");
        let pod = objects::pod(&name, node, &[]);
        (name, pod)
    };
    spread.map(one).collect()
}
