//! Removing everything of a pod.
//!
//! Containers may have left anything in the volumes: links to the host's files, trees thousands of levels deep,
//! mounts. So mounts are taken down first, by the kernel's own table; then the tree is removed from open
//! directories, without following links or entering mounts, and without recursion: what lies deep is moved up.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with, unlinkat};
use rustix::io::Errno;

use super::mounts;
use crate::layout::PodDir;

/// How many names are held at once: a container may have made millions.
const AT_ONCE: usize = 1024;

/// Removes a pod's directory; fine if there is none.
pub(super) fn pod(pods: &Path, pod: &PodDir) -> io::Result<()> {
    let parent = match fs::canonicalize(pods) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        parent => parent?,
    };
    let Some(name) = pod.path().file_name().and_then(|name| CString::new(name.as_encoded_bytes()).ok())
    else {
        return Ok(());
    };
    let path = parent.join(pod.path().file_name().unwrap_or_default());
    for point in mounts::below(&path)? {
        mounts::take_down(&point)?;
    }
    if let Some(point) = mounts::below(&path)?.first() {
        let message = format!("{} is still mounted", point.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
    }
    let parent = fs::File::open(parent)?;
    match open(&parent, &name) {
        Err(Errno::NOENT) => return Ok(()),
        opened => clear(&opened?)?,
    }
    Ok(unlinkat(&parent, name.as_c_str(), AtFlags::REMOVEDIR)?)
}

/// Removes everything in a directory.
fn clear(root: &OwnedFd) -> io::Result<()> {
    let mut moved = 0_u64;
    loop {
        let names = names(root)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if leaf(root, &name)? {
                continue;
            }
            let directory = open(root, &name)?;
            empty(&directory, root, &mut moved)?;
            unlinkat(root, name.as_c_str(), AtFlags::REMOVEDIR)?;
        }
    }
}

/// Removes what is in a directory; what is not empty goes up to the root.
fn empty(directory: &OwnedFd, root: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        let names = names(directory)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if !leaf(directory, &name)? {
                lift(directory, &name, root, moved)?;
            }
        }
    }
}

/// Removes what is no directory, and directories that are empty. Says whether it is gone.
fn leaf(directory: &OwnedFd, name: &CStr) -> io::Result<bool> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Moves a directory up to the root, under a name of its own.
fn lift(from: &OwnedFd, name: &CStr, root: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match renameat_with(from, name, root, format!("..removed-{moved}"), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return Ok(done?),
        }
    }
}

/// The next names in a directory, read before any of them is removed.
fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
        if names.len() >= AT_ONCE {
            break;
        }
    }
    Ok(names)
}

/// Opens a directory in a directory: no link, no mount.
fn open(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let safe = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(parent, name, flags, Mode::empty(), safe)
}
