//! `/metrics`: the agent's own metrics, its process, and what dashboards of kubelets look for, as far as it is true here.
//! `/metrics/probes`: how often probes were tried.

use edgecore_pods::probe_counts::{Tally, Tried};
use edgecore_pods::runtime::{ContainerState, Observed, Runtime, RuntimeError};
use edgecore_store::Store;
use http::{Response, StatusCode};
use wire::{Kind, ObjectKey};

use crate::answer::{Body, blocking, text};
use crate::exposition::{Metric, Number, Page, from_open_metrics};
use crate::io::Parts;
use crate::stats::answer::metrics;
use crate::stats::gather::running;
use crate::stats::kernel::Kernel;
use crate::stats::proc;

const BUILD: Metric = Metric::gauge(
    "kubernetes_build_info",
    "[BETA] A metric with a constant '1' value labeled by major, minor, git version, compiler and platform.",
);
const NODE: Metric = Metric::gauge("kubelet_node_name", "[ALPHA] The node's name. The count is always 1.");
const PODS: Metric =
    Metric::gauge("kubelet_running_pods", "[ALPHA] Number of pods that have a running pod sandbox");
const CONTAINERS: Metric =
    Metric::gauge("kubelet_running_containers", "[ALPHA] Number of containers currently running");
const CPU: Metric =
    Metric::counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
const START: Metric =
    Metric::gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.");
const RESIDENT: Metric = Metric::gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
const VIRTUAL: Metric = Metric::gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
const FILES: Metric = Metric::gauge("process_open_fds", "Number of open file descriptors.");
const PROBES: Metric = Metric::counter(
    "prober_probe_total",
    "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.",
);

/// `/metrics`.
pub(crate) async fn answer<R: Runtime>(parts: &Parts<R>) -> Response<Body> {
    let observed = parts.runtime.observe().await;
    let kernel = parts.kernel.clone();
    let mut page = Page::default();
    let kubelet = &parts.about.kubelet_version;
    page.add(BUILD, &build(kubelet, std::env::consts::ARCH), Number::Whole(1), None);
    page.add(NODE, &[("node", &parts.about.node_name)], Number::Whole(1), None);
    counted(&mut page, &observed);
    let mut page = blocking(move || {
        process(&mut page, &kernel);
        page.text()
    })
    .await;
    page.push_str(&from_open_metrics(&(parts.about.own_metrics)()));
    metrics(page)
}

fn build<'a>(version: &'a str, architecture: &'static str) -> [(&'static str, &'a str); 5] {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let platform = match architecture {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        "arm" => "linux/arm",
        _ => "linux",
    };
    [
        ("compiler", "rustc"),
        ("git_version", version),
        ("major", major),
        ("minor", minor),
        ("platform", platform),
    ]
}

/// How many pods run, and in which states containers are. While the runtime does not answer nothing is told.
fn counted(page: &mut Page, observed: &Result<Observed, RuntimeError>) {
    let Ok(observed) = observed else { return };
    let whole = |count: usize| Number::Whole(u64::try_from(count).unwrap_or(u64::MAX));
    page.add(PODS, &[], whole(running(observed).len()), None);
    for (state, name) in [
        (ContainerState::Created, "created"),
        (ContainerState::Exited, "exited"),
        (ContainerState::Running, "running"),
        (ContainerState::Unknown, "unknown"),
    ] {
        let count = observed.containers.iter().filter(|container| container.state == state).count();
        if count > 0 {
            page.add(CONTAINERS, &[("container_state", name)], whole(count), None);
        }
    }
}

/// This process.
fn process(page: &mut Page, kernel: &Kernel) {
    if let Some(own) = proc::process(&kernel.proc("self/stat")) {
        page.add(CPU, &[], Number::Nanos(own.cpu_ns), None);
        if let Some(booted) = proc::booted(&kernel.proc("stat")) {
            let began =
                booted.saturating_mul(1_000_000_000).saturating_add(own.began_ms.saturating_mul(1_000_000));
            page.add(START, &[], Number::Nanos(began), None);
        }
    }
    let status = kernel.proc("self/status");
    for (metric, field) in [(RESIDENT, "VmRSS"), (VIRTUAL, "VmSize")] {
        if let Some(bytes) = proc::kilobytes(&status, field) {
            page.add(metric, &[], Number::Whole(bytes), None);
        }
    }
    if let Ok(files) = std::fs::read_dir(kernel.proc.join("self/fd")) {
        page.add(FILES, &[], Number::Whole(files.map(|_| 1).sum()), None);
    }
}

/// `/metrics/probes`.
pub(crate) fn probes<R>(parts: &Parts<R>) -> Response<Body> {
    let mut page = Page::default();
    let mut here = Vec::new();
    for (tried, tally) in parts.about.probes.all() {
        match is_here(&parts.store, &tried) {
            Ok(true) => here.push((tried, tally)),
            // It has gone, and its counts go soon.
            Ok(false) => {}
            Err(error) => {
                return text(StatusCode::INTERNAL_SERVER_ERROR, kit::errors::chain(&error));
            }
        }
    }
    count(&mut page, &here);
    metrics(page.text())
}

fn is_here(store: &Store, tried: &Tried) -> Result<bool, edgecore_store::StoreError> {
    let object = store.object(&ObjectKey::new(Kind::Pod, &*tried.namespace, &*tried.pod))?;
    Ok(object.is_some_and(|object| object.uid == tried.uid))
}

fn count(page: &mut Page, counts: &[(Tried, Tally)]) {
    for (tried, tally) in counts {
        let results =
            [("failed", tally.failed), ("successful", tally.successful), ("unknown", tally.unknown)];
        // Like upstream's, a series begins with its first try.
        for (result, tries) in results.into_iter().filter(|(_, tries)| *tries > 0) {
            let labels = [
                ("container", &*tried.container),
                ("namespace", &*tried.namespace),
                ("pod", &*tried.pod),
                ("pod_uid", &*tried.uid),
                ("probe_type", tried.kind.name()),
                ("result", result),
            ];
            page.add(PROBES, &labels, Number::Whole(tries), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgecore_pods::fake::World;
    use edgecore_pods::probe::Kind as Probe;

    #[test]
    fn the_build_says_which_kubelet_it_stands_for() {
        let labels = build("v1.37.1-skerry-v0.1.0", "aarch64");
        assert_eq!(
            labels[1..],
            [
                ("git_version", "v1.37.1-skerry-v0.1.0"),
                ("major", "1"),
                ("minor", "37"),
                ("platform", "linux/arm64"),
            ]
        );
    }

    #[test]
    fn an_unknown_number_of_containers_is_no_number() {
        let mut page = Page::default();
        counted(&mut page, &Err(RuntimeError::Unavailable("down".to_owned())));
        assert_eq!(page.text(), "");
        let mut world = World::default();
        let sandbox = world.add_sandbox("u", "ns", "web", 0);
        for name in ["a", "b", "c"] {
            let id = world.create(&sandbox, name, 0, std::collections::BTreeMap::new()).unwrap();
            if name != "c" {
                world.start(&id).unwrap();
            }
        }
        counted(&mut page, &Ok(world.observed()));
        let text = page.text();
        assert!(text.contains("\nkubelet_running_pods 1\n"), "{text}");
        assert!(text.contains("kubelet_running_containers{container_state=\"running\"} 2\n"), "{text}");
        assert!(text.contains("kubelet_running_containers{container_state=\"created\"} 1\n"), "{text}");
        assert!(!text.contains("exited"), "{text}");
    }

    #[test]
    fn tries_are_told_by_result() {
        let tried = Tried {
            uid: "u".to_owned(),
            namespace: "ns".to_owned(),
            pod: "web".to_owned(),
            container: "main".to_owned(),
            kind: Probe::Readiness,
        };
        let mut page = Page::default();
        count(&mut page, &[(tried, Tally { successful: 2, failed: 1, unknown: 0 })]);
        let labels = "container=\"main\",namespace=\"ns\",pod=\"web\",pod_uid=\"u\",probe_type=\"Readiness\"";
        let samples = format!(
            "prober_probe_total{{{labels},result=\"failed\"}} 1\nprober_probe_total{{{labels},result=\"successful\"}} 2\n"
        );
        assert!(page.text().ends_with(&samples), "{}", page.text());
    }
}
