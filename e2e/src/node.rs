//! A node while it runs: its namespaces, its control group, and running programs in it.
//!
//! A node has network, mount, pid, host name, IPC, control group and time namespaces of its own; process 1 of
//! its pid namespace only buries orphans. Its clocks of elapsed time start near 0 at each power-on, as those
//! of a machine do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cgroup::{self, Group};
use crate::names::LabId;
use crate::proc::{self, Process};
use crate::{host, registry, spawn};

/// The script that makes the node's view of the file system.
const BOOT: &str = include_str!("boot.sh");
/// On control groups of version 2, the group that the node's own programs are in.
const LEAF: &str = "system";

/// A running node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its process 1.
    pub init: Process,
    lab: LabId,
    name: String,
}

/// What a node is booted with.
#[derive(Debug)]
pub struct BootSpec<'a> {
    /// The lab.
    pub lab: &'a LabId,
    /// The lab's directory.
    pub dir: &'a Path,
    /// The node's name.
    pub name: &'a str,
    /// Its disk's image.
    pub disk: &'a Path,
    /// The boot id it shows.
    pub boot_id: &'a str,
}

/// The node's control group.
///
/// # Errors
/// The machine has no control groups.
pub fn group(lab: &LabId, name: &str) -> Result<Group> {
    Group::new(&format!("{}/{name}", lab.group()))
}

/// Starts process 1 of a node whose network is there, and returns when its file system stands.
///
/// # Errors
/// A namespace or mount cannot be made; the message names the log with the reason.
pub fn boot(spec: &BootSpec) -> Result<Node> {
    let group = group(spec.lab, spec.name)?;
    group.create()?;
    let log = spec.dir.join("logs").join(format!("{}-boot.log", spec.name));
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let uptime = uptime.split('.').next().context("no uptime")?.to_owned();
    let netns = format!("--net=/run/netns/{}", spec.lab.netns(spec.name));
    let back = format!("-{uptime}");
    let words = [
        "nsenter",
        &netns,
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--uts",
        "--ipc",
        "--cgroup",
        "--time",
        "--boottime",
        &back,
        "--monotonic",
        &back,
        "/bin/sh",
        "-c",
        BOOT,
        "boot",
    ];
    let hierarchies = cgroup::hierarchies()?;
    let cgroups = describe(&hierarchies);
    let leaf = hierarchies
        .iter()
        .find(|one| one.unified)
        .map(|one| one.mount.join(spec.lab.group()).join(spec.name).join(LEAF).display().to_string());
    let mount = registry::folder(&spec.lab.id).join("disk");
    let env = [
        ("DISK", &*spec.disk.display().to_string()),
        ("MOUNT", &mount.display().to_string()),
        ("LAB", &spec.dir.display().to_string()),
        ("NAME", spec.name),
        ("BOOT_ID", spec.boot_id),
        ("GATEWAY", &spec.lab.host_address().to_string()),
        ("CGROUPS", &cgroups),
        ("LEAF", leaf.as_deref().unwrap_or_default()),
    ];
    let shell = spawn::daemon(&spawn::words(&words), &env, &log, &group.entrances(None))?;
    let init = host::wait_for("the node's file system", Duration::from_secs(30), || {
        let Some(child) = proc::children(shell.pid).first().copied() else {
            return if shell.alive() { Ok(None) } else { Ok(Some(None)) };
        };
        let stands = Path::new(&format!("/proc/{child}/root/run/node-ready")).exists();
        Ok(if stands { Some(Some(Process::of(child)?)) } else { None })
    })?;
    let Some(init) = init else { bail!("node {} did not boot; see {}", spec.name, log.display()) };
    let node = Node { init, lab: spec.lab.clone(), name: spec.name.to_owned() };
    node.link_root()?;
    Ok(node)
}

/// The hierarchies as `boot.sh` wants them.
fn describe(hierarchies: &[cgroup::Hierarchy]) -> String {
    if let [only] = hierarchies
        && only.unified
    {
        return "=".to_owned();
    }
    let word = |one: &cgroup::Hierarchy| {
        let name = one.mount.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let named = one.controllers.starts_with("name=");
        format!("{name}={}{}", if named { "none," } else { "" }, one.controllers)
    };
    hierarchies.iter().map(word).collect::<Vec<_>>().join(" ")
}

impl Node {
    /// The node that has this process 1, whether it still runs or not.
    pub fn new(lab: &LabId, name: &str, init: Process) -> Self {
        Self { init, lab: lab.clone(), name: name.to_owned() }
    }

    /// A short way for the host to the node's files, the same in every life of the node.
    fn link_root(&self) -> Result<()> {
        let link = self.link();
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("/proc/{}/root", self.init.pid), &link)
            .with_context(|| format!("cannot make {}", link.display()))
    }

    fn link(&self) -> PathBuf {
        registry::folder(&self.lab.id).join(&self.name)
    }

    /// A path of the node as the host sees it, valid while the node runs. Absolute symlinks inside the node
    /// lead astray on this way: the kernel follows them from the host's root.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.link().join(inside.trim_start_matches('/'))
    }

    /// A command line that enters the node and becomes `argv` there; environment, input and output are the
    /// caller's, but for `PATH` (the lab's own programs first) and `CONTAINERD_ADDRESS`.
    ///
    /// # Errors
    /// The machine has no control groups.
    pub fn command<S: AsRef<str>>(&self, argv: &[S]) -> Result<Command> {
        let target = self.init.pid.to_string();
        let mut words = spawn::words(&["nsenter", "-t", &target]);
        words.extend(spawn::words(&["-m", "-u", "-i", "-n", "-p", "-C", "-T", "--"]));
        words.extend(spawn::words(argv));
        let mut command = spawn::joined(&group(&self.lab, &self.name)?.entrances(Some(LEAF)), &words);
        let path = host::env("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        command.env("PATH", format!("/run/lab/bin/containerd:/run/lab/bin:{path}"));
        command.env("CONTAINERD_ADDRESS", crate::containerd::SOCKET);
        Ok(command)
    }

    /// Runs a program in the node to its end and returns its standard output.
    ///
    /// # Errors
    /// It cannot be started or fails; the message carries its stderr.
    pub fn run<S: AsRef<str>>(&self, argv: &[S]) -> Result<String> {
        let line = argv.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        let what = format!("{}: {line}", self.name);
        host::finish_as(&what, self.command(argv)?.stdin(std::process::Stdio::null()))
    }

    /// Starts a program in the node that goes on, in a session of its own, its output appended to a file on
    /// the node's disk. The environment is a service's: nothing of the caller's.
    ///
    /// # Errors
    /// It ended at once.
    pub fn daemon<S: AsRef<str>>(&self, argv: &[S], log: &str) -> Result<Process> {
        let script = r#"log=$0; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!"#;
        let path = "PATH=/run/lab/bin/containerd:/run/lab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut words =
            spawn::words(&["env", "-i", path, "HOME=/root", "LANG=C.UTF-8", "/bin/sh", "-c", script, log]);
        words.extend(spawn::words(argv));
        let said = self.run(&words)?;
        let inner: i32 = said.trim().parse().with_context(|| format!("no pid in {said:?}"))?;
        let program = argv.first().map_or("", AsRef::as_ref);
        proc::from_inside(self.init.pid, inner, &group(&self.lab, &self.name)?.pids())
            .with_context(|| format!("{program} on {}; see {}", self.name, self.path(log).display()))
    }

    /// Writes everything to the node's disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.run(&["sync", "-f", "/var/lib/containerd"]).map(drop)
    }
}

/// What process 1 of a node does: tell that the node stands, then bury orphans forever.
///
/// # Errors
/// `/run` cannot be written.
pub fn init() -> Result<()> {
    std::fs::write("/run/node-ready", "")?;
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Nobody to bury yet.
            Err(rustix::io::Errno::CHILD) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Hierarchy;

    #[test]
    fn hierarchies_are_told_to_the_boot_script() {
        let one = |mount: &str, controllers: &str, unified| Hierarchy {
            mount: mount.into(),
            controllers: controllers.into(),
            unified,
        };
        let hybrid = [
            one("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct", false),
            one("/sys/fs/cgroup/systemd", "name=systemd", false),
            one("/sys/fs/cgroup/unified", "", true),
        ];
        assert_eq!(describe(&hybrid), "cpu,cpuacct=cpu,cpuacct systemd=none,name=systemd unified=");
        assert_eq!(describe(&[one("/sys/fs/cgroup", "", true)]), "=");
    }
}
