//! Reads the files of the kernel. Everything here blocks, though never for long.

use std::fs;
use std::path::PathBuf;

use super::cgroup::{self, Detail, Usage, Version};
use super::proc;
use super::seen::Network;

/// Where the kernel shows what it counts.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// `/proc`.
    pub(crate) proc: PathBuf,
    /// `/sys/fs/cgroup`.
    pub(crate) cgroups: PathBuf,
    /// `/sys/dev/block`: a link to its device for each `MAJOR:MINOR`.
    pub(crate) devices: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { proc: "/proc".into(), cgroups: "/sys/fs/cgroup".into(), devices: "/sys/dev/block".into() }
    }
}

impl Kernel {
    /// Which cgroups there are. Where both are mounted (`hybrid`), the controllers are in version 1.
    pub(crate) fn version(&self) -> Version {
        if self.cgroups.join("cgroup.controllers").exists() { Version::V2 } else { Version::V1 }
    }

    fn cgroup_file(&self, cgroup: &str, controller: &str, file: &str) -> Option<String> {
        let path = self.cgroups.join(controller).join(cgroup.trim_start_matches('/')).join(file);
        fs::read_to_string(path).ok()
    }

    /// What a cgroup uses; `None` where there is none.
    pub(crate) fn usage(&self, cgroup: &str, detail: Detail) -> Option<Usage> {
        let read = |controller: &str, file: &str| self.cgroup_file(cgroup, controller, file);
        let mut usage = cgroup::usage(self.version(), detail, &read)?;
        let disks = std::mem::take(&mut usage.disks);
        usage.disks = disks.into_iter().map(|(device, disk)| (self.device(device), disk)).collect();
        Some(usage)
    }

    /// `/dev/sda` for `8:0`; the number where it has no name.
    fn device(&self, number: String) -> String {
        let Ok(link) = fs::read_link(self.devices.join(&number)) else { return number };
        link.file_name().map_or(number, |name| format!("/dev/{}", name.to_string_lossy()))
    }

    /// Processor time of a cgroup; of the machine for `/`.
    pub(crate) fn cpu_ns(&self, cgroup: &str) -> Option<u64> {
        if cgroup == "/" {
            return self.machine().cpu_ns;
        }
        let read = |controller: &str, file: &str| self.cgroup_file(cgroup, controller, file);
        cgroup::cpu_ns(self.version(), &read)
    }

    /// A file of `/proc`; empty where it cannot be read.
    pub(crate) fn proc(&self, file: &str) -> String {
        fs::read_to_string(self.proc.join(file)).unwrap_or_default()
    }

    /// What the machine uses.
    pub(crate) fn machine(&self) -> Usage {
        proc::machine(&self.proc("stat"), &self.proc("meminfo"), &self.proc("vmstat"))
    }

    /// The cgroup that a process is in.
    pub(crate) fn cgroup_of(&self, process: &str) -> Option<String> {
        cgroup::of_process(self.version(), &self.proc(&format!("{process}/cgroup")))
    }

    /// The network that the processes of a cgroup have; `None` where it has none.
    pub(crate) fn network_of(&self, cgroup: &str) -> Option<Network> {
        let controller = if self.version() == Version::V1 { "memory" } else { "" };
        let processes = self.cgroup_file(cgroup, controller, "cgroup.procs")?;
        // A process of another namespace of process ids shows as 0.
        let process = processes.lines().find(|process| *process != "0")?;
        self.network(&format!("{process}/"))
    }

    /// The network of a process (`PID/`), or of this one.
    pub(crate) fn network(&self, process: &str) -> Option<Network> {
        let dev = self.proc(&format!("{process}net/dev"));
        (!dev.is_empty()).then(|| proc::network(&dev, &self.proc(&format!("{process}net/route"))))
    }

    /// Process ids at most, and in use.
    pub(crate) fn pids(&self) -> (Option<u64>, Option<u64>) {
        let limit = |file: &str| self.proc(file).trim().parse().ok();
        let limits = [limit("sys/kernel/pid_max"), limit("sys/kernel/threads-max")];
        (limits.into_iter().flatten().min(), proc::threads(&self.proc("loadavg")))
    }
}
