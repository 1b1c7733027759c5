//! Pure: what was seen as the `Summary` of `k8s.io/kubelet/pkg/apis/stats/v1alpha1`.

use std::collections::BTreeMap;

use kit::WallTime;
use serde_json::{Map, Value, json};

use super::cgroup::Usage;
use super::seen::{ContainerSeen, Held, Network, NodeSeen, PodSeen, Room, Seen, Stored, VolumeSeen};

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    All,
    /// `only_cpu_and_memory`.
    CpuAndMemory,
}

/// The summary. `rates` is processor time a second, by cgroup; `began` when this agent did.
pub(crate) fn summary(
    node_name: &str,
    seen: &Seen,
    rates: &BTreeMap<String, u64>,
    began: WallTime,
    told: Told,
) -> Value {
    let teller = Teller { at: seen.at, rates, told, disk: seen.node.disk };
    let pods: Vec<Value> = seen.pods.iter().map(|pod| teller.pod(pod)).collect();
    json!({"node": teller.node(node_name, &seen.node, began), "pods": pods})
}

struct Teller<'a> {
    at: WallTime,
    rates: &'a BTreeMap<String, u64>,
    told: Told,
    disk: Option<Room>,
}

/// An object of what is known.
fn known<const N: usize>(at: WallTime, fields: [(&str, Option<u64>); N]) -> Value {
    let known = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    let mut object: Map<String, Value> = known.collect();
    object.insert("time".to_owned(), at.rfc3339().into());
    Value::Object(object)
}

fn put(object: &mut Value, name: &str, value: Option<Value>) {
    if let (Value::Object(object), Some(value)) = (object, value) {
        object.insert(name.to_owned(), value);
    }
}

fn nanos(since_1970: i64) -> String {
    WallTime(since_1970 / 1_000_000).rfc3339()
}

impl Teller<'_> {
    fn node(&self, name: &str, seen: &NodeSeen, began: WallTime) -> Value {
        let booted = seen.booted_s.and_then(|seconds| i64::try_from(seconds).ok());
        let booted = WallTime(booted.unwrap_or(0).saturating_mul(1000)).rfc3339();
        let mut node = json!({"nodeName": name, "startTime": booted});
        self.usage(&mut node, "/", &seen.usage);
        if let Some(available) = node.pointer_mut("/memory/availableBytes") {
            // What huge pages take is in no cgroup's use, and free for nobody.
            *available = available.as_u64().unwrap_or(0).saturating_sub(seen.huge_pages).into();
        }
        let system = seen.system.iter().map(|part| {
            let started = if part.name == "kubelet" { began.rfc3339() } else { booted.clone() };
            let mut told = json!({"name": part.name, "startTime": started});
            self.usage(&mut told, &part.cgroup, &part.usage);
            told
        });
        put(&mut node, "systemContainers", Some(system.collect()));
        if self.told == Told::All {
            put(&mut node, "network", seen.network.as_ref().map(|network| self.network(network)));
            put(&mut node, "fs", seen.disk.map(|room| self.disk(Some(room), used(room))));
            if let Some(images) = &seen.images {
                // Images and what containers write lie on one file system, by the runtime's word.
                let images = stored(images);
                put(&mut node, "runtime", Some(json!({"imageFs": images, "containerFs": images})));
            }
            let (most, now) = seen.pids;
            put(&mut node, "rlimit", Some(known(self.at, [("maxpid", most), ("curproc", now)])));
        }
        node
    }

    fn pod(&self, seen: &PodSeen) -> Value {
        let containers: Vec<Value> = seen.containers.iter().map(|own| self.container(own)).collect();
        let mut pod = json!({
            "podRef": {"name": seen.name, "namespace": seen.namespace, "uid": seen.uid},
            "startTime": nanos(seen.created_ns),
            "containers": containers,
        });
        if let Some(usage) = &seen.usage {
            self.usage(&mut pod, &seen.cgroup, usage);
        }
        if self.told == Told::All {
            put(&mut pod, "network", seen.network.as_ref().map(|network| self.network(network)));
            let volumes: Vec<Value> = seen.volumes.iter().map(|volume| self.volume(volume)).collect();
            put(&mut pod, "volume", (!volumes.is_empty()).then(|| volumes.into()));
            put(&mut pod, "ephemeral-storage", Some(self.disk(self.disk, Some(ephemeral(seen)))));
            let processes = seen.containers.iter().filter_map(|own| own.usage.as_ref()?.processes);
            let processes = processes.reduce(u64::saturating_add);
            put(&mut pod, "process_stats", processes.map(|count| json!({"process_count": count})));
        }
        pod
    }

    fn container(&self, seen: &ContainerSeen) -> Value {
        let mut container = json!({"name": seen.name, "startTime": nanos(seen.created_ns)});
        if let Some(usage) = &seen.usage {
            self.usage(&mut container, &seen.cgroup, usage);
        }
        if self.told == Told::All {
            put(&mut container, "rootfs", seen.writable.as_ref().map(stored));
            put(&mut container, "logs", seen.logs.map(|logs| self.disk(self.disk, Some(logs))));
        }
        container
    }

    /// `cpu`, `memory` and `swap` of whatever has a cgroup.
    fn usage(&self, of: &mut Value, cgroup: &str, usage: &Usage) {
        let rate = self.rates.get(cgroup).copied();
        let cpu = [("usageNanoCores", rate), ("usageCoreNanoSeconds", usage.cpu_ns)];
        put(of, "cpu", usage.cpu_ns.is_some().then(|| known(self.at, cpu)));
        let memory = usage.memory;
        let available = memory.limit.zip(memory.working_set).map(|(limit, set)| limit.saturating_sub(set));
        let told = [
            ("availableBytes", available),
            ("usageBytes", memory.usage),
            ("workingSetBytes", memory.working_set),
            ("rssBytes", memory.rss),
            ("pageFaults", memory.faults),
            ("majorPageFaults", memory.major_faults),
        ];
        put(of, "memory", memory.usage.or(memory.working_set).is_some().then(|| known(self.at, told)));
        let left = memory.swap_limit.zip(memory.swap).map(|(limit, swap)| limit.saturating_sub(swap));
        let swap = [("swapAvailableBytes", left), ("swapUsageBytes", memory.swap)];
        put(of, "swap", memory.swap.is_some().then(|| known(self.at, swap)));
    }

    fn network(&self, seen: &Network) -> Value {
        let interface = |name: &str| {
            let counters = seen.interfaces.get(name)?;
            Some(json!({
                "name": name,
                "rxBytes": counters.received.bytes,
                "rxErrors": counters.received.errors,
                "txBytes": counters.sent.bytes,
                "txErrors": counters.sent.errors,
            }))
        };
        // The default one stands in the object itself.
        let default = seen.default.as_deref().and_then(interface);
        let mut network = default.unwrap_or_else(|| json!({"name": ""}));
        put(&mut network, "time", Some(self.at.rfc3339().into()));
        let all: Vec<Value> = seen.interfaces.keys().filter_map(|name| interface(name)).collect();
        put(&mut network, "interfaces", (!all.is_empty()).then(|| all.into()));
        network
    }

    fn disk(&self, room: Option<Room>, held: Option<Held>) -> Value {
        file_system(self.at, room, held.map(|held| held.bytes), held.map(|held| held.inodes))
    }

    fn volume(&self, seen: &VolumeSeen) -> Value {
        let mut volume = self.disk(seen.room, Some(seen.held));
        put(&mut volume, "name", Some(seen.name.as_str().into()));
        volume
    }
}

fn stored(seen: &Stored) -> Value {
    file_system(seen.at, seen.room, Some(seen.bytes), seen.inodes)
}

fn file_system(at: WallTime, room: Option<Room>, bytes: Option<u64>, inodes: Option<u64>) -> Value {
    known(
        at,
        [
            ("availableBytes", room.map(|room| room.available)),
            ("capacityBytes", room.map(|room| room.total)),
            ("usedBytes", bytes),
            ("inodesFree", room.map(|room| room.inodes_free)),
            ("inodes", room.map(|room| room.inodes)),
            ("inodesUsed", inodes),
        ],
    )
}

/// All that is used of a file system.
fn used(room: Room) -> Option<Held> {
    let bytes = room.total.checked_sub(room.free)?;
    Some(Held { bytes, inodes: room.inodes.checked_sub(room.inodes_free)? })
}

/// What goes when the pod goes: what its containers wrote and logged, its volumes on the disk, and its `/etc/hosts`.
fn ephemeral(pod: &PodSeen) -> Held {
    let containers = pod.containers.iter().flat_map(|own| {
        let writable = own.writable.as_ref();
        let writable =
            writable.map(|stored| Held { bytes: stored.bytes, inodes: stored.inodes.unwrap_or(0) });
        [writable, own.logs]
    });
    let volumes = pod.volumes.iter().filter(|volume| volume.on_disk).map(|volume| Some(volume.held));
    let all = containers.chain(volumes).chain([pod.hosts]).flatten();
    all.fold(Held::default(), Held::and)
}

#[cfg(test)]
#[path = "../tests/summary.rs"]
mod tests;
