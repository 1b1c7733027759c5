//! The page that dashboards read.

use super::*;
use crate::testing::seen;

fn page_of(seen: Option<&Seen>) -> String {
    let machine = Machine {
        cpus: 4,
        memory: 8 << 30,
        machine_id: "m".to_owned(),
        system_uuid: "s".to_owned(),
        boot_id: "b".to_owned(),
    };
    page(&machine, seen)
}

#[test]
fn every_cgroup_with_the_labels_of_its_pod() {
    let page = page_of(Some(&seen()));
    let main = r#"id="/skerry/pods/podu/c1",image="busybox:latest",name="c1",namespace="ns",pod="web""#;
    let samples = [
        r#"machine_cpu_cores{boot_id="b",machine_id="m",system_uuid="s"} 4"#.to_owned(),
        r#"machine_memory_bytes{boot_id="b",machine_id="m",system_uuid="s"} 8589934592"#.to_owned(),
        format!(
            r#"container_cpu_usage_seconds_total{{container="main",cpu="total",{main}}} 1.25 1795910401500"#
        ),
        format!(r#"container_cpu_cfs_periods_total{{container="main",{main}}} 20 1795910401500"#),
        format!(r#"container_cpu_cfs_throttled_periods_total{{container="main",{main}}} 3 1795910401500"#),
        format!(
            r#"container_cpu_cfs_throttled_seconds_total{{container="main",{main}}} 0.0045 1795910401500"#
        ),
        format!(r#"container_memory_working_set_bytes{{container="main",{main}}} 10485760 1795910401500"#),
        format!(r#"container_memory_swap{{container="main",{main}}} 4096 1795910401500"#),
        format!(
            r#"container_fs_writes_bytes_total{{container="main",device="/dev/sda",{main}}} 8192 1795910401500"#
        ),
        format!(r#"container_fs_reads_total{{container="main",device="/dev/sda",{main}}} 1 1795910401500"#),
        format!(r#"container_spec_cpu_quota{{container="main",{main}}} 50000"#),
        format!(r#"container_spec_memory_limit_bytes{{container="main",{main}}} 67108864"#),
        format!(r#"container_start_time_seconds{{container="main",{main}}} 1795910400"#),
        format!(r#"container_last_seen{{container="main",{main}}} 1795910401 1795910401500"#),
    ];
    let others = [
        // The network is the sandbox's; the pod's own cgroup has neither image nor name.
        r#"container_network_receive_bytes_total{container="",id="/skerry/pods/podu/s1",image="",interface="eth0",name="s1",namespace="ns",pod="web"} 1000 1795910401500"#,
        r#"container_network_transmit_packets_dropped_total{container="",id="/skerry/pods/podu/s1",image="",interface="eth0",name="s1",namespace="ns",pod="web"} 4 1795910401500"#,
        r#"container_memory_rss{container="",id="/skerry/pods/podu",image="",name="",namespace="ns",pod="web"} 1048576 1795910401500"#,
        r#"container_cpu_usage_seconds_total{container="",cpu="total",id="/",image="",name="",namespace="",pod=""} 90 1795910401500"#,
        r#"container_memory_usage_bytes{container="",id="/skerry/pods",image="",name="",namespace="",pod=""} 14680064 1795910401500"#,
        "container_scrape_error 0",
    ];
    for sample in samples.iter().map(String::as_str).chain(others) {
        assert!(page.lines().any(|line| line == sample), "{sample} in {page}");
    }
}

#[test]
fn throttling_is_told_only_where_there_is_a_quota_and_no_limit_is_zero() {
    let mut seen = seen();
    let usage = seen.pods[0].containers[0].usage.as_mut().unwrap();
    (usage.cpu.quota, usage.memory.limit) = (None, None);
    let page = page_of(Some(&seen));
    assert!(!page.contains("cfs") && !page.contains("container_spec_cpu_quota"), "{page}");
    let limit =
        page.lines().find(|line| line.starts_with("container_spec_memory_limit_bytes{container=\"main\""));
    assert!(limit.unwrap().ends_with(" 0"), "{limit:?}");
}

#[test]
fn the_machine_is_told_of_whatever_the_runtime_does() {
    let page = page_of(None);
    assert!(page.contains("machine_cpu_cores{") && page.contains("\ncontainer_scrape_error 1\n"), "{page}");
}
