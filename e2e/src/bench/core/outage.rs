//! How long a node takes to be whole again: after a link that swallowed everything, after a power loss.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, EDGE, PATIENCE, RUNS, SELECTOR};
use crate::bench::Results;
use crate::bench::watch::Watch;
use crate::token::{self, TOKEN_FILE};
use crate::{cri, host};

/// How long packets vanish, as the figure's name says.
const HOLE: Duration = Duration::from_secs(90);

const NODE_READY: &str = r#"READY:.status.conditions[?(@.type=="Ready")].status"#;
const POD_READY: &str = r#"NAME:.metadata.name,READY:.status.conditions[?(@.type=="Ready")].status"#;

/// The hole, and both figures that begin just before it is healed.
pub(super) fn hole(bench: &Bench, results: &mut Results) -> Result<()> {
    bench.lab.apply(include_str!("ten-service.yaml"))?;
    host::wait("all ten in the EndpointSlice", PATIENCE, || Ok(endpoints(bench)? == 10))?;
    for _ in 0..RUNS {
        let (lab, edge) = (&bench.lab, &bench.edge);
        let begun = host::now();
        edge.hole()?;
        lab.wait_node(EDGE, "Unknown", PATIENCE)?;
        host::wait("the node's pods not Ready", PATIENCE, || {
            Ok(lab.pods("default", SELECTOR)?.iter().all(|pod| !pod.ready))
        })?;
        // The figure is defined for a hole of this length.
        std::thread::sleep(HOLE.saturating_sub(begun.elapsed()));
        let node = Watch::start(lab, &["node", EDGE], NODE_READY)?;
        let pods = Watch::start(lab, &["pods", "-l", SELECTOR], POD_READY)?;
        let started = host::now();
        edge.heal()?;
        let ready =
            node.until("node Ready", PATIENCE, |words| words.first().is_some_and(|word| word == "True"))?;
        results.add("reconnect_after_hole_90s", ready.duration_since(started).as_secs_f64());
        let mut seen = std::collections::BTreeSet::new();
        let tenth = pods.until("ten pods Ready", PATIENCE, |words| {
            if let [name, ready, ..] = words
                && ready == "True"
            {
                seen.insert(name.clone());
            }
            seen.len() == 10
        })?;
        host::wait("all ten back in the EndpointSlice", PATIENCE, || Ok(endpoints(bench)? == 10))?;
        let back = host::now();
        host::progress(&format!("  pods Ready after {:.2} s", tenth.duration_since(started).as_secs_f64()));
        results.add("reconnect_pods_ready", back.duration_since(started).as_secs_f64());
    }
    Ok(())
}

/// Ready endpoints of the Service.
fn endpoints(bench: &Bench) -> Result<usize> {
    let slices = bench.lab.get(&["endpointslices", "-l", "kubernetes.io/service-name=ten"])?;
    let endpoints =
        slices["items"].as_array().into_iter().flatten().filter_map(|slice| slice["endpoints"].as_array());
    Ok(endpoints
        .flatten()
        .filter(|endpoint| endpoint.pointer("/conditions/ready") == Some(&Value::Bool(true)))
        .count())
}

/// Power lost with the link cut: from containerd's first answer to the tenth container's start, as containerd dates it.
pub(super) fn power_loss(bench: &Bench, results: &mut Results) -> Result<()> {
    for _ in 0..RUNS {
        let (lab, edge) = (&bench.lab, &bench.edge);
        lab.wait_ready("default", SELECTOR, 10, PATIENCE)?;
        edge.cut()?;
        edge.power_off()?;
        edge.boot()?;
        let (containerd, _) = edge.launch()?;
        let socket = edge.node()?.containerd_socket();
        host::wait_closely("containerd's CRI", PATIENCE, || {
            ensure!(containerd.alive(), "containerd ended");
            cri::version(&socket).map(|_| true)
        })?;
        let answered = jiff::Timestamp::now();
        let running = host::wait_for("ten containers on the edge", PATIENCE, || {
            let running = edge.containers()?;
            Ok((running.len() == 10).then_some(running))
        })?;
        let mut last = i64::MIN;
        for container in &running {
            last = last.max(edge.started_at(&container.id)?);
            let token = edge.exec_in(&container.id, &["cat", TOKEN_FILE])?;
            ensure!(
                token::pod_uid(&token)? == container.pod_uid,
                "{} holds another pod's token",
                container.pod
            );
            ensure!(
                token::expires(&token)? > answered.as_second(),
                "the token of {} has expired",
                container.pod
            );
        }
        let answered = i64::try_from(answered.as_nanosecond()).context("a clock past the year 2262")?;
        results.add(
            "powerloss_to_running_10",
            Duration::from_nanos((last - answered).max(0).unsigned_abs()).as_secs_f64(),
        );
        edge.heal()?;
        lab.wait_node(EDGE, "True", PATIENCE)?;
    }
    Ok(())
}
