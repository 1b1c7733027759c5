//! Pure: what the files of a cgroup say, of either version.
//!
//! Which files and fields: the kernel's `Documentation/admin-guide/cgroup-v1` and `cgroup-v2.rst`. What is made of them
//! (the working set, weights as shares, limits that are none) is what upstream's kubelet shows.

use std::collections::BTreeMap;

/// Which hierarchy the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One for all.
    V2,
}

/// How much is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Processor and memory.
    Basic,
    /// Also limits, disks and processes.
    Full,
}

/// What a cgroup and all in it uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Nanoseconds of processor time.
    pub(crate) cpu_ns: Option<u64>,
    pub(crate) memory: Memory,
    pub(crate) cpu: CpuLimit,
    /// By device, as `major:minor`.
    pub(crate) disks: BTreeMap<String, Disk>,
    pub(crate) processes: Option<u64>,
}

/// Memory in bytes, faults in their number. A limit that is none is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) usage: Option<u64>,
    /// `usage` without files that were not used lately.
    pub(crate) working_set: Option<u64>,
    pub(crate) rss: Option<u64>,
    pub(crate) cache: Option<u64>,
    pub(crate) swap: Option<u64>,
    pub(crate) faults: Option<u64>,
    pub(crate) major_faults: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) swap_limit: Option<u64>,
}

/// How processor time is shared out, and what was withheld.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuLimit {
    pub(crate) shares: Option<u64>,
    /// Microseconds.
    pub(crate) period: Option<u64>,
    /// Microseconds a period.
    pub(crate) quota: Option<u64>,
    pub(crate) periods: Option<u64>,
    pub(crate) throttled_periods: Option<u64>,
    pub(crate) throttled_ns: Option<u64>,
}

/// What was read from and written to one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

/// Beyond this a limit is none: version 1 writes the largest number of pages there could be.
const UNLIMITED: u64 = 1 << 62;

/// What a cgroup uses, by what `read` gives for a controller and a file name. `None` where there is no such cgroup.
pub(crate) fn usage(
    version: Version,
    detail: Detail,
    read: &dyn Fn(&str, &str) -> Option<String>,
) -> Option<Usage> {
    let usage = match version {
        Version::V1 => first(detail, read),
        Version::V2 => second(detail, &|file| read("", file)),
    };
    (usage.cpu_ns.is_some() || usage.memory.usage.is_some()).then_some(usage)
}

/// Nanoseconds of processor time alone.
pub(crate) fn cpu_ns(version: Version, read: &dyn Fn(&str, &str) -> Option<String>) -> Option<u64> {
    match version {
        Version::V1 => number(&read("cpuacct", "cpuacct.usage")?),
        Version::V2 => table(&read("", "cpu.stat")?).get("usage_usec")?.checked_mul(1000),
    }
}

fn first(detail: Detail, read: &dyn Fn(&str, &str) -> Option<String>) -> Usage {
    let memory = |file: &str| read("memory", file).as_deref().and_then(number);
    let stat = read("memory", "memory.stat").unwrap_or_default();
    let stat = table(&stat);
    // Of the cgroups within too; without them only where the kernel does not count so.
    let of = |key: &str| stat.get(&*format!("total_{key}")).or_else(|| stat.get(key)).copied();
    let used = memory("memory.usage_in_bytes");
    let limit = memory("memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED);
    // Memory and swap together.
    let both = memory("memory.memsw.limit_in_bytes").filter(|limit| *limit < UNLIMITED);
    let mut usage = Usage {
        cpu_ns: cpu_ns(Version::V1, read),
        memory: Memory {
            usage: used,
            working_set: working_set(used, of("inactive_file")),
            rss: of("rss"),
            cache: of("cache"),
            swap: of("swap"),
            faults: of("pgfault"),
            major_faults: of("pgmajfault"),
            limit,
            swap_limit: both.zip(limit).map(|(both, limit)| both.saturating_sub(limit)),
        },
        ..Usage::default()
    };
    if detail == Detail::Full {
        let cpu = |file: &str| read("cpu", file).as_deref().and_then(number);
        let stat = read("cpu", "cpu.stat").unwrap_or_default();
        let stat = table(&stat);
        usage.cpu = CpuLimit {
            shares: cpu("cpu.shares"),
            period: cpu("cpu.cfs_period_us"),
            // -1 where there is none.
            quota: cpu("cpu.cfs_quota_us"),
            periods: stat.get("nr_periods").copied(),
            throttled_periods: stat.get("nr_throttled").copied(),
            throttled_ns: stat.get("throttled_time").copied(),
        };
        usage.disks = throttled(read);
        usage.processes = read("memory", "cgroup.procs").map(|text| lines(&text));
    }
    usage
}

/// Disks of version 1: all that was asked of a device, whichever scheduler it has.
fn throttled(read: &dyn Fn(&str, &str) -> Option<String>) -> BTreeMap<String, Disk> {
    let mut disks: BTreeMap<String, Disk> = BTreeMap::new();
    let of_all = |file: &str| {
        read("blkio", &format!("{file}_recursive")).or_else(|| read("blkio", file)).unwrap_or_default()
    };
    for (device, direction, bytes) in triples(&of_all("blkio.throttle.io_service_bytes")) {
        let disk = disks.entry(device).or_default();
        match direction {
            Direction::Read => disk.read_bytes = bytes,
            Direction::Write => disk.written_bytes = bytes,
        }
    }
    for (device, direction, count) in triples(&of_all("blkio.throttle.io_serviced")) {
        let disk = disks.entry(device).or_default();
        match direction {
            Direction::Read => disk.reads = count,
            Direction::Write => disk.writes = count,
        }
    }
    disks
}

fn second(detail: Detail, read: &dyn Fn(&str) -> Option<String>) -> Usage {
    let one = |file: &str| read(file).as_deref().and_then(number);
    let cpu = read("cpu.stat").unwrap_or_default();
    let cpu = table(&cpu);
    let micros = |key: &str| cpu.get(key).and_then(|micros| micros.checked_mul(1000));
    let stat = read("memory.stat").unwrap_or_default();
    let stat = table(&stat);
    let used = one("memory.current");
    let mut usage = Usage {
        cpu_ns: micros("usage_usec"),
        memory: Memory {
            usage: used,
            working_set: working_set(used, stat.get("inactive_file").copied()),
            rss: stat.get("anon").copied(),
            cache: stat.get("file").copied(),
            swap: one("memory.swap.current"),
            faults: stat.get("pgfault").copied(),
            major_faults: stat.get("pgmajfault").copied(),
            // `max` is no number.
            limit: one("memory.max"),
            swap_limit: one("memory.swap.max"),
        },
        ..Usage::default()
    };
    if detail == Detail::Full {
        let limit = read("cpu.max").unwrap_or_default();
        let mut limit = limit.split_whitespace().map(number);
        usage.cpu = CpuLimit {
            shares: one("cpu.weight").and_then(shares),
            quota: limit.next().flatten(),
            period: limit.next().flatten(),
            periods: cpu.get("nr_periods").copied(),
            throttled_periods: cpu.get("nr_throttled").copied(),
            throttled_ns: micros("throttled_usec"),
        };
        usage.disks = read("io.stat").map(|text| disks(&text)).unwrap_or_default();
        usage.processes = read("cgroup.procs").map(|text| lines(&text));
    }
    usage
}

fn working_set(usage: Option<u64>, inactive_file: Option<u64>) -> Option<u64> {
    Some(usage?.saturating_sub(inactive_file.unwrap_or(0)))
}

/// A weight of version 2 as the shares of version 1 that upstream shows for it.
fn shares(weight: u64) -> Option<u64> {
    (1..=10_000).contains(&weight).then(|| 2 + (weight - 1) * 262_142 / 9999)
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn lines(text: &str) -> u64 {
    text.lines().map(|_| 1).sum()
}

/// `KEY NUMBER` on each line.
fn table(text: &str) -> BTreeMap<&str, u64> {
    text.lines().filter_map(|line| line.split_once(' ')).filter_map(|(k, v)| Some((k, number(v)?))).collect()
}

enum Direction {
    Read,
    Write,
}

/// `MAJOR:MINOR Read NUMBER` on each line, and others that are passed over.
fn triples(text: &str) -> impl Iterator<Item = (String, Direction, u64)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (device, what, amount) = (words.next()?, words.next()?, words.next()?);
        let direction = match what {
            "Read" => Direction::Read,
            "Write" => Direction::Write,
            _ => return None,
        };
        Some((device.to_owned(), direction, number(amount)?))
    })
}

/// `MAJOR:MINOR rbytes=NUMBER wbytes=…` on each line of `io.stat`.
fn disks(text: &str) -> BTreeMap<String, Disk> {
    let disks = text.lines().filter_map(|line| {
        let (device, rest) = line.split_once(' ')?;
        let fields: BTreeMap<&str, u64> = rest
            .split_whitespace()
            .filter_map(|field| field.split_once('='))
            .filter_map(|(key, value)| Some((key, number(value)?)))
            .collect();
        let of = |key: &str| fields.get(key).copied().unwrap_or(0);
        let disk = Disk {
            read_bytes: of("rbytes"),
            written_bytes: of("wbytes"),
            reads: of("rios"),
            writes: of("wios"),
        };
        Some((device.to_owned(), disk))
    });
    disks.collect()
}

/// The cgroup that a process is in, from its `/proc/PID/cgroup`.
pub(crate) fn of_process(version: Version, text: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let mut lines = lines.filter(|(controllers, _)| match version {
        Version::V1 => controllers.split(',').any(|controller| controller == "memory"),
        Version::V2 => controllers.is_empty(),
    });
    lines.next().map(|(_, path)| path.to_owned())
}

#[cfg(test)]
#[path = "../tests/cgroup.rs"]
mod tests;
