//! The mount table.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// Mount points below a directory, inner ones first. The directory's path must have no symbolic links in it.
pub(super) fn below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    let mut found: Vec<PathBuf> = points(&table).filter(|point| point.starts_with(directory)).collect();
    // Later mounts lie on top of earlier ones.
    found.reverse();
    found.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    Ok(found)
}

/// Takes down a mount. One that is in use disappears now and ends with its last user.
pub(super) fn take_down(point: &Path) -> io::Result<()> {
    let gone = |error| error == rustix::io::Errno::INVAL || error == rustix::io::Errno::NOENT;
    match unmount(point, UnmountFlags::NOFOLLOW) {
        Err(rustix::io::Errno::BUSY) => match unmount(point, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH) {
            Err(error) if !gone(error) => Err(error.into()),
            _ => Ok(()),
        },
        Err(error) if !gone(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The fifth column of each line.
fn points(table: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let point = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescaped(point))))
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(u8::is_ascii_digit));
        if let Some(digits) = octal {
            out.push(digits.iter().fold(0_u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')));
            rest = &after[3..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_table() {
        let table = b"22 1 0:21 / /proc rw - proc proc rw\n30 1 0:5 /x /state/pods/u/a\\040b\\134c rw - ext4 /dev/vda rw\n\n";
        let found: Vec<_> = points(table).collect();
        assert_eq!(found, [Path::new("/proc"), Path::new("/state/pods/u/a b\\c")]);
    }

    #[test]
    fn what_is_no_mount_is_taken_down_already() {
        let directory = tempfile::tempdir().unwrap();
        take_down(directory.path()).unwrap();
        take_down(&directory.path().join("nope")).unwrap();
    }
}
