//! What pods take on file systems. Volumes are walked through, which may take long: what came of it counts for a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use edgecore_volumes::layout::PodDir;
use kit::Elapsed;

use super::seen::{Held, Room, VolumeSeen};

/// Upstream's kubelet walks through volumes once a minute, also where nobody asks.
const GOOD_FOR: Duration = Duration::from_mins(1);

/// Room on the file system that holds a path; `None` where it cannot be asked.
pub(crate) fn room(path: &Path) -> Option<Room> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(Room {
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
        free: stat.f_bfree.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        inodes_free: stat.f_favail,
        inodes: stat.f_files,
    })
}

/// What the files in a directory take, without those in directories in it; `None` where there is none.
pub(crate) fn files(directory: &Path) -> Option<Held> {
    let entries = fs::read_dir(directory).ok()?;
    let files = entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(|file| !file.is_dir());
    Some(files.fold(Held::default(), |sum, file| sum.and(taken(&file))))
}

fn file(path: &Path) -> Option<Held> {
    fs::symlink_metadata(path).ok().map(|file| taken(&file))
}

fn taken(file: &fs::Metadata) -> Held {
    Held { bytes: file.blocks().saturating_mul(512), inodes: 1 }
}

impl Held {
    /// Both together.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }
}

/// What the files of a pod take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodFiles {
    pub(crate) volumes: Vec<VolumeSeen>,
    pub(crate) hosts: Option<Held>,
}

/// What was found lately, by the pods' UIDs.
#[derive(Debug, Default)]
pub(crate) struct Walks(BTreeMap<String, (Elapsed, PodFiles)>);

impl Walks {
    /// What was found of a pod less than a minute ago.
    pub(crate) fn lately(&self, uid: &str, now: Elapsed) -> Option<PodFiles> {
        let (at, found) = self.0.get(uid)?;
        (now.since(*at) < GOOD_FOR).then(|| found.clone())
    }

    /// Keeps what was found of a pod.
    pub(crate) fn found(&mut self, uid: &str, at: Elapsed, files: PodFiles) {
        self.0.insert(uid.to_owned(), (at, files));
    }

    /// Forgets all pods but these.
    pub(crate) fn only(&mut self, uids: &BTreeSet<&str>) {
        self.0.retain(|uid, _| uids.contains(uid.as_str()));
    }
}

/// Walks through the volumes of a pod in the directory of all pods.
pub(crate) fn walk(pods: &Path, uid: &str) -> PodFiles {
    let Ok(pod) = PodDir::new(pods, uid) else { return PodFiles::default() };
    let directory = pod.volumes();
    let home = fs::symlink_metadata(&directory).ok().map(|home| home.dev());
    let mut volumes: Vec<VolumeSeen> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| volume(&pod, entry.file_name().to_str()?, home))
        .collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    PodFiles { volumes, hosts: file(&pod.etc_hosts()) }
}

fn volume(pod: &PodDir, name: &str, home: Option<u64>) -> Option<VolumeSeen> {
    // No name of a volume begins with a dot: that is one in the making.
    let path = pod.volume(name).ok()?;
    let device = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_dir)?.dev();
    let usage = edgecore_volumes::usage(&path).ok()?;
    Some(VolumeSeen {
        name: name.to_owned(),
        held: Held { bytes: usage.bytes, inodes: usage.inodes },
        room: room(&path),
        on_disk: Some(device) == home,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_of_a_pod_are_found_and_remembered_for_a_minute() {
        let pods = tempfile::tempdir().unwrap();
        let volumes = pods.path().join("u/volumes");
        fs::create_dir_all(volumes.join("data")).unwrap();
        fs::create_dir_all(volumes.join("..new-x")).unwrap();
        fs::write(volumes.join("data/file"), vec![1; 8192]).unwrap();
        fs::write(pods.path().join("u/etc-hosts"), "127.0.0.1 localhost\n").unwrap();
        let found = walk(pods.path(), "u");
        assert_eq!(found.volumes.len(), 1, "{found:?}");
        let data = &found.volumes[0];
        assert_eq!((data.name.as_str(), data.held.inodes, data.on_disk), ("data", 2, true));
        assert!(data.held.bytes >= 8192 && data.room.is_some());
        assert_eq!(found.hosts.map(|hosts| hosts.inodes), Some(1));
        assert_eq!(walk(pods.path(), "../u"), PodFiles::default());
        assert_eq!(walk(pods.path(), "nobody"), PodFiles::default());

        let mut walks = Walks::default();
        walks.found("u", Elapsed::from_millis(0), found.clone());
        assert_eq!(walks.lately("u", Elapsed::from_millis(59_999)), Some(found));
        assert_eq!(walks.lately("u", Elapsed::from_millis(60_000)), None);
        walks.only(&BTreeSet::new());
        assert_eq!(walks.lately("u", Elapsed::from_millis(1)), None);
    }

    #[test]
    fn logs_are_the_files_of_their_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("0.log"), vec![1; 4096]).unwrap();
        fs::write(directory.path().join("0.log.1"), "x").unwrap();
        fs::create_dir(directory.path().join("other")).unwrap();
        let held = files(directory.path()).unwrap();
        assert!(held.inodes == 2 && held.bytes >= 4097, "{held:?}");
        assert_eq!(files(&directory.path().join("nowhere")), None);
    }
}
