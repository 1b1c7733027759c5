//! Pure: what files of `/proc` say.

use std::collections::BTreeMap;

use super::cgroup::{Memory, Usage};
use super::seen::{Counters, Network, Traffic};

/// Nanoseconds of a tick: on every architecture that this agent is built for, user space counts a hundred a second.
const TICK_NS: u64 = 10_000_000;
/// Interfaces that upstream leaves out: the loopback, and the host's ends of others'.
const LEFT_OUT: [&str; 4] = ["lo", "veth", "docker", "nerdctl"];
/// The interface that upstream takes for a namespace's own.
const USUAL: &str = "eth0";

/// Seconds since 1970 when the machine booted, from `/proc/stat`.
pub(crate) fn booted(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// What the machine uses, from `/proc/stat`, `/proc/meminfo` and `/proc/vmstat`.
pub(crate) fn machine(stat: &str, meminfo: &str, vmstat: &str) -> Usage {
    let of = |field: &str| kilobytes(meminfo, field);
    let total = of("MemTotal");
    let usage = total.zip(of("MemFree")).map(|(total, free)| total.saturating_sub(free));
    let inactive = of("Inactive(file)").unwrap_or(0);
    let count = |key: &str| {
        let mut lines = vmstat.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim().parse().ok())
    };
    let swap = of("SwapTotal").zip(of("SwapFree"));
    Usage {
        cpu_ns: busy(stat),
        memory: Memory {
            usage,
            working_set: usage.map(|usage| usage.saturating_sub(inactive)),
            rss: of("AnonPages"),
            cache: of("Cached"),
            swap: swap.map(|(total, free)| total.saturating_sub(free)),
            faults: count("pgfault"),
            major_faults: count("pgmajfault"),
            limit: total,
            swap_limit: swap.map(|(total, _)| total),
        },
        ..Usage::default()
    }
}

/// Bytes that huge pages take, from `/proc/meminfo`.
pub(crate) fn huge_pages(meminfo: &str) -> u64 {
    kilobytes(meminfo, "Hugetlb").unwrap_or(0)
}

/// Nanoseconds that processors worked: what is neither idle, nor waiting, nor taken by a hypervisor. Guests are in `user`.
fn busy(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, irq, softirq, ..] = ticks.as_slice() else { return None };
    let ticks = [user, nice, system, irq, softirq].into_iter().sum::<u64>();
    ticks.checked_mul(TICK_NS)
}

/// A field of `/proc/meminfo` or `/proc/PID/status`, in bytes.
pub(crate) fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Interfaces, from `net/dev`, and which of them is the default, from `net/route`.
pub(crate) fn network(dev: &str, route: &str) -> Network {
    let interfaces: BTreeMap<String, Counters> = dev.lines().filter_map(interface).collect();
    let leaves_by = route.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.next()? == "00000000").then(|| name.to_owned())
    });
    let default = leaves_by.filter(|name| interfaces.contains_key(name));
    let default = default.or_else(|| interfaces.contains_key(USUAL).then(|| USUAL.to_owned()));
    Network { interfaces, default }
}

fn interface(line: &str) -> Option<(String, Counters)> {
    let (name, numbers) = line.split_once(':')?;
    let name = name.trim();
    if LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let numbers: Vec<u64> = numbers.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let traffic = |at: usize| {
        let [bytes, packets, errors, dropped] = *numbers.get(at..at + 4)? else { return None };
        Some(Traffic { bytes, packets, errors, dropped })
    };
    Some((name.to_owned(), Counters { received: traffic(0)?, sent: traffic(8)? }))
}

/// Processes and threads that there are, from `/proc/loadavg`.
pub(crate) fn threads(loadavg: &str) -> Option<u64> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Nanoseconds of processor time.
    pub(crate) cpu_ns: u64,
    /// Milliseconds since the machine booted when it began.
    pub(crate) began_ms: u64,
}

/// What `/proc/PID/stat` says.
pub(crate) fn process(stat: &str) -> Option<Process> {
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let word = |number: usize| rest.split_whitespace().nth(number - 3)?.parse::<u64>().ok();
    Some(Process {
        cpu_ns: word(14)?.checked_add(word(15)?)?.checked_mul(TICK_NS)?,
        began_ms: word(22)?.checked_mul(TICK_NS / 1_000_000)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  100 5 50 9000 70 3 2 11 20 0\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\nbtime 1700000000\n";
    const MEMINFO: &str = "MemTotal:        8000 kB\nMemFree:         2000 kB\nCached: 1500 kB\nInactive(file):  1000 kB\n\
        AnonPages: 3000 kB\nSwapTotal: 100 kB\nSwapFree: 60 kB\nHugePages_Total:       1\nHugetlb: 2048 kB\n";

    #[test]
    fn the_machine() {
        let usage = machine(STAT, MEMINFO, "nr_free_pages 5\npgfault 77\npgmajfault 3\n");
        // user, nice, system, irq and softirq: 160 ticks.
        assert_eq!(usage.cpu_ns, Some(1_600_000_000));
        let memory = usage.memory;
        assert_eq!((memory.usage, memory.working_set), (Some(6000 << 10), Some(5000 << 10)));
        assert_eq!((memory.swap, memory.swap_limit), (Some(40 << 10), Some(100 << 10)));
        assert_eq!((memory.faults, memory.major_faults), (Some(77), Some(3)));
        assert_eq!((booted(STAT), huge_pages(MEMINFO)), (Some(1_700_000_000), 2048 << 10));
        assert_eq!(machine("", "", ""), Usage::default());
    }

    #[test]
    fn interfaces_but_the_hosts_ends() {
        let dev = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n    \
            lo:  9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\nveth1a: 1 1 1 1 0 0 0 0 1 1 1 1 0 0 0 0\n \
            wlan0:1000 20 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
        let seen = network(dev, "Iface\tDestination\tGateway\nwlan0\t00000000\t0101A8C0\n");
        let received = Traffic { bytes: 100, packets: 2, errors: 3, dropped: 4 };
        let sent = Traffic { bytes: 500, packets: 6, errors: 7, dropped: 8 };
        assert_eq!(seen.interfaces["eth0"], Counters { received, sent });
        assert_eq!(seen.interfaces.keys().collect::<Vec<_>>(), ["eth0", "wlan0"]);
        assert_eq!(seen.default.as_deref(), Some("wlan0"));
        assert_eq!(network(dev, "").default.as_deref(), Some("eth0"));
        assert_eq!(network("", "Iface\nx\t00000000\n"), Network::default());
    }

    #[test]
    fn a_process_of_any_name() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 3000 20 21";
        assert_eq!(process(stat), Some(Process { cpu_ns: 3_000_000_000, began_ms: 30_000 }));
        assert_eq!((process("12 (a"), threads("0.1 0.2 0.3 2/345 678\n")), (None, Some(345)));
    }
}
