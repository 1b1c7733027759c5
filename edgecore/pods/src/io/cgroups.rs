//! The cgroup that a pod's cgroups lie in. The runtime makes it and removes only what it makes for containers; left
//! alone, it costs the kernel memory for every pod there ever was.

use std::fs;
use std::io;
use std::path::Path;

/// Where the kernel shows its hierarchies.
pub(super) const ROOT: &str = "/sys/fs/cgroup";

/// Removes a pod's cgroup (`/parent/pod…`), and empty ones in it, from every hierarchy under `root`: on cgroup v2 that
/// is `root` itself, on v1 every directory in it. Fine if there is none. One that still holds processes stays.
pub(super) fn remove(root: &Path, cgroup: &str) -> io::Result<()> {
    let relative = cgroup.trim_start_matches('/');
    remove_tree(&root.join(relative))?;
    let Ok(hierarchies) = fs::read_dir(root) else { return Ok(()) };
    for hierarchy in hierarchies {
        let hierarchy = hierarchy?;
        if hierarchy.file_type()?.is_dir() {
            remove_tree(&hierarchy.path().join(relative))?;
        }
    }
    Ok(())
}

/// Removes a directory and those in it, never a file: a cgroup's files go with it.
fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        // Processes in it, or somebody was faster.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ResourceBusy | io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Ok(())
        }
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_cgroup_goes_from_every_hierarchy_and_no_other_does() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in [
            "cpu/skerry/pods/podu/sandbox",
            "memory/skerry/pods/podu",
            "skerry/pods/podu",
            "cpu/skerry/pods/podv",
        ] {
            fs::create_dir_all(at(path)).unwrap();
        }
        remove(root.path(), "/skerry/pods/podu").unwrap();
        assert!(!at("cpu/skerry/pods/podu").exists() && !at("memory/skerry/pods/podu").exists());
        assert!(!at("skerry/pods/podu").exists());
        assert!(at("cpu/skerry/pods/podv").exists());
        remove(root.path(), "/skerry/pods/podu").unwrap();
        remove(&at("nowhere"), "/skerry/pods/podu").unwrap();
    }

    #[test]
    fn what_is_in_use_stays() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("skerry/pods/podu");
        fs::create_dir_all(&pod).unwrap();
        fs::write(pod.join("in-use"), "").unwrap();
        remove(root.path(), "/skerry/pods/podu").unwrap();
        assert!(pod.join("in-use").exists());
    }
}
