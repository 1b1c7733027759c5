//! The page that metrics-server reads.

use super::*;
use crate::testing::seen;

#[test]
fn samples_with_the_time_they_were_taken() {
    let page = page(Some(&seen()));
    for sample in [
        "# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds",
        "# TYPE node_cpu_usage_seconds_total counter",
        "node_cpu_usage_seconds_total 90 1795910401500",
        "node_memory_working_set_bytes 524288000 1795910401500",
        r#"container_cpu_usage_seconds_total{container="main",namespace="ns",pod="web"} 1.25 1795910401500"#,
        r#"container_memory_working_set_bytes{container="main",namespace="ns",pod="web"} 10485760 1795910401500"#,
        r#"container_swap_usage_bytes{container="main",namespace="ns",pod="web"} 4096 1795910401500"#,
        r#"container_swap_limit_bytes{container="main",namespace="ns",pod="web"} 1048576 1795910401500"#,
        // A start was not measured, and has no time.
        r#"container_start_time_seconds{container="main",namespace="ns",pod="web"} 1795910400.5"#,
        r#"pod_cpu_usage_seconds_total{namespace="ns",pod="web"} 1.5 1795910401500"#,
        r#"pod_memory_working_set_bytes{namespace="ns",pod="web"} 11534336 1795910401500"#,
        "resource_scrape_error 0",
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample} in {page}");
    }
    // Not known of the node, nor of the pod.
    assert!(!page.contains("node_swap") && !page.contains("pod_swap"), "{page}");
}

#[test]
fn an_error_is_a_sample() {
    assert!(page(None).ends_with("# TYPE resource_scrape_error gauge\nresource_scrape_error 1\n"));
}
