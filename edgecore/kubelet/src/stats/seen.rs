//! What one look at the node found. What could not be read is `None`, never zero.

use std::collections::BTreeMap;

use kit::WallTime;

use super::cgroup::Usage;

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When.
    pub(crate) at: WallTime,
    pub(crate) node: NodeSeen,
    /// Pods that run, in the order of namespace and name.
    pub(crate) pods: Vec<PodSeen>,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeSeen {
    /// Seconds since 1970 when it booted.
    pub(crate) booted_s: Option<u64>,
    pub(crate) usage: Usage,
    /// Bytes that huge pages take from the rest.
    pub(crate) huge_pages: u64,
    pub(crate) network: Option<Network>,
    /// The file system of the agent's directory.
    pub(crate) disk: Option<Room>,
    /// What images take, and the file system they lie on.
    pub(crate) images: Option<Stored>,
    /// Process ids at most, and in use.
    pub(crate) pids: (Option<u64>, Option<u64>),
    /// Parts of the system that have a cgroup of their own.
    pub(crate) system: Vec<SystemSeen>,
}

/// A part of the system: `kubelet`, `runtime` or `pods`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SystemSeen {
    pub(crate) name: &'static str,
    pub(crate) cgroup: String,
    pub(crate) usage: Usage,
}

/// A pod that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodSeen {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) cgroup: String,
    pub(crate) usage: Option<Usage>,
    /// The runtime's id of its sandbox.
    pub(crate) sandbox: String,
    /// Nanoseconds since 1970 when its sandbox was made.
    pub(crate) created_ns: i64,
    pub(crate) sandbox_usage: Option<Usage>,
    pub(crate) network: Option<Network>,
    pub(crate) containers: Vec<ContainerSeen>,
    pub(crate) volumes: Vec<VolumeSeen>,
    /// What its `/etc/hosts` takes.
    pub(crate) hosts: Option<Held>,
}

/// A container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContainerSeen {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image: String,
    /// Nanoseconds since 1970 when it was made.
    pub(crate) created_ns: i64,
    pub(crate) cgroup: String,
    pub(crate) usage: Option<Usage>,
    /// What it wrote beside its volumes, and the file system that lies on.
    pub(crate) writable: Option<Stored>,
    /// What its logs take.
    pub(crate) logs: Option<Held>,
}

/// A volume of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeSeen {
    pub(crate) name: String,
    pub(crate) held: Held,
    pub(crate) room: Option<Room>,
    /// It lies on the agent's own file system, and so counts as ephemeral storage of its pod.
    pub(crate) on_disk: bool,
}

/// What something takes on its file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
}

/// What the runtime counted, and the file system that it lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// When.
    pub(crate) at: WallTime,
    pub(crate) bytes: u64,
    pub(crate) inodes: Option<u64>,
    pub(crate) room: Option<Room>,
}

/// A file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) available: u64,
    pub(crate) free: u64,
    pub(crate) total: u64,
    pub(crate) inodes_free: u64,
    pub(crate) inodes: u64,
}

/// Interfaces of a network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) interfaces: BTreeMap<String, Counters>,
    /// The one that the default route leaves by.
    pub(crate) default: Option<String>,
}

/// Counters of an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
}

/// One direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) errors: u64,
    pub(crate) dropped: u64,
}

impl Seen {
    /// Everything that processor time was read of, by cgroup; the node is `/`.
    pub(crate) fn processor_time(&self) -> BTreeMap<&str, u64> {
        let node = std::iter::once(("/", Some(&self.node.usage)));
        let system = self.node.system.iter().map(|part| (part.cgroup.as_str(), Some(&part.usage)));
        let pods = self.pods.iter().flat_map(|pod| {
            let containers = pod.containers.iter();
            let containers =
                containers.map(|container| (container.cgroup.as_str(), container.usage.as_ref()));
            containers.chain([(pod.cgroup.as_str(), pod.usage.as_ref())])
        });
        let all = node.chain(system).chain(pods);
        all.filter_map(|(cgroup, usage)| Some((cgroup, usage?.cpu_ns?))).collect()
    }
}
