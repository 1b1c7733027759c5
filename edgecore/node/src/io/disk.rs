//! Room on file systems.

use std::path::Path;

use crate::pressure::Room;

/// Room on the file system that holds a path; `None` where it cannot be asked.
pub(super) fn room(path: &Path) -> Option<Room> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(Room {
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        inodes_free: stat.f_favail,
        inodes: stat.f_files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_has_unknown_room() {
        assert_eq!(room(Path::new("/nowhere/at/all")), None);
        let here = room(Path::new("/")).unwrap();
        assert!(here.total > 0 && here.available <= here.total);
    }
}
