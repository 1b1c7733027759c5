//! Files of cgroups as kernels write them.

use super::*;

/// A container of version 1 with a processor limit and without a memory limit; figures of one on Linux 5.10.
const FIRST: [(&str, &str); 13] = [
    ("cpuacct/cpuacct.usage", "1234567890\n"),
    ("cpu/cpu.shares", "102\n"),
    ("cpu/cpu.cfs_period_us", "100000\n"),
    ("cpu/cpu.cfs_quota_us", "50000\n"),
    ("cpu/cpu.stat", "nr_periods 20\nnr_throttled 3\nthrottled_time 4500000\n"),
    ("memory/memory.usage_in_bytes", "10485760\n"),
    ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
    ("memory/memory.memsw.limit_in_bytes", "9223372036854771712\n"),
    (
        "memory/memory.stat",
        "cache 1\nrss 2\npgfault 5\ntotal_cache 4194304\ntotal_rss 5242880\ntotal_swap 8192\n\
         total_pgfault 300\ntotal_pgmajfault 4\ntotal_inactive_file 1048576\n",
    ),
    (
        "blkio/blkio.throttle.io_service_bytes_recursive",
        "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 0\n8:0 Total 12288\nTotal 12288\n",
    ),
    ("blkio/blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Write 2\n8:16 Read 7\nTotal 10\n"),
    ("memory/cgroup.procs", "100\n101\n"),
    ("memory/tasks", "100\n101\n102\n"),
];

/// One of version 2 with both limits.
const SECOND: [(&str, &str); 10] = [
    (
        "/cpu.stat",
        "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnr_periods 20\nnr_throttled 3\nthrottled_usec 4500\n",
    ),
    ("/cpu.weight", "39\n"),
    ("/cpu.max", "50000 100000\n"),
    ("/memory.current", "10485760\n"),
    ("/memory.max", "67108864\n"),
    ("/memory.swap.current", "8192\n"),
    ("/memory.swap.max", "0\n"),
    ("/memory.stat", "anon 5242880\nfile 4194304\ninactive_file 1048576\npgfault 300\npgmajfault 4\n"),
    ("/io.stat", "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:16 \n"),
    ("/cgroup.procs", "100\n101\n"),
];

fn reading<'a>(files: &'a [(&'a str, &'a str)]) -> impl Fn(&str, &str) -> Option<String> + 'a {
    move |controller, file| {
        let path = format!("{controller}/{file}");
        files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
    }
}

#[test]
fn version_one() {
    let read = reading(&FIRST);
    let usage = usage(Version::V1, Detail::Full, &read).unwrap();
    assert_eq!(usage.cpu_ns, Some(1_234_567_890));
    assert_eq!(cpu_ns(Version::V1, &read), usage.cpu_ns);
    let memory = Memory {
        usage: Some(10 << 20),
        working_set: Some(9 << 20),
        rss: Some(5 << 20),
        cache: Some(4 << 20),
        swap: Some(8192),
        faults: Some(300),
        major_faults: Some(4),
        limit: None,
        swap_limit: None,
    };
    assert_eq!(usage.memory, memory);
    let cpu = CpuLimit {
        shares: Some(102),
        period: Some(100_000),
        quota: Some(50_000),
        periods: Some(20),
        throttled_periods: Some(3),
        throttled_ns: Some(4_500_000),
    };
    assert_eq!(usage.cpu, cpu);
    let disk = Disk { read_bytes: 4096, written_bytes: 8192, reads: 1, writes: 2 };
    let other = Disk { reads: 7, ..Disk::default() };
    assert_eq!(usage.disks, BTreeMap::from([("8:0".to_owned(), disk), ("8:16".to_owned(), other)]));
    assert_eq!(usage.processes, Some(2));
}

#[test]
fn version_two() {
    let read = reading(&SECOND);
    let usage = usage(Version::V2, Detail::Full, &read).unwrap();
    assert_eq!(usage.cpu_ns, Some(1_234_567_000));
    assert_eq!(cpu_ns(Version::V2, &read), usage.cpu_ns);
    let memory = Memory {
        usage: Some(10 << 20),
        working_set: Some(9 << 20),
        rss: Some(5 << 20),
        cache: Some(4 << 20),
        swap: Some(8192),
        faults: Some(300),
        major_faults: Some(4),
        limit: Some(64 << 20),
        swap_limit: Some(0),
    };
    assert_eq!(usage.memory, memory);
    let cpu = CpuLimit {
        shares: Some(998),
        period: Some(100_000),
        quota: Some(50_000),
        periods: Some(20),
        throttled_periods: Some(3),
        throttled_ns: Some(4_500_000),
    };
    assert_eq!(usage.cpu, cpu);
    let disk = Disk { read_bytes: 4096, written_bytes: 8192, reads: 1, writes: 2 };
    assert_eq!(usage.disks["8:0"], disk);
    assert_eq!(usage.processes, Some(2));
}

#[test]
fn no_limit_is_none_in_either() {
    let read = reading(&[("cpuacct/cpuacct.usage", "1"), ("cpu/cpu.cfs_quota_us", "-1\n")]);
    assert_eq!(usage(Version::V1, Detail::Full, &read).unwrap().cpu.quota, None);
    let read = reading(&[("/memory.current", "1"), ("/cpu.max", "max 100000\n"), ("/memory.max", "max\n")]);
    let found = usage(Version::V2, Detail::Full, &read).unwrap();
    assert_eq!((found.cpu.quota, found.cpu.period, found.memory.limit), (None, Some(100_000), None));
    // Swap that is not counted is unknown.
    assert_eq!(found.memory.swap, None);
}

#[test]
fn swap_of_version_one_is_what_is_left_of_both() {
    let read = reading(&[
        ("memory/memory.usage_in_bytes", "1"),
        ("memory/memory.limit_in_bytes", "1000"),
        ("memory/memory.memsw.limit_in_bytes", "1500"),
    ]);
    let memory = usage(Version::V1, Detail::Basic, &read).unwrap().memory;
    assert_eq!((memory.limit, memory.swap_limit), (Some(1000), Some(500)));
}

#[test]
fn a_cgroup_that_is_not_there_uses_nothing_known() {
    for version in [Version::V1, Version::V2] {
        assert_eq!(usage(version, Detail::Full, &|_, _| None), None);
        assert_eq!(usage(version, Detail::Full, &|_, _| Some("\u{fffd}nonsense\n".to_owned())), None);
    }
}

#[test]
fn the_cgroup_of_a_process() {
    let first = "12:pids:/a\n5:cpu,cpuacct:/b\n4:memory:/system.slice/edgecore.service\n0::/unified\n";
    assert_eq!(of_process(Version::V1, first).as_deref(), Some("/system.slice/edgecore.service"));
    assert_eq!(
        of_process(Version::V2, "0::/system.slice/x:y.service\n").as_deref(),
        Some("/system.slice/x:y.service")
    );
    assert_eq!(of_process(Version::V2, "4:memory:/a\n"), None);
}
