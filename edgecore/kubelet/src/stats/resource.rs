//! Pure: `/metrics/resource`, which metrics-server reads. Names and words are upstream's (`resource_metrics.go` of its
//! kubelet); where something is not known, there is no sample.

use super::cgroup::Usage;
use super::seen::Seen;
use crate::exposition::{Metric, Number, Page};

const NODE_CPU: Metric = Metric::counter(
    "node_cpu_usage_seconds_total",
    "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
);
const NODE_MEMORY: Metric =
    Metric::gauge("node_memory_working_set_bytes", "[STABLE] Current working set of the node in bytes");
const NODE_SWAP: Metric = Metric::gauge(
    "node_swap_usage_bytes",
    "[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems",
);
const CONTAINER_CPU: Metric = Metric::counter(
    "container_cpu_usage_seconds_total",
    "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
);
const CONTAINER_MEMORY: Metric = Metric::gauge(
    "container_memory_working_set_bytes",
    "[STABLE] Current working set of the container in bytes",
);
const CONTAINER_SWAP: Metric = Metric::gauge(
    "container_swap_usage_bytes",
    "[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems",
);
const CONTAINER_SWAP_LIMIT: Metric = Metric::gauge(
    "container_swap_limit_bytes",
    "[ALPHA] Current amount of the container swap limit in bytes. Reported only on non-windows systems",
);
const CONTAINER_START: Metric = Metric::gauge(
    "container_start_time_seconds",
    "[STABLE] Start time of the container since unix epoch in seconds",
);
const POD_CPU: Metric = Metric::counter(
    "pod_cpu_usage_seconds_total",
    "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
);
const POD_MEMORY: Metric =
    Metric::gauge("pod_memory_working_set_bytes", "[STABLE] Current working set of the pod in bytes");
const POD_SWAP: Metric = Metric::gauge(
    "pod_swap_usage_bytes",
    "[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems",
);
const SCRAPE_ERROR: Metric = Metric::gauge(
    "resource_scrape_error",
    "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
);

/// The page; without anything seen it says only that there was an error.
pub(crate) fn page(seen: Option<&Seen>) -> String {
    let mut page = Page::default();
    page.add(SCRAPE_ERROR, &[], Number::Whole(u64::from(seen.is_none())), None);
    let Some(Seen { at, node, pods }) = seen else { return page.text() };
    let mut tell = |usage: &Usage, [cpu, memory, swap]: [Metric; 3], labels: &[(&str, &str)]| {
        let figures = [
            (cpu, usage.cpu_ns.map(Number::Nanos)),
            (memory, usage.memory.working_set.map(Number::Whole)),
            (swap, usage.memory.swap.map(Number::Whole)),
        ];
        for (metric, figure) in figures {
            if let Some(figure) = figure {
                page.add(metric, labels, figure, Some(*at));
            }
        }
    };
    tell(&node.usage, [NODE_CPU, NODE_MEMORY, NODE_SWAP], &[]);
    for pod in pods {
        for container in &pod.containers {
            let labels =
                [("container", &*container.name), ("namespace", &*pod.namespace), ("pod", &*pod.name)];
            if let Some(usage) = &container.usage {
                tell(usage, [CONTAINER_CPU, CONTAINER_MEMORY, CONTAINER_SWAP], &labels);
            }
        }
        if let Some(usage) = &pod.usage {
            let labels = [("namespace", &*pod.namespace), ("pod", &*pod.name)];
            tell(usage, [POD_CPU, POD_MEMORY, POD_SWAP], &labels);
        }
    }
    for pod in pods {
        for container in &pod.containers {
            let labels =
                [("container", &*container.name), ("namespace", &*pod.namespace), ("pod", &*pod.name)];
            if let Some(limit) = container.usage.as_ref().and_then(|usage| usage.memory.swap_limit) {
                page.add(CONTAINER_SWAP_LIMIT, &labels, Number::Whole(limit), Some(*at));
            }
            if let Some(created) = u64::try_from(container.created_ns).ok().filter(|created| *created > 0) {
                page.add(CONTAINER_START, &labels, Number::Nanos(created), None);
            }
        }
    }
    page.text()
}

#[cfg(test)]
#[path = "../tests/resource.rs"]
mod tests;
