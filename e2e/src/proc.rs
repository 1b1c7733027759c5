//! Processes by what they really are: a pid alone may be another process by now, a pid with its start time
//! is not.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process of the host that stays itself across reuse of pids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid in the host's namespace.
    pub pid: i32,
    /// Its start, in clock ticks since the host's boot.
    pub started: u64,
}

impl Process {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: i32) -> Result<Self> {
        let (_, _, started) = read_stat(pid)?;
        Ok(Self { pid, started })
    }

    /// Whether it still runs, and holds its ports and files. A zombie does not, once its last thread has ended: of a process
    /// that is killed the first thread may end before the others.
    pub fn alive(self) -> bool {
        let runs = |state: char| !matches!(state, 'Z' | 'X') || threads(self.pid) > 1;
        read_stat(self.pid).is_ok_and(|(state, _, started)| started == self.started && runs(state))
    }

    /// Kills it at once and returns when it is gone. A process that is gone already is no error.
    ///
    /// # Errors
    /// It cannot be signalled, or it stays.
    pub fn kill(self) -> Result<()> {
        self.signal(Signal::KILL)?;
        crate::host::wait(&format!("end of process {}", self.pid), std::time::Duration::from_secs(10), || {
            Ok(!self.alive())
        })
    }

    /// Sends it a signal; a process that is gone already is no error.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn signal(self, signal: Signal) -> Result<()> {
        if self.alive() {
            signal_pid(self.pid, signal)?;
        }
        Ok(())
    }
}

/// Sends a signal to whatever has this pid; nobody is no error.
///
/// # Errors
/// The kernel refuses.
pub fn signal_pid(pid: i32, signal: Signal) -> Result<()> {
    let Some(target) = (pid > 1).then(|| Pid::from_raw(pid)).flatten() else {
        bail!("pid {pid} is not one to signal")
    };
    match kill_process(target, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot signal process {pid}")),
    }
}

/// Threads that have not ended, and the first one where it has.
fn threads(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// State letter, parent and start time of a process.
fn read_stat(pid: i32) -> Result<(char, i32, u64)> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    parse_stat(&text).with_context(|| format!("/proc/{pid}/stat is not as expected"))
}

/// The command's name stands in brackets and may itself hold spaces and brackets, so fields count from the
/// last closing one: state is field 3, the parent 4, the start time 22.
fn parse_stat(text: &str) -> Option<(char, i32, u64)> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

/// All pids of the host.
pub fn all_pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    all_pids()
        .into_iter()
        .filter(|child| read_stat(*child).is_ok_and(|(_, parent, _)| parent == pid))
        .collect()
}

/// A process and all its descendants that are still linked to it.
pub fn tree(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children(parent));
        next += 1;
    }
    found
}

/// The process that is called `inner` in the pid namespace of process `init`, as the host sees it.
///
/// # Errors
/// There is none among `candidates`.
pub fn from_inside(init: i32, inner: i32, candidates: &[i32]) -> Result<Process> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(init).with_context(|| format!("process {init} is gone"))?;
    let inner_pid = |pid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_whitespace().last()?.parse::<i32>().ok()
    };
    let found = candidates
        .iter()
        .find(|pid| namespace(**pid).as_ref() == Some(&wanted) && inner_pid(**pid) == Some(inner));
    Process::of(*found.with_context(|| format!("process {inner} of the node ended at once"))?)
}

/// A value in kilobytes from `/proc/PID/status`, such as `VmRSS`.
///
/// # Errors
/// The process is gone or has no such line.
pub fn status_kib(pid: i32, key: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("no process {pid}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("process {pid} has no {key}"))
}

/// Whether a file is there and may be executed.
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_shifts_no_field() {
        let text = "7 (a ) b) S 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1";
        assert_eq!(parse_stat(text), Some(('S', 42, 987_654)));
        assert_eq!(parse_stat("7 (short) S 1"), None);
    }

    #[test]
    fn a_killed_process_is_not_alive_even_as_a_zombie() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(process.alive());
        assert!(children(i32::try_from(std::process::id()).unwrap()).contains(&process.pid));
        assert!(!Process { started: process.started + 1, ..process }.alive(), "another process of that pid");
        process.kill().unwrap();
        assert!(!process.alive());
        process.kill().expect("killing the dead is no error");
        child.wait().unwrap();
    }

    #[test]
    fn init_and_everybody_are_never_signalled() {
        for pid in [-1, 0, 1] {
            assert!(signal_pid(pid, Signal::KILL).is_err());
        }
    }
}
