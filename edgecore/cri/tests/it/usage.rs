//! What the runtime counts, and where what it does not count is found.

use std::fs;
use std::path::Path;
use std::time::Duration;

use edgecore_cri::Cri;
use edgecore_kubelet::{About, Configuration, Kubelet, Machine, Parts};
use edgecore_pods::probe_counts::ProbeCounts;
use edgecore_pods::runtime::{Checkpoints, Runtime, RuntimeError, Statistics};
use edgecore_pods::spec::sandbox::cgroup;
use edgecore_store::Store;
use kit::Clock;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::daemon::{Daemon, container};

#[tokio::test]
async fn a_container_is_counted_and_has_its_cgroup() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let line = "head -c 200000 /dev/zero > /tmp/file; sleep 1000";
    let id = cri.create_container(&sandbox, &spec, &container(&spec, "main", line)).await.unwrap();
    cri.start_container(&id).await.unwrap();
    // containerd looks at what containers wrote every ten seconds.
    let used = daemon
        .eventually("what the container wrote", async || {
            let used = cri.container_usage().await.unwrap();
            let own = used.into_iter().find(|used| used.id == id)?;
            (own.writable.as_ref()?.bytes >= 200_000).then_some(own)
        })
        .await;
    assert!(used.cpu_ns.is_some_and(|cpu_ns| cpu_ns > 0), "{used:?}");
    assert!(used.memory.and_then(|memory| memory.working_set).is_some_and(|bytes| bytes > 0), "{used:?}");
    let writable = used.writable.unwrap();
    assert!(writable.counted_at_ns > 0 && Path::new(&writable.directory).is_dir(), "{writable:?}");

    let images = cri.image_storage().await.unwrap().unwrap();
    assert!(images.directory.starts_with(daemon.dir.path().to_str().unwrap()), "{images:?}");

    // Its cgroup lies in the pod's, under its id: by that the kernel is asked.
    let root = Path::new("/sys/fs/cgroup");
    let root = if root.join("cgroup.controllers").exists() { root.to_owned() } else { root.join("memory") };
    let cgroup = root.join(spec.cgroup_parent.trim_start_matches('/'));
    for inner in [&id.0, &sandbox.0] {
        let processes = fs::read_to_string(cgroup.join(inner).join("cgroup.procs")).unwrap();
        assert!(processes.lines().count() > 0, "{inner}");
    }

    let process = cri.process().await.unwrap();
    let program = fs::read_to_string(format!("/proc/{process}/comm")).unwrap();
    assert_eq!(program.trim(), "containerd");
}

#[tokio::test]
async fn a_checkpoint_is_made_or_the_runtime_says_why_not() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let spec = daemon.sandbox("u1", true);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let id = cri.create_container(&sandbox, &spec, &container(&spec, "main", "sleep 1000")).await.unwrap();
    cri.start_container(&id).await.unwrap();
    let path = daemon.path("checkpoint.tar");
    let made = cri.checkpoint(&id, path.to_str().unwrap(), Some(Duration::from_secs(30))).await;
    let version = cri.version().await.unwrap().version;
    if version.trim_start_matches('v').starts_with("1.") {
        let error = made.unwrap_err();
        assert!(matches!(error, RuntimeError::Failed(_)), "{error:?}");
        assert!(error.to_string().starts_with("rpc error: code = Unimplemented"), "{error}");
    } else {
        // Without CRIU on the machine it says so.
        assert!(made.is_ok() == path.exists(), "{made:?}");
    }
}

fn kubelet(daemon: &Daemon) -> Kubelet<Cri> {
    let about = About {
        node_name: "edge".to_owned(),
        kubelet_version: "v1.37.1".to_owned(),
        state_dir: daemon.dir.path().to_owned(),
        pod_logs_dir: daemon.path("logs"),
        machine: Machine::default(),
        configuration: Configuration::default(),
        probes: ProbeCounts::default(),
        own_metrics: Box::new(String::new),
    };
    let store = Store::open(&daemon.path("store"), Clock::system()).unwrap().store;
    Kubelet::new(Parts::new(store, daemon.cri.clone(), Clock::system(), Vec::new, about))
}

async fn get(kubelet: &Kubelet<Cri>, path: &str) -> String {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    kubelet.serve(far);
    near.write_all(format!("GET {path} HTTP/1.1\r\nhost: edge\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    body.to_owned()
}

#[tokio::test]
async fn a_busy_pod_is_told_of_by_this_kernel_and_this_runtime() {
    let daemon = Daemon::start().await;
    let cri = &daemon.cri;
    let written = edgecore_node::cni::conflist(&["10.244.7.0/24".parse().unwrap()]);
    fs::write(daemon.path("cni/10-skerry.conflist"), written).unwrap();
    daemon.health(edgecore_cri::Health::is_good).await;
    let uid = daemon.cgroup();
    let mut spec = daemon.sandbox(&uid, false);
    spec.cgroup_parent = cgroup(&uid);
    let sandbox = cri.run_sandbox(&spec).await.unwrap();
    let mut wanted = container(&spec, "main", "while :; do :; done");
    (wanted.resources.cpu_quota, wanted.resources.cpu_period) = (10_000, 100_000);
    let id = cri.create_container(&sandbox, &spec, &wanted).await.unwrap();
    cri.start_container(&id).await.unwrap();

    let kubelet = kubelet(&daemon);
    let summary: Value = serde_json::from_str(&get(&kubelet, "/stats/summary").await).unwrap();
    let pod = summary["pods"].as_array().unwrap().iter().find(|pod| pod["podRef"]["uid"] == *uid).unwrap();
    let container = &pod["containers"][0];
    assert_eq!(container["name"], "main");
    // A tenth of a processor is what it may have, and what it takes.
    let rate = container["cpu"]["usageNanoCores"].as_u64().unwrap();
    assert!((1_000_000..400_000_000).contains(&rate), "{container}");
    for (of, field) in [
        (container, "/memory/workingSetBytes"),
        (container, "/memory/availableBytes"),
        (container, "/cpu/usageCoreNanoSeconds"),
        (pod, "/memory/rssBytes"),
        (pod, "/cpu/usageCoreNanoSeconds"),
        (pod, "/process_stats/process_count"),
        (pod, "/ephemeral-storage/capacityBytes"),
        (&summary, "/node/cpu/usageNanoCores"),
        (&summary, "/node/memory/workingSetBytes"),
        (&summary, "/node/memory/availableBytes"),
        (&summary, "/node/fs/capacityBytes"),
        (&summary, "/node/runtime/imageFs/capacityBytes"),
        (&summary, "/node/rlimit/maxpid"),
    ] {
        let figure = of.pointer(field).and_then(Value::as_u64);
        assert!(figure.is_some_and(|figure| figure > 0), "{field} in {summary}");
    }
    // Its own interface, and none of this machine's.
    let interfaces = pod["network"]["interfaces"].as_array().unwrap();
    assert_eq!(interfaces.iter().map(|interface| &interface["name"]).collect::<Vec<_>>(), ["eth0"], "{pod}");
    assert!(pod["network"]["rxBytes"].is_u64(), "{pod}");

    let labels = format!("namespace=\"default\",pod=\"pod-{uid}\"");
    let page = get(&kubelet, "/metrics/resource").await;
    for name in ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"] {
        assert!(page.contains(&format!("\n{name}{{container=\"main\",{labels}}} ")), "{name} in {page}");
    }
    let throttled = daemon
        .eventually("throttling", async || {
            let page = get(&kubelet, "/metrics/cadvisor").await;
            let line = page.lines().find(|line| {
                line.starts_with("container_cpu_cfs_throttled_periods_total{container=\"main\"")
                    && line.contains(&labels)
            })?;
            (line.split(' ').nth(1)? != "0").then(|| line.to_owned())
        })
        .await;
    assert!(throttled.contains(&format!("name=\"{}\"", id.0)), "{throttled}");
}
