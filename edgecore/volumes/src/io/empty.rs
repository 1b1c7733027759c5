//! Empty directories, on disk and in memory.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::Failure;

/// Everybody may write: containers run as any user.
const OPEN: u32 = 0o777;
/// With an fsGroup, what is made inside belongs to the group too.
const OPEN_TO_GROUP: u32 = 0o2777;
/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// An empty directory on disk. One that exists stays as it is, with what is in it. Says whether it made one.
pub(super) fn directory(target: &Path, group: Option<u32>) -> Result<bool, Failure> {
    if fs::symlink_metadata(target).is_ok() {
        return Ok(false);
    }
    made(target, group).map_err(Failure::io("cannot make its directory"))?;
    Ok(true)
}

/// Makes it under another name first, so that what has the right name has the right owner, too.
fn made(target: &Path, group: Option<u32>) -> io::Result<()> {
    let mut name = std::ffi::OsString::from("..new-");
    name.push(target.file_name().unwrap_or_default());
    let new = target.with_file_name(name);
    match fs::create_dir(&new) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    chown(&new, None, group)?;
    let mode = if group.is_some() { OPEN_TO_GROUP } else { OPEN };
    fs::set_permissions(&new, Permissions::from_mode(mode))?;
    fs::rename(&new, target)
}

/// A tmpfs. One that is mounted stays. Says whether it mounted one.
pub(super) fn tmpfs(target: &Path, limit: Option<u64>, group: Option<u32>) -> Result<bool, Failure> {
    directory(target, None)?;
    if is_tmpfs(target).map_err(Failure::io("cannot look at its directory"))? {
        return Ok(false);
    }
    // With the sticky bit, as upstream's: that is tmpfs' own default. Given here and not set afterwards, so that
    // no crash can come between.
    let owner = group.map_or_else(|| "mode=1777".to_owned(), |group| format!("mode=3777,gid={group}"));
    let options = limit.map_or_else(|| owner.clone(), |limit| format!("{owner},size={limit}"));
    let mounted = mounted(target, &format!("{options},noswap")).or_else(|error| {
        // Kernels before 6.4 do not know `noswap`.
        if error == Errno::INVAL { mounted(target, &options) } else { Err(error) }
    });
    mounted.map_err(io::Error::from).map_err(Failure::io("cannot mount its tmpfs"))?;
    Ok(true)
}

fn mounted(target: &Path, options: &str) -> Result<(), Errno> {
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    mount("tmpfs", target, "tmpfs", MountFlags::empty(), options.as_c_str())
}

/// A tmpfs starts here.
fn is_tmpfs(target: &Path) -> io::Result<bool> {
    let parent = target.parent().unwrap_or_else(|| Path::new("/"));
    let starts_here = fs::symlink_metadata(target)?.dev() != fs::symlink_metadata(parent)?.dev();
    Ok(starts_here && rustix::fs::statfs(target)?.f_type == TMPFS)
}
