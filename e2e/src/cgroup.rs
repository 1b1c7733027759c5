//! The control groups of a lab: one subtree per node and one for what runs on the host, in every hierarchy
//! the machine has (version 1, version 2 or both). They are how everything of a node is found, stopped at
//! one instant and killed, and how a lab is cleared away after a crash.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::host;
use crate::proc;

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted on the host.
    pub mount: PathBuf,
    /// The mount options that name its controllers (version 1), such as `cpu,cpuacct`.
    pub controllers: String,
    /// Whether it is the one of version 2.
    pub unified: bool,
}

/// The hierarchies of this machine.
///
/// # Errors
/// There is none.
pub fn hierarchies() -> Result<Vec<Hierarchy>> {
    let found = parse_mounts(&fs::read_to_string("/proc/self/mounts")?);
    anyhow::ensure!(!found.is_empty(), "no cgroup hierarchy is mounted under /sys/fs/cgroup");
    Ok(found)
}

fn parse_mounts(mounts: &str) -> Vec<Hierarchy> {
    let generic = ["rw", "ro", "relatime", "nosuid", "nodev", "noexec", "nsdelegate", "memory_recursiveprot"];
    let one = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (mount, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let unified = kind == "cgroup2";
        if !(mount.starts_with("/sys/fs/cgroup") && (unified || kind == "cgroup")) {
            return None;
        }
        let own = options.split(',').filter(|option| {
            !generic.contains(option) && !option.starts_with("release_agent") && *option != "xattr"
        });
        let controllers = own.collect::<Vec<_>>().join(",");
        Some(Hierarchy { mount: mount.into(), controllers, unified })
    };
    mounts.lines().filter_map(one).collect()
}

/// A subtree with the same name in every hierarchy, such as `skerry-0a1b2c/edge-1`.
#[derive(Debug, Clone)]
pub struct Group {
    name: String,
    hierarchies: Vec<Hierarchy>,
}

impl Group {
    /// The subtree called `name`, below the root of each hierarchy.
    ///
    /// # Errors
    /// The machine has no hierarchy.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self { name: name.to_owned(), hierarchies: hierarchies()? })
    }

    /// Its folders, one per hierarchy.
    fn folders(&self) -> impl Iterator<Item = (&Hierarchy, PathBuf)> {
        self.hierarchies.iter().map(|hierarchy| (hierarchy, hierarchy.mount.join(&self.name)))
    }

    /// Makes the subtree, with the controllers of version 2 handed down.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn create(&self) -> Result<()> {
        for (hierarchy, _) in self.folders() {
            let mut folder = hierarchy.mount.clone();
            for part in self.name.split('/') {
                hand_down(hierarchy, &folder);
                folder.push(part);
                make(hierarchy, &folder)?;
            }
        }
        Ok(())
    }

    /// The files that a process writes "0" to in order to be in this subtree. On version 2 that is a leaf:
    /// a group with processes cannot hand controllers to groups below it.
    pub fn entrances(&self, leaf: Option<&str>) -> Vec<PathBuf> {
        let entrance = |(hierarchy, folder): (&Hierarchy, PathBuf)| match leaf {
            Some(leaf) if hierarchy.unified => folder.join(leaf).join("cgroup.procs"),
            _ => folder.join("cgroup.procs"),
        };
        self.folders().map(entrance).collect()
    }

    /// Every process in it, in any hierarchy, however deep.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for (_, folder) in self.folders() {
            collect_pids(&folder, &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Stops every process where it stands. Those inside an uninterruptible call stop as they leave it,
    /// which this does not wait for longer than a quarter of a second.
    ///
    /// # Errors
    /// There is no freezer.
    pub fn freeze(&self) -> Result<()> {
        let (file, stopped) = self.freezer()?;
        fs::write(&file.0, file.1).with_context(|| format!("cannot stop {}", self.name))?;
        let look = || Ok(fs::read_to_string(&stopped.0)?.contains(stopped.1));
        // Late ones are stopped by the kernel before they run any code of their own again.
        let _ = host::wait("all processes stopped", Duration::from_millis(250), look);
        Ok(())
    }

    /// Lets stopped processes run, or die of the signals they got meanwhile.
    ///
    /// # Errors
    /// There is no freezer.
    pub fn thaw(&self) -> Result<()> {
        let ((file, _), _) = self.freezer()?;
        let word = if file.ends_with("cgroup.freeze") { "0" } else { "THAWED" };
        fs::write(&file, word).with_context(|| format!("cannot thaw {}", self.name))
    }

    /// The file and word that stop the subtree, and the file and word that tell it is stopped.
    #[expect(clippy::type_complexity, reason = "two pairs of the same shape, used in this file only")]
    fn freezer(&self) -> Result<((PathBuf, &'static str), (PathBuf, &'static str))> {
        let first = self.folders().find(|(hierarchy, _)| hierarchy.controllers == "freezer");
        if let Some((_, folder)) = first {
            let state = folder.join("freezer.state");
            return Ok(((state.clone(), "FROZEN"), (state, "FROZEN")));
        }
        let (_, folder) = self.folders().find(|(hierarchy, _)| hierarchy.unified).context("no freezer")?;
        Ok(((folder.join("cgroup.freeze"), "1"), (folder.join("cgroup.events"), "frozen 1")))
    }

    /// Kills every process in it and returns when none is left: stopped first, so that none sees another die.
    ///
    /// # Errors
    /// Some process stays.
    pub fn kill(&self) -> Result<()> {
        if !self.folders().any(|(_, folder)| folder.is_dir()) {
            return Ok(());
        }
        let empty = |group: &Self| -> Result<bool> {
            let pids = group.pids();
            for pid in &pids {
                proc::signal_pid(*pid, rustix::process::Signal::KILL)?;
            }
            Ok(pids.is_empty())
        };
        if self.freeze().is_ok() {
            empty(self)?;
            self.thaw()?;
        }
        host::wait(&format!("end of all processes of {}", self.name), Duration::from_secs(15), || empty(self))
    }

    /// Removes the empty subtree.
    ///
    /// # Errors
    /// A process is still in it.
    pub fn remove(&self) -> Result<()> {
        for (_, folder) in self.folders() {
            // A process that just died is still counted for an instant.
            let what = format!("removal of {}", folder.display());
            host::wait(&what, Duration::from_secs(5), || remove_tree(&folder).map(|()| true))?;
        }
        Ok(())
    }
}

fn make(hierarchy: &Hierarchy, folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.with_context(|| format!("cannot make {}", folder.display()))?,
    }
    // Without processors and memory nodes of its own a cpuset takes no process.
    if hierarchy.controllers.split(',').any(|controller| controller == "cpuset") {
        let parent = folder.parent().context("a group has a parent")?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            fs::write(folder.join(file), fs::read(parent.join(file))?)?;
        }
        fs::write(folder.join("cgroup.clone_children"), "1")?;
    }
    Ok(())
}

/// On version 2, offers every controller to the groups below `folder`, one by one: some may be impossible.
fn hand_down(hierarchy: &Hierarchy, folder: &Path) {
    if hierarchy.unified {
        let offered = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        for controller in offered.split_whitespace() {
            let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

fn collect_pids(folder: &Path, into: &mut Vec<i32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    into.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_pids(&entry.path(), into);
        }
    }
}

fn remove_tree(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_among_other_mounts() {
        let mounts = "proc /proc proc rw 0 0\n\
            tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0\n\
            cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
            cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,release_agent=/x,name=systemd 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n\
            cgroup /elsewhere/cpu cgroup rw,cpu 0 0\n";
        let found: Vec<_> =
            parse_mounts(mounts).into_iter().map(|one| (one.controllers, one.unified)).collect();
        let expected = [("cpu,cpuacct", false), ("name=systemd", false), ("", true)];
        assert_eq!(found, expected.map(|(controllers, unified)| (controllers.to_owned(), unified)));
    }
}
