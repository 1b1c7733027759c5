//! The links in `/var/log/containers` that log collectors read: `POD_NAMESPACE_CONTAINER-ID.log`, each to the log of one
//! run of a container. Names as upstream's kubelet makes them (`logSymlink` in its kuberuntime package).

use std::io;
use std::path::{Path, PathBuf};

use super::files::{blocking, fine_if_gone, names_in};
use crate::desired::Desired;
use crate::runtime::ContainerId;

/// Longest name of a file, in bytes, on the file systems there are.
const LONGEST: usize = 255;
const END: &str = ".log";

fn name(desired: &Desired, container: &str, id: &ContainerId) -> String {
    let mut name = format!("{}_{}_{container}-{}", desired.name, desired.namespace, id.0);
    // All of it is ASCII: names in the API are.
    let mut longest = name.len().min(LONGEST - END.len());
    while !name.is_char_boundary(longest) {
        longest -= 1;
    }
    name.truncate(longest);
    name + END
}

/// Links a container's log, where links are kept at all.
pub(super) async fn link(
    links: PathBuf,
    desired: &Desired,
    container: &str,
    id: &ContainerId,
    log: PathBuf,
) -> io::Result<()> {
    if links.as_os_str().is_empty() {
        return Ok(());
    }
    let link = links.join(name(desired, container, id));
    blocking(move || {
        std::fs::create_dir_all(&links)?;
        fine_if_gone(std::fs::remove_file(&link))?;
        std::os::unix::fs::symlink(log, link)
    })
    .await
}

/// Removes the links to a log, or to every log in a folder.
pub(super) fn unlink(links: &Path, logs: &Path) -> io::Result<()> {
    if links.as_os_str().is_empty() {
        return Ok(());
    }
    for name in names_in(links)? {
        let link = links.join(name);
        // What is no link, or leads elsewhere, is somebody else's.
        if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(logs)) {
            fine_if_gone(std::fs::remove_file(link))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_into_the_folder_go() {
        let dir = tempfile::tempdir().unwrap();
        let link =
            |name: &str, target: &str| std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
        link("a.log", "/var/log/pods/ns_a_1/main/0.log");
        link("b.log", "/var/log/pods/ns_a_1/main/1.log");
        link("c.log", "/var/log/pods/ns_a_12/main/0.log");
        std::fs::write(dir.path().join("d.log"), "").unwrap();
        unlink(dir.path(), Path::new("/var/log/pods/ns_a_1/main/0.log")).unwrap();
        let left = || {
            let mut names = names_in(dir.path()).unwrap();
            names.sort();
            names
        };
        assert_eq!(left(), ["b.log", "c.log", "d.log"]);
        unlink(dir.path(), Path::new("/var/log/pods/ns_a_1")).unwrap();
        assert_eq!(left(), ["c.log", "d.log"]);
        unlink(&dir.path().join("absent"), Path::new("/")).unwrap();
        unlink(Path::new(""), Path::new("/")).unwrap();
    }
}
