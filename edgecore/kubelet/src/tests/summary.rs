//! The summary of a node that is known in full, and of one that is hardly known.

use serde_json::json;

use super::*;
use crate::testing::{NOW, seen};

fn told(told: Told) -> Value {
    let rates = BTreeMap::from([("/skerry/pods/podu/c1".to_owned(), 250_000_000)]);
    summary("edge", &seen(), &rates, WallTime(NOW.0 - 60_000), told)
}

#[test]
fn a_pod_in_full() {
    let summary = told(Told::All);
    let time = "2026-11-29T00:00:01Z";
    let pod = &summary["pods"][0];
    assert_eq!(pod["podRef"], json!({"name": "web", "namespace": "ns", "uid": "u"}));
    assert_eq!(pod["startTime"], "2026-11-29T00:00:00Z");
    let container = json!({
        "name": "main",
        "startTime": "2026-11-29T00:00:00Z",
        "cpu": {"time": time, "usageNanoCores": 250_000_000, "usageCoreNanoSeconds": 1_250_000_000},
        "memory": {
            "time": time,
            "availableBytes": 54 << 20,
            "usageBytes": 12 << 20,
            "workingSetBytes": 10 << 20,
            "rssBytes": 1 << 20,
            "pageFaults": 7,
            "majorPageFaults": 1,
        },
        "swap": {"time": time, "swapAvailableBytes": (1 << 20) - 4096, "swapUsageBytes": 4096},
        "rootfs": {"time": "2026-11-28T23:59:52Z", "usedBytes": 100, "inodesUsed": 5},
        "logs": {
            "time": time, "availableBytes": 600, "capacityBytes": 1000, "usedBytes": 20,
            "inodesFree": 90, "inodes": 100, "inodesUsed": 1,
        },
    });
    assert_eq!(pod["containers"], json!([container]));
    // What no two looks were taken of has no rate, and what has no limit nothing available.
    assert_eq!(pod["cpu"], json!({"time": time, "usageCoreNanoSeconds": 1_500_000_000}));
    assert_eq!(pod["memory"]["availableBytes"], Value::Null);
    let interface = json!({"name": "eth0", "rxBytes": 1000, "rxErrors": 3, "txBytes": 500, "txErrors": 3});
    assert_eq!(pod["network"]["interfaces"], json!([interface]));
    assert_eq!((&pod["network"]["name"], &pod["network"]["rxBytes"]), (&json!("eth0"), &json!(1000)));
    assert_eq!(pod["volume"][1]["name"], "secret");
    assert_eq!(pod["volume"][1]["usedBytes"], 50_000);
    // Written, logged, the volume on the disk, and hosts; the one in memory is none of it.
    assert_eq!(pod["ephemeral-storage"]["usedBytes"], 100 + 20 + 3000 + 7);
    assert_eq!(pod["ephemeral-storage"]["inodesUsed"], 5 + 1 + 2 + 1);
    assert_eq!(pod["process_stats"], json!({"process_count": 2}));
}

#[test]
fn the_node_in_full() {
    let summary = told(Told::All);
    let node = &summary["node"];
    assert_eq!((&node["nodeName"], &node["startTime"]), (&json!("edge"), &json!("2026-11-18T11:06:40Z")));
    // Huge pages are not available.
    assert_eq!(node["memory"]["availableBytes"], (1000 - 500 - 100) << 20);
    assert_eq!(node["fs"]["usedBytes"], 300);
    assert_eq!(node["fs"]["inodesUsed"], 10);
    assert_eq!(node["runtime"]["imageFs"]["usedBytes"], 333);
    assert_eq!(node["runtime"]["containerFs"]["capacityBytes"], 1000);
    assert_eq!((&node["rlimit"]["maxpid"], &node["rlimit"]["curproc"]), (&json!(4_194_304), &json!(345)));
    assert_eq!(node["systemContainers"][0]["name"], "pods");
    assert_eq!(node["systemContainers"][0]["memory"]["workingSetBytes"], 12 << 20);
}

#[test]
fn processors_and_memory_alone() {
    let summary = told(Told::CpuAndMemory);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&summary["node"]), "cpu memory nodeName startTime systemContainers");
    assert_eq!(keys(&summary["pods"][0]), "containers cpu memory podRef startTime");
    assert_eq!(keys(&summary["pods"][0]["containers"][0]), "cpu memory name startTime swap");
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut seen = seen();
    seen.node = NodeSeen::default();
    seen.pods[0].usage = None;
    seen.pods[0].containers[0].usage = None;
    let summary = summary("edge", &seen, &BTreeMap::new(), NOW, Told::CpuAndMemory);
    assert_eq!(
        summary["node"],
        json!({"nodeName": "edge", "startTime": "1970-01-01T00:00:00Z", "systemContainers": []})
    );
    let container = json!({"name": "main", "startTime": "2026-11-29T00:00:00Z"});
    assert_eq!(summary["pods"][0]["containers"], json!([container]));
}
