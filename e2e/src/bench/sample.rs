//! Reading what processes use, from /proc.

use std::fs;

use anyhow::{Context, Result};

use crate::proc::{all_pids, status_kib, tree};

/// Bytes in a MiB.
pub(super) const MIB: f64 = 1_048_576.0;

/// Clock ticks a second in /proc/PID/stat: 100 on every Linux this runs on (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// What processes have used since they began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    /// Seconds of processor time, user and system, their dead children's included.
    pub(super) cpu: f64,
    /// Bytes they caused to be written to storage.
    pub(super) written: f64,
}

impl Used {
    /// Sum over some processes; one that is gone counts nothing.
    pub(super) fn by(pids: &[i32]) -> Self {
        let each = pids.iter().filter_map(|pid| one(*pid).ok());
        each.fold(Self::default(), |sum, used| Self {
            cpu: sum.cpu + used.cpu,
            written: sum.written + used.written,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes and ticks stay far below 2^52")]
fn one(pid: i32) -> Result<Used> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .context("stat without a name")?
        .1
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    // Behind the name, state is field 0; utime, stime, cutime and cstime are 11 to 14.
    let ticks: u64 = fields.get(11..15).context("stat is short")?.iter().sum();
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse::<u64>().ok());
    Ok(Used { cpu: ticks as f64 / TICKS, written: written.context("io without write_bytes")? as f64 })
}

/// Resident MiB of a process and every child it keeps.
#[expect(clippy::cast_precision_loss, reason = "KiB stay far below 2^52")]
pub(super) fn rss_mib(pid: i32, key: &str) -> Result<f64> {
    let own = status_kib(pid, key)? as f64;
    let children = tree(pid).into_iter().filter(|child| *child != pid);
    Ok((own + children.filter_map(|child| status_kib(child, key).ok()).map(|kib| kib as f64).sum::<f64>())
        / 1024.0)
}

/// containerd and its shims: every process in the pid namespace of `inside` whose name begins with `containerd`.
pub(super) fn runtime_pids(inside: i32) -> Vec<i32> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(inside);
    let named = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("containerd"))
    };
    all_pids().into_iter().filter(|pid| named(pid) && namespace(*pid) == wanted).collect()
}
