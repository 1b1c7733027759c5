//! A node as it may be seen: one pod, whose one container is known in full.

use std::collections::BTreeMap;

use kit::WallTime;

use crate::stats::cgroup::{CpuLimit, Disk, Memory, Usage};
use crate::stats::seen::{
    ContainerSeen, Counters, Held, Network, NodeSeen, PodSeen, Room, Seen, Stored, SystemSeen, Traffic,
    VolumeSeen,
};

/// 2026-11-29T00:00:01.500Z.
pub(crate) const NOW: WallTime = WallTime(1_795_910_401_500);
/// A second before.
pub(crate) const CREATED_NS: i64 = 1_795_910_400_500_000_000;

const MIB: u64 = 1 << 20;

pub(crate) fn used(cpu_ns: u64, mib: u64) -> Usage {
    let memory = Memory {
        usage: Some((mib + 2) * MIB),
        working_set: Some(mib * MIB),
        rss: Some(MIB),
        cache: Some(2 * MIB),
        faults: Some(7),
        major_faults: Some(1),
        ..Memory::default()
    };
    Usage { cpu_ns: Some(cpu_ns), memory, ..Usage::default() }
}

fn container() -> ContainerSeen {
    let mut usage = used(1_250_000_000, 10);
    usage.memory.limit = Some(64 * MIB);
    usage.memory.swap = Some(4096);
    usage.memory.swap_limit = Some(MIB);
    usage.cpu = CpuLimit {
        shares: Some(102),
        period: Some(100_000),
        quota: Some(50_000),
        periods: Some(20),
        throttled_periods: Some(3),
        throttled_ns: Some(4_500_000),
    };
    let disk = Disk { read_bytes: 4096, written_bytes: 8192, reads: 1, writes: 2 };
    usage.disks = BTreeMap::from([("/dev/sda".to_owned(), disk)]);
    usage.processes = Some(2);
    ContainerSeen {
        id: "c1".to_owned(),
        name: "main".to_owned(),
        image: "busybox:latest".to_owned(),
        created_ns: CREATED_NS,
        cgroup: "/skerry/pods/podu/c1".to_owned(),
        usage: Some(usage),
        writable: Some(Stored { at: WallTime(NOW.0 - 9000), bytes: 100, inodes: Some(5), room: None }),
        logs: Some(Held { bytes: 20, inodes: 1 }),
    }
}

pub(crate) fn seen() -> Seen {
    let traffic = |bytes| Traffic { bytes, packets: 2, errors: 3, dropped: 4 };
    let counters = Counters { received: traffic(1000), sent: traffic(500) };
    let network = Network {
        interfaces: BTreeMap::from([("eth0".to_owned(), counters)]),
        default: Some("eth0".to_owned()),
    };
    let room = Room { available: 600, free: 700, total: 1000, inodes_free: 90, inodes: 100 };
    let mut machine = used(90_000_000_000, 500);
    machine.memory.limit = Some(1000 * MIB);
    let pods = SystemSeen { name: "pods", cgroup: "/skerry/pods".to_owned(), usage: used(2_000_000_000, 12) };
    let volume = |name: &str, bytes, on_disk| VolumeSeen {
        name: name.to_owned(),
        held: Held { bytes, inodes: 2 },
        room: Some(room),
        on_disk,
    };
    let pod = PodSeen {
        uid: "u".to_owned(),
        namespace: "ns".to_owned(),
        name: "web".to_owned(),
        cgroup: "/skerry/pods/podu".to_owned(),
        usage: Some(used(1_500_000_000, 11)),
        sandbox: "s1".to_owned(),
        created_ns: CREATED_NS,
        sandbox_usage: Some(used(1_000_000, 1)),
        network: Some(network.clone()),
        containers: vec![container()],
        volumes: vec![volume("data", 3000, true), volume("secret", 50_000, false)],
        hosts: Some(Held { bytes: 7, inodes: 1 }),
    };
    let node = NodeSeen {
        booted_s: Some(1_795_000_000),
        usage: machine,
        huge_pages: 100 * MIB,
        network: Some(network),
        disk: Some(room),
        images: Some(Stored { at: NOW, bytes: 333, inodes: None, room: Some(room) }),
        pids: (Some(4_194_304), Some(345)),
        system: vec![pods],
    };
    Seen { at: NOW, node, pods: vec![pod] }
}
