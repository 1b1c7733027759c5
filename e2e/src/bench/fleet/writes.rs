//! What cloudcore writes into the cluster to deliver objects, by the API server's audit log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::recorder::Recorder;
use super::{Bench, PATIENCE, RUNS, objects};
use crate::bench::Results;
use crate::host;

/// Nodes that get them.
const NODES: usize = 100;
const CLOUDCORE: &str = "system:serviceaccount:skerry-system:cloudcore";
const SHARED: &str = "shared";

pub(super) fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let recorder = Recorder::default();
    let fleet = bench.fleet(NODES, Some(&recorder))?;
    let ((client, runtime), nodes) = (fleet.api(), fleet.names());
    for run in 0..RUNS {
        recorder.forget();
        let before = Writes::read(bench)?;
        let pod = |node: &String| objects::pod(&format!("run-{run}-{node}"), node, &[SHARED.to_owned()]);
        runtime.block_on(async {
            objects::put_config_map(client, &objects::config_map(SHARED, run)).await?;
            objects::create_pods(client, nodes.iter().map(pod).collect()).await
        })?;
        let is_pod = |arrival: &super::recorder::Arrival| arrival.kind == "Pod";
        let mut delivered = recorder.take(nodes.len(), PATIENCE, is_pod)?.len();
        runtime.block_on(objects::delete_pods(client))?;
        fleet.wait_in_sync(PATIENCE)?;
        // What follows a delivery, follows it within this time.
        std::thread::sleep(Duration::from_secs(5));
        delivered += recorder.forget();
        let after = Writes::read(bench)?;
        let writes = after.other - before.other;
        host::progress(&format!(
            "  beside it: {delivered} objects delivered, {writes} writes, {} Lease renewals",
            after.leases - before.leases
        ));
        ensure!(delivered >= nodes.len(), "only {delivered} objects were delivered");
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        results.add("api_writes_per_delivery", writes as f64 / delivered as f64);
    }
    Ok(())
}

/// Writes of cloudcore so far, as itself or as a node.
struct Writes {
    leases: u64,
    other: u64,
}

impl Writes {
    fn read(bench: &Bench) -> Result<Self> {
        let path = bench.lab.audit_log();
        let log = File::open(&path).with_context(|| format!("no audit log {}", path.display()))?;
        let mut writes = Self { leases: 0, other: 0 };
        for line in BufReader::new(log).lines() {
            match kind_of_write(&line?) {
                Some("leases") => writes.leases += 1,
                Some(_) => writes.other += 1,
                None => {}
            }
        }
        Ok(writes)
    }
}

/// What cloudcore writes by this line of the log; `None` where it is no write, not finished, or not cloudcore's.
fn kind_of_write(line: &str) -> Option<&'static str> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let writes = ["create", "update", "patch", "delete", "deletecollection"].contains(&text("/verb"));
    // Reviews are questions that are put as writes; nothing is stored.
    let question = text("/objectRef/resource").ends_with("reviews");
    // Nor is anything where the API server refuses, as it does to whoever deletes what is gone already.
    let refused =
        event.pointer("/responseStatus/code").and_then(Value::as_u64).is_some_and(|code| code >= 400);
    if !writes
        || question
        || refused
        || text("/stage") != "ResponseComplete"
        || text("/user/username") != CLOUDCORE
    {
        return None;
    }
    Some(if text("/objectRef/resource") == "leases" { "leases" } else { "other" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_cloudcore_stores_counts() {
        let event = |verb: &str, resource: &str, user: &str, stage: &str| {
            let event = json!({"verb": verb, "stage": stage, "user": {"username": user},
                "objectRef": {"resource": resource}});
            kind_of_write(&event.to_string())
        };
        assert_eq!(event("patch", "pods", CLOUDCORE, "ResponseComplete"), Some("other"));
        assert_eq!(event("update", "leases", CLOUDCORE, "ResponseComplete"), Some("leases"));
        assert_eq!(event("get", "pods", CLOUDCORE, "ResponseComplete"), None);
        assert_eq!(event("patch", "pods", CLOUDCORE, "RequestReceived"), None);
        assert_eq!(event("patch", "pods", "kubernetes-admin", "ResponseComplete"), None);
        assert_eq!(event("create", "tokenreviews", CLOUDCORE, "ResponseComplete"), None);
        let refused = json!({"verb": "delete", "stage": "ResponseComplete", "user": {"username": CLOUDCORE},
            "objectRef": {"resource": "pods"}, "responseStatus": {"code": 404}});
        assert_eq!(kind_of_write(&refused.to_string()), None);
        assert_eq!(kind_of_write("{"), None);
    }
}
