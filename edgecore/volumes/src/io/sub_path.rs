//! Parts of volumes.
//!
//! A container may put symbolic links into its volumes, also while we look. So the part is opened with the kernel's
//! word that the way to it never leaves the volume, and what was opened (not its path) is bound to a place only root
//! can change; the runtime gets that place.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::mount_bind;

use super::{mounts, pod_files};
use crate::diff::DATA;
use crate::kinds::{Kind, Plan};
use crate::layout::PodDir;
use crate::mount::{BoundMount, MountError, MountRequest};

/// How often a look is repeated that the kernel broke off because somebody renamed something under way.
const RACES: usize = 16;

/// The host path for one volumeMount.
pub(super) fn bind(
    pod: &PodDir,
    container: &str,
    plan: &Plan,
    request: &MountRequest,
) -> Result<BoundMount, MountError> {
    let name = &request.volume;
    let unknown = || MountError(format!("cannot find volume {name:?} to mount into container {container:?}"));
    let volume = plan.volumes.iter().find(|volume| volume.name == *name);
    let (root, readonly) = match volume.map(|volume| &volume.kind) {
        Some(Kind::HostPath { path, .. }) => (PathBuf::from(path), false),
        Some(Kind::Empty { .. }) => (pod.volume(name).map_err(|_| unknown())?, false),
        Some(Kind::Files { .. }) => (pod.volume(name).map_err(|_| unknown())?, true),
        // Its sources are gone for now; a container that starts again finds the files that were there before.
        None if plan.problems.iter().any(|problem| problem.volume == *name) => {
            let kept = pod.volume(name).ok().filter(|root| fs::metadata(root.join(DATA)).is_ok());
            (kept.ok_or_else(unknown)?, true)
        }
        None => return Err(unknown()),
    };
    let path = if request.sub_path.is_empty() {
        root
    } else {
        check(&request.sub_path)?;
        bound(pod, container, request, &root).map_err(|error| {
            // Users must not learn from here what the host's files are like.
            tracing::warn!(volume = %name, container, %error, "cannot bind a subPath");
            MountError(format!(
                "failed to prepare subPath for volumeMount {name:?} of container {container:?}"
            ))
        })?
    };
    let path = path.to_str().ok_or_else(unknown)?;
    Ok(BoundMount { index: request.index, host_path: path.to_owned(), readonly })
}

/// Takes down and removes the binds of a container.
pub(super) fn unbind(pod: &PodDir, container: &str) -> io::Result<()> {
    let volumes = match fs::read_dir(pod.sub_paths()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        volumes => volumes?,
    };
    for volume in volumes {
        let Ok(volume) = volume?.file_name().into_string() else { continue };
        let directory = pod.container_sub_paths(&volume, container)?;
        let points = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            points => points?,
        };
        for point in points {
            let point = point?.path();
            mounts::take_down(&point)?;
            // Only ever an empty place to mount on: never a tree.
            if fs::symlink_metadata(&point)?.is_dir() {
                fs::remove_dir(&point)
            } else {
                fs::remove_file(&point)
            }?;
        }
        fs::remove_dir(&directory)?;
    }
    Ok(())
}

fn check(sub_path: &str) -> Result<(), MountError> {
    if sub_path.starts_with('/') {
        return Err(MountError(format!("error SubPath `{sub_path}` must not be an absolute path")));
    }
    if sub_path.split('/').any(|part| part == "..") {
        return Err(MountError(format!("unable to provision SubPath `{sub_path}`: must not contain '..'")));
    }
    Ok(())
}

fn bound(pod: &PodDir, container: &str, request: &MountRequest, root: &Path) -> io::Result<PathBuf> {
    let root = fs::File::open(root)?;
    let part = open_or_make(&root, &request.sub_path)?;
    let directory = pod.container_sub_paths(&request.volume, container)?;
    let point = directory.join(request.index.to_string());
    let wanted = fstat(&part)?;
    match fs::symlink_metadata(&point) {
        // Bound before, and still to the same.
        Ok(found) if found.dev() == wanted.st_dev && found.ino() == wanted.st_ino => return Ok(point),
        // Bound to what it was before it was replaced, or left over: away with it.
        Ok(_) => {
            mounts::take_down(&point)?;
            let found = fs::symlink_metadata(&point)?;
            if found.is_dir() { fs::remove_dir(&point) } else { fs::remove_file(&point) }?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    pod_files::private(&directory)?;
    if rustix::fs::FileType::from_raw_mode(wanted.st_mode).is_dir() {
        fs::create_dir(&point)?;
    } else {
        fs::File::create_new(&point)?;
    }
    mount_bind(format!("/proc/self/fd/{}", part.as_raw_fd()), &point)?;
    Ok(point)
}

/// Opens a part of a volume. Where it does not exist, it becomes a directory with the permissions of the volume.
fn open_or_make(root: &fs::File, sub_path: &str) -> io::Result<OwnedFd> {
    match open(root, sub_path) {
        Err(Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    let permissions = Mode::from_raw_mode(fstat(root)?.st_mode & 0o7777);
    let mut parent = open(root, ".")?;
    let mut path = String::new();
    for part in sub_path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        path.push_str(if path.is_empty() { "" } else { "/" });
        path.push_str(part);
        let next = match open(root, &path) {
            Err(Errno::NOENT) => {
                make(&parent, part, permissions)?;
                open(root, &path)
            }
            opened => opened,
        };
        parent = next?;
    }
    Ok(parent)
}

fn make(parent: &OwnedFd, name: &str, permissions: Mode) -> io::Result<()> {
    match mkdirat(parent, name, Mode::RWXU) {
        // A container was faster.
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fchmod(rustix::fs::openat(parent, name, flags, Mode::empty())?, permissions)?)
}

/// Opens a path that never leaves the root, whatever links lie on the way.
fn open(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    let safe = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let look = || openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), safe);
    let mut opened = look();
    for _ in 0..RACES {
        if !matches!(opened, Err(Errno::AGAIN)) {
            break;
        }
        opened = look();
    }
    opened
}
