//! What a directory takes on its file system.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// What a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Inodes, the directory's own among them.
    pub inodes: u64,
}

/// What everything in a directory takes, each file once. Follows no links, leaves no file system, and does not count what
/// lies deeper than the longest path. It takes as long as there are files.
///
/// # Errors
/// The directory itself cannot be opened.
pub fn usage(directory: &Path) -> io::Result<Usage> {
    let root = fs::File::open(directory)?;
    let (mut total, mut seen) = (Usage { bytes: 0, inodes: 1 }, BTreeSet::new());
    let mut waiting = vec![String::from(".")];
    while let Some(path) = waiting.pop() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let safe = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        // What disappears while we look no longer counts.
        let Ok(opened) = openat2(&root, &*path, flags, Mode::empty(), safe) else { continue };
        let Ok(entries) = rustix::fs::Dir::read_from(&opened) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&opened, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.st_nlink < 2 || seen.insert(stat.st_ino) {
                let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
                total.bytes = total.bytes.saturating_add(bytes);
                total.inodes += 1;
            }
            if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir()
                && let Ok(name) = name.to_str()
            {
                waiting.push(format!("{path}/{name}"));
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_counts_once_and_no_link_is_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("large"), vec![1; 1 << 20]).unwrap();
        let inside = tempfile::tempdir().unwrap();
        let at = |name: &str| inside.path().join(name);
        assert_eq!(usage(inside.path()).unwrap(), Usage { bytes: 0, inodes: 1 });
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("folder/file"), vec![1; 8192]).unwrap();
        fs::hard_link(at("folder/file"), at("again")).unwrap();
        std::os::unix::fs::symlink(outside.path(), at("elsewhere")).unwrap();
        let found = usage(inside.path()).unwrap();
        // Itself, the folder, the file, the link.
        assert_eq!(found.inodes, 4);
        assert!((8192..64 << 10).contains(&found.bytes), "{found:?}");
        assert!(usage(&at("nowhere")).is_err());
    }
}
