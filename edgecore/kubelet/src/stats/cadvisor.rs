//! Pure: `/metrics/cadvisor`, the series that dashboards draw. Names, words and labels are cAdvisor's, as it serves them
//! within upstream's kubelet (`metrics/prometheus.go`); its further series are left out.
//!
//! Every cgroup has its series: the machine's `/`, that of all pods, each pod's, each sandbox's and each container's.
//! Only the last has a container's name. The network is its sandbox's. A sandbox's image is not told.

use kit::WallTime;

use super::cgroup::{Disk, Usage};
use super::seen::{Counters, Network, Seen};
use crate::about::Machine;
use crate::exposition::{Metric, Number, Page};

const CORES: Metric = Metric::gauge("machine_cpu_cores", "Number of logical CPU cores.");
const MEMORY: Metric = Metric::gauge("machine_memory_bytes", "Amount of memory installed on the machine.");
const SCRAPE_ERROR: Metric = Metric::gauge(
    "container_scrape_error",
    "1 if there was an error while getting container metrics, 0 otherwise",
);
const LAST_SEEN: Metric =
    Metric::gauge("container_last_seen", "Last time a container was seen by the exporter");
const START: Metric =
    Metric::gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds.");
const CPU: Metric =
    Metric::counter("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.");
const PERIODS: Metric =
    Metric::counter("container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.");
const THROTTLED_PERIODS: Metric =
    Metric::counter("container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.");
const THROTTLED: Metric = Metric::counter(
    "container_cpu_cfs_throttled_seconds_total",
    "Total time duration the container has been throttled.",
);
const QUOTA: Metric = Metric::gauge("container_spec_cpu_quota", "CPU quota of the container.");
const PERIOD: Metric = Metric::gauge("container_spec_cpu_period", "CPU period of the container.");
const SHARES: Metric = Metric::gauge("container_spec_cpu_shares", "CPU share of the container.");
const MEMORY_LIMIT: Metric =
    Metric::gauge("container_spec_memory_limit_bytes", "Memory limit for the container.");
const WORKING_SET: Metric =
    Metric::gauge("container_memory_working_set_bytes", "Current working set in bytes.");
const USAGE: Metric = Metric::gauge(
    "container_memory_usage_bytes",
    "Current memory usage in bytes, including all memory regardless of when it was accessed",
);
const RSS: Metric = Metric::gauge("container_memory_rss", "Size of RSS in bytes.");
const CACHE: Metric = Metric::gauge("container_memory_cache", "Number of bytes of page cache memory.");
const SWAP: Metric = Metric::gauge("container_memory_swap", "Container swap usage in bytes.");
const PROCESSES: Metric =
    Metric::gauge("container_processes", "Number of processes running inside the container.");

type OfDisk = fn(&Disk) -> u64;
const DISKS: [(Metric, OfDisk); 4] = [
    (Metric::counter("container_fs_reads_total", "Cumulative count of reads completed"), |disk| disk.reads),
    (Metric::counter("container_fs_reads_bytes_total", "Cumulative count of bytes read"), |disk| {
        disk.read_bytes
    }),
    (Metric::counter("container_fs_writes_total", "Cumulative count of writes completed"), |disk| {
        disk.writes
    }),
    (Metric::counter("container_fs_writes_bytes_total", "Cumulative count of bytes written"), |disk| {
        disk.written_bytes
    }),
];

type OfInterface = fn(&Counters) -> u64;
const INTERFACES: [(Metric, OfInterface); 8] = [
    (
        Metric::counter("container_network_receive_bytes_total", "Cumulative count of bytes received"),
        |seen| seen.received.bytes,
    ),
    (
        Metric::counter("container_network_receive_packets_total", "Cumulative count of packets received"),
        |seen| seen.received.packets,
    ),
    (
        Metric::counter(
            "container_network_receive_packets_dropped_total",
            "Cumulative count of packets dropped while receiving",
        ),
        |seen| seen.received.dropped,
    ),
    (
        Metric::counter(
            "container_network_receive_errors_total",
            "Cumulative count of errors encountered while receiving",
        ),
        |seen| seen.received.errors,
    ),
    (
        Metric::counter("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted"),
        |seen| seen.sent.bytes,
    ),
    (
        Metric::counter(
            "container_network_transmit_packets_total",
            "Cumulative count of packets transmitted",
        ),
        |seen| seen.sent.packets,
    ),
    (
        Metric::counter(
            "container_network_transmit_packets_dropped_total",
            "Cumulative count of packets dropped while transmitting",
        ),
        |seen| seen.sent.dropped,
    ),
    (
        Metric::counter(
            "container_network_transmit_errors_total",
            "Cumulative count of errors encountered while transmitting",
        ),
        |seen| seen.sent.errors,
    ),
];

/// Labels of a cgroup, in the order of their names.
#[derive(Debug, Clone, Copy, Default)]
struct Of<'a> {
    container: &'a str,
    id: &'a str,
    image: &'a str,
    name: &'a str,
    namespace: &'a str,
    pod: &'a str,
}

/// The page; without anything seen it tells of the machine, and that there was an error.
pub(crate) fn page(machine: &Machine, seen: Option<&Seen>) -> String {
    let mut page = Page::default();
    let labels = [
        ("boot_id", &*machine.boot_id),
        ("machine_id", &*machine.machine_id),
        ("system_uuid", &*machine.system_uuid),
    ];
    page.add(CORES, &labels, Number::Whole(machine.cpus), None);
    page.add(MEMORY, &labels, Number::Whole(machine.memory), None);
    page.add(SCRAPE_ERROR, &[], Number::Whole(u64::from(seen.is_none())), None);
    let Some(seen) = seen else { return page.text() };
    let mut teller = Teller { page, at: seen.at };
    let booted = seen.node.booted_s.map(Number::Whole);
    teller.usage(Of { id: "/", ..Of::default() }, Some(&seen.node.usage), booted);
    teller.network(Of { id: "/", ..Of::default() }, seen.node.network.as_ref());
    if let Some(pods) = seen.node.system.iter().find(|part| part.name == "pods") {
        teller.usage(Of { id: &pods.cgroup, ..Of::default() }, Some(&pods.usage), None);
    }
    for pod in &seen.pods {
        let of = Of { id: &pod.cgroup, namespace: &pod.namespace, pod: &pod.name, ..Of::default() };
        teller.usage(of, pod.usage.as_ref(), began(pod.created_ns));
        let cgroup = format!("{}/{}", pod.cgroup, pod.sandbox);
        let sandbox = Of { id: &cgroup, name: &pod.sandbox, ..of };
        teller.usage(sandbox, pod.sandbox_usage.as_ref(), began(pod.created_ns));
        teller.network(sandbox, pod.network.as_ref());
        for own in &pod.containers {
            let of = Of { container: &own.name, id: &own.cgroup, image: &own.image, name: &own.id, ..of };
            teller.usage(of, own.usage.as_ref(), began(own.created_ns));
        }
    }
    teller.page.text()
}

/// Whole seconds, as cAdvisor has them.
fn began(created_ns: i64) -> Option<Number> {
    u64::try_from(created_ns / 1_000_000_000).ok().filter(|seconds| *seconds > 0).map(Number::Whole)
}

struct Teller {
    page: Page,
    at: WallTime,
}

impl Teller {
    /// A sample. `more` is a label that comes in its place of the order.
    fn tell(&mut self, metric: Metric, of: Of<'_>, more: Option<(&str, &str)>, value: Number, timed: bool) {
        let mut labels = vec![
            ("container", of.container),
            ("id", of.id),
            ("image", of.image),
            ("name", of.name),
            ("namespace", of.namespace),
            ("pod", of.pod),
        ];
        labels.extend(more);
        labels.sort_unstable();
        self.page.add(metric, &labels, value, timed.then_some(self.at));
    }

    fn usage(&mut self, of: Of<'_>, usage: Option<&Usage>, began: Option<Number>) {
        let Some(usage) = usage else { return };
        let (memory, cpu) = (&usage.memory, &usage.cpu);
        let whole = |value: Option<u64>| value.map(Number::Whole);
        // What a cgroup is was not measured: it has no time.
        let limit = Number::Whole(memory.limit.unwrap_or(0));
        let is = [
            (START, began),
            (QUOTA, whole(cpu.quota)),
            (PERIOD, whole(cpu.period)),
            (SHARES, whole(cpu.shares)),
            (MEMORY_LIMIT, memory.usage.map(|_| limit)),
        ];
        // Periods pass only where there is a quota.
        let limited = cpu.quota.is_some();
        let now = u64::try_from(self.at.0 / 1000).ok();
        let uses = [
            (LAST_SEEN, whole(now)),
            (PERIODS, whole(cpu.periods).filter(|_| limited)),
            (THROTTLED_PERIODS, whole(cpu.throttled_periods).filter(|_| limited)),
            (THROTTLED, cpu.throttled_ns.map(Number::Nanos).filter(|_| limited)),
            (WORKING_SET, whole(memory.working_set)),
            (USAGE, whole(memory.usage)),
            (RSS, whole(memory.rss)),
            (CACHE, whole(memory.cache)),
            (SWAP, whole(memory.swap)),
            (PROCESSES, whole(usage.processes)),
        ];
        for (figures, timed) in [(is.as_slice(), false), (&uses, true)] {
            for (metric, figure) in figures {
                if let Some(figure) = figure {
                    self.tell(*metric, of, None, *figure, timed);
                }
            }
        }
        if let Some(cpu_ns) = usage.cpu_ns {
            self.tell(CPU, of, Some(("cpu", "total")), Number::Nanos(cpu_ns), true);
        }
        for (device, disk) in &usage.disks {
            for (metric, figure) in DISKS {
                self.tell(metric, of, Some(("device", device)), Number::Whole(figure(disk)), true);
            }
        }
    }

    fn network(&mut self, of: Of<'_>, network: Option<&Network>) {
        for (name, counters) in network.into_iter().flat_map(|network| &network.interfaces) {
            for (metric, figure) in INTERFACES {
                self.tell(metric, of, Some(("interface", name)), Number::Whole(figure(counters)), true);
            }
        }
    }
}

#[cfg(test)]
#[path = "../tests/cadvisor.rs"]
mod tests;
