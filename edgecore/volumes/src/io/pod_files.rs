//! The few files of a pod that are not volumes.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::layout::PodDir;

/// Longest termination message, in bytes.
const MAX_MESSAGE: u64 = 4096;

/// Makes a directory, and its parents, that only root enters: containers see what is in it by mounts.
pub(super) fn private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o750).create(path)
}

/// Makes the directories that every pod has.
pub(super) fn directories(pod: &PodDir) -> io::Result<()> {
    private(&pod.volumes())
}

/// Writes the pod's `/etc/hosts`, in place, since containers have the file itself mounted.
pub(super) fn etc_hosts(pod: &PodDir, content: &str) -> io::Result<PathBuf> {
    private(pod.path())?;
    let path = pod.etc_hosts();
    if fs::read(&path).is_ok_and(|found| found == content.as_bytes()) {
        return Ok(path);
    }
    fs::write(&path, content)?;
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    Ok(path)
}

/// Makes the file for a termination message, empty.
pub(super) fn termination_log(pod: &PodDir, container: &str, attempt: u32) -> io::Result<PathBuf> {
    let directory = pod.container(container)?;
    private(&directory)?;
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        // The last attempt's message is still shown to users.
        let old = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if old.is_some_and(|old| old.saturating_add(1) < attempt) {
            fs::remove_file(entry.path())?;
        }
    }
    let path = directory.join(attempt.to_string());
    let made =
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(no_follow()).open(&path)?;
    made.set_permissions(Permissions::from_mode(0o666))?;
    Ok(path)
}

/// The last bytes of a termination message.
pub(super) fn termination_message(pod: &PodDir, container: &str, attempt: u32) -> io::Result<Option<String>> {
    let path = pod.container(container)?.join(attempt.to_string());
    let mut file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_MESSAGE)))?;
    let mut bytes = Vec::new();
    file.take(MAX_MESSAGE).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Names of the pods' directories.
pub(super) fn published(pods: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(pods) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(entry.file_name().into_string());
        }
    }
    found.sort();
    Ok(found)
}

fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}
