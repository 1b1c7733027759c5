//! What is used, from files such as a kernel shows them to the answer; and the pages beside.

use std::path::Path;

use edgecore_pods::runtime::{ContainerUsage, MemoryUsage, StoredBytes};
use serde_json::Value;

use super::*;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Which cgroups the kernel has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cgroups {
    First,
    Second,
}

impl Node {
    /// The kernel's files: the machine, the pod's cgroup, and those of its sandbox and container.
    fn kernel(&self, cgroups: Cgroups) {
        let proc = |file: &str, text: &str| write(&self.folder.path().join("proc").join(file), text);
        proc("stat", "cpu  100 0 50 9000 70 0 0 0 0 0\nbtime 1700000000\n");
        proc("meminfo", "MemTotal: 4096 kB\nMemFree: 1024 kB\nInactive(file): 1024 kB\nAnonPages: 512 kB\n");
        proc("net/dev", "eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n");
        // As if this process were in the pod.
        let own =
            if cgroups == Cgroups::First { "4:memory:/skerry/pods/podu\n" } else { "0::/skerry/pods/podu\n" };
        proc("self/cgroup", own);
        proc("77/net/dev", "eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n");
        if cgroups == Cgroups::Second {
            write(&self.folder.path().join("cgroup/cgroup.controllers"), "cpu io memory pids\n");
        }
        for cgroup in ["", "/s1", "/c2", "/.."] {
            self.cpu(cgroups, cgroup, 1_000_000_000);
            let file =
                |name: &str, text: &str| write(&self.cgroup_file(cgroups, "memory", cgroup, name), text);
            file("cgroup.procs", "0\n77\n");
            match cgroups {
                Cgroups::First => {
                    file("memory.usage_in_bytes", "3000\n");
                    file("memory.stat", "total_inactive_file 1000\ntotal_rss 500\n");
                }
                Cgroups::Second => {
                    file("memory.current", "3000\n");
                    file("memory.stat", "inactive_file 1000\nanon 500\n");
                }
            }
        }
    }

    fn cgroup_file(&self, cgroups: Cgroups, controller: &str, cgroup: &str, file: &str) -> PathBuf {
        let controller = if cgroups == Cgroups::First { controller } else { "" };
        self.folder.path().join("cgroup").join(controller).join(format!("skerry/pods/podu{cgroup}/{file}"))
    }

    fn cpu(&self, cgroups: Cgroups, cgroup: &str, nanos: u64) {
        let (file, text) = match cgroups {
            Cgroups::First => ("cpuacct.usage", format!("{nanos}\n")),
            Cgroups::Second => ("cpu.stat", format!("usage_usec {}\n", nanos / 1000)),
        };
        write(&self.cgroup_file(cgroups, "cpuacct", cgroup, file), &text);
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: application/json"),
            "{answer}"
        );
        serde_json::from_str(body).unwrap()
    }

    /// A page of metrics.
    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{answer}");
        body.to_owned()
    }
}

#[tokio::test]
async fn a_summary_by_either_version_of_cgroups() {
    for cgroups in [Cgroups::First, Cgroups::Second] {
        let node = Node::new().await;
        assert_eq!(node.container.0, "c2");
        node.kernel(cgroups);
        let layer = StoredBytes { counted_at_ns: 0, bytes: 700, inodes: Some(3), directory: "/".to_owned() };
        let used = ContainerUsage {
            id: node.container.clone(),
            cpu_ns: Some(5),
            memory: None,
            writable: Some(layer.clone()),
        };
        node.fake.world(|world| (world.usage, world.images) = (vec![used], Some(layer)));
        write(&node.folder.path().join("logs/ns_web_u/main/0.log"), "one\n");
        write(&node.folder.path().join("state/pods/u/volumes/data/file"), "x");
        let summary = node.json("/stats/summary").await;
        assert_eq!(summary["node"]["cpu"]["usageCoreNanoSeconds"], 1_500_000_000_u64);
        assert_eq!(summary["node"]["network"]["interfaces"][0]["rxBytes"], 1);
        assert!(summary["node"]["fs"]["capacityBytes"].is_u64(), "{summary}");
        let system = summary["node"]["systemContainers"].as_array().unwrap();
        assert_eq!(system.iter().map(|part| &part["name"]).collect::<Vec<_>>(), ["kubelet", "pods"]);
        let pod = &summary["pods"][0];
        assert_eq!(pod["memory"]["workingSetBytes"], 2000);
        assert_eq!(pod["network"]["rxBytes"], 100);
        let container = &pod["containers"][0];
        // Nothing was used between two looks, the second of which followed at once.
        assert_eq!(container["cpu"]["usageNanoCores"], 0);
        assert_eq!(container["cpu"]["usageCoreNanoSeconds"], 1_000_000_000);
        assert_eq!(
            (&container["rootfs"]["usedBytes"], &container["rootfs"]["inodesUsed"]),
            (&json!(700), &json!(3))
        );
        assert_eq!(container["logs"]["inodesUsed"], 1);
        assert_eq!(pod["volume"][0]["name"], "data");
        assert_eq!(pod["process_stats"]["process_count"], 2);
    }
}

#[tokio::test]
async fn processor_time_per_second_follows_from_the_last_question() {
    let node = Node::new().await;
    node.kernel(Cgroups::First);
    let rate = async || {
        let summary = node.json("/stats/summary?only_cpu_and_memory=true").await;
        assert_eq!(summary["pods"][0]["network"], Value::Null);
        summary["pods"][0]["containers"][0]["cpu"]["usageNanoCores"].as_u64().unwrap()
    };
    assert_eq!(rate().await, 0);
    node.cpu(Cgroups::First, "/c2", 2_000_000_000);
    // The figure stands for a second, and then for the time since: at most that second in a second.
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let rate = rate().await;
            if rate > 0 {
                break rate;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let found = found.await.unwrap();
    assert!((30_000_000..=1_000_000_000).contains(&found), "{found}");
}

#[tokio::test]
async fn pages_of_metrics() {
    let node = Node::new().await;
    node.kernel(Cgroups::Second);
    let resource = node.page("/metrics/resource").await;
    let labels = r#"{container="main",namespace="ns",pod="web"}"#;
    assert!(resource.contains(&format!("\ncontainer_cpu_usage_seconds_total{labels} 1 ")), "{resource}");
    assert!(resource.contains(&format!("\ncontainer_memory_working_set_bytes{labels} 2000 ")), "{resource}");
    assert!(resource.contains("\nnode_memory_working_set_bytes 2097152 "), "{resource}");
    let containers = node.page("/metrics/cadvisor").await;
    let network = r#"container_network_receive_bytes_total{container="",id="/skerry/pods/podu/s1",image="",interface="eth0",name="s1",namespace="ns",pod="web"} 100 "#;
    assert!(containers.contains(network), "{containers}");
    let own = node.page("/metrics").await;
    assert!(own.contains("\nown_total 5\n") && own.contains("# TYPE own_total counter\n"), "{own}");
    assert!(own.contains("\nkubelet_node_name{node=\"edge\"} 1\n"), "{own}");
    assert!(own.contains("\nkubelet_running_pods 1\n"), "{own}");
    node.fake.world(|world| world.down = true);
    assert!(node.page("/metrics/resource").await.ends_with("\nresource_scrape_error 1\n"));
    assert!(!node.page("/metrics").await.contains("kubelet_running_pods"));
    let answer = node.get("/stats/summary").await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("Internal Error: "), "{answer}");
}

#[tokio::test]
async fn a_container_without_a_cgroup_is_counted_by_the_runtime() {
    let node = Node::new().await;
    let memory = MemoryUsage { working_set: Some(4096), ..MemoryUsage::default() };
    let used = ContainerUsage {
        id: node.container.clone(),
        cpu_ns: Some(2_000_000_000),
        memory: Some(memory),
        writable: None,
    };
    node.fake.world(|world| world.usage = vec![used]);
    let page = node.page("/metrics/resource").await;
    let labels = r#"{container="main",namespace="ns",pod="web"}"#;
    assert!(page.contains(&format!("\ncontainer_cpu_usage_seconds_total{labels} 2 ")), "{page}");
    assert!(page.contains(&format!("\ncontainer_memory_working_set_bytes{labels} 4096 ")), "{page}");
}

#[tokio::test]
async fn running_pods_are_the_runtimes() {
    let node = Node::new().await;
    let list = node.json("/runningpods/").await;
    let containers = json!([{"name": "main", "image": "image", "resources": {}}]);
    let pod = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "u"},
        "spec": {"containers": containers},
        "status": {},
    });
    assert_eq!(list["items"], json!([pod]));
    node.fake.world(edgecore_pods::fake::World::reboot);
    assert_eq!(node.json("/runningpods/").await["items"], json!([]));
}

#[tokio::test]
async fn the_configuration_is_the_agents() {
    let configuration = Node::new().await.json("/configz").await["kubeletconfig"].clone();
    assert_eq!(configuration["kind"], "KubeletConfiguration");
    assert_eq!(
        (&configuration["maxPods"], &configuration["clusterDNS"]),
        (&json!(110), &json!(["10.96.0.10"]))
    );
    assert_eq!(configuration["containerLogMaxSize"], "10Mi");
}

#[tokio::test]
async fn checkpoints_are_made_by_a_runtime_that_can() {
    let node = Node::new().await;
    let ask = async |path: &str| node.ask(&format!("POST {path} HTTP/1.1\r\nhost: edge\r\n\r\n")).await;
    let answer = ask("/checkpoint/ns/web/main").await;
    let words = "checkpointing of ns/web/main failed (rpc error: code = Unimplemented";
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains(words), "{answer}");
    assert!(ask("/checkpoint/ns/web/other").await.starts_with("HTTP/1.1 404 "));
    assert!(ask("/checkpoint/ns/web/main?timeout=x").await.starts_with("HTTP/1.1 404 "));
    node.fake.world(|world| world.checkpoints = true);
    let answer = ask("/checkpoint/ns/web/main?timeout=5").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    let made: Value = serde_json::from_str(body).unwrap();
    let path = made["items"][0].as_str().unwrap();
    let directory = node.folder.path().join("state/checkpoints");
    assert!(path.starts_with(&format!("{}/checkpoint-web_ns-main-", directory.display())), "{path}");
    assert!(path.ends_with("Z.tar") && std::fs::read(path).unwrap() == b"checkpoint");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&directory).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let asked = node.fake.world(|world| world.calls.last().cloned()).unwrap();
    assert_eq!(asked, format!("checkpoint {} {path} Some(5s)", node.container.0));
}

#[tokio::test]
async fn methods_and_paths_have_a_kubelets_words() {
    let node = Node::new().await;
    for (request, status, words) in [
        ("GET /logs/syslog", 405, "\r\n\r\nlogs endpoint is disabled.\n"),
        ("PUT /stats/summary", 405, "\r\n\r\n405: Method Not Allowed"),
        ("PUT /stats/summary", 405, "\r\nallow: GET, POST\r\n"),
        ("GET /checkpoint/ns/web/main", 405, "\r\nallow: POST\r\n"),
        ("GET /stats/container", 404, "\r\n\r\n404: Page Not Found"),
        ("GET /nothing", 404, "\r\n\r\n404 page not found\n"),
        ("HEAD /configz", 200, "\r\n\r\n"),
    ] {
        let answer = node.ask(&format!("{request} HTTP/1.1\r\nhost: edge\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words),
            "{request}: {answer}"
        );
    }
    let head = node.ask("HEAD /metrics HTTP/1.1\r\nhost: edge\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
}
