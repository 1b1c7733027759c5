//! A state directory that takes its mounts down when it goes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use edgecore_volumes::kinds::{File, Kind, Limit, Medium, Payload, Plan, Volume};
use edgecore_volumes::{MountRequest, VolumeDirs};
use kit::{Masked, WallTime};

/// The pod of these tests.
pub(crate) const POD: &str = "11111111-2222-3333-4444-555555555555";

/// A state directory.
pub(crate) struct State {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) dirs: VolumeDirs,
}

impl State {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dirs = VolumeDirs::new(directory.path());
        Self { directory, dirs }
    }

    /// Publishes one volume, which must work, and says whether anything was written.
    pub(crate) fn publish(&self, volume: Volume) -> bool {
        let published = self.dirs.publish(POD, &plan(vec![volume]), WallTime(1_763_691_452_000));
        assert_eq!(published.problems, []);
        !published.changed.is_empty()
    }

    pub(crate) fn pod(&self) -> PathBuf {
        self.directory.path().join("pods").join(POD)
    }

    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.pod().join("volumes").join(name)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for pod in self.dirs.published().unwrap() {
            self.dirs.unpublish(&pod).unwrap();
        }
    }
}

pub(crate) fn plan(volumes: Vec<Volume>) -> Plan {
    Plan { volumes, problems: Vec::new() }
}

pub(crate) fn payload(files: &[(&str, &str)]) -> Payload {
    let file = |content: &str| File {
        content: Masked(content.as_bytes().to_vec()),
        mode: 0o644,
        owner: 0,
        group: 0,
    };
    files.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect()
}

pub(crate) fn files(name: &str, files: &[(&str, &str)], memory: bool) -> Volume {
    let kind = Kind::Files { payload: payload(files), memory, group: None, nested: Vec::new() };
    Volume { name: name.to_owned(), kind }
}

pub(crate) fn empty(name: &str, medium: Medium, limit: Option<u64>, group: Option<u32>) -> Volume {
    let limit = limit.map(|bytes| Limit { bytes, text: bytes.to_string() });
    Volume { name: name.to_owned(), kind: Kind::Empty { medium, limit, group } }
}

pub(crate) fn request(volume: &str, sub_path: &str) -> MountRequest {
    MountRequest { index: 0, volume: volume.to_owned(), sub_path: sub_path.to_owned() }
}

/// What users see: path → content, links followed, the writer's own names left out.
pub(crate) fn seen(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("..") {
            continue;
        }
        if fs::metadata(entry.path()).unwrap().is_dir() {
            let inner = seen(&entry.path());
            found.extend(inner.into_iter().map(|(path, content)| (format!("{name}/{path}"), content)));
        } else {
            found.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
    found
}

/// Mode, owner and group.
pub(crate) fn permissions(path: &Path) -> (u32, u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.mode() & 0o7777, found.uid(), found.gid())
}

/// Lines of the mount table under a directory.
pub(crate) fn mount_table(directory: &Path) -> Vec<String> {
    let directory = format!("{}/", directory.canonicalize().unwrap().display());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.contains(&directory)).map(str::to_owned).collect()
}
