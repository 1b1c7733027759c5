//! Effects: the volumes of pods on disk. Everything here blocks; call it where blocking is allowed. Calls may run
//! side by side; those that change the files of one pod wait for each other.

mod empty;
mod files;
mod host_path;
mod mounts;
mod pod_files;
mod remove;
mod sub_path;
mod usage;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kit::WallTime;

use crate::error::{Trouble, VolumeError};
use crate::kinds::{Kind, Medium, Plan, Volume};
use crate::layout::{NameError, PodDir};
use crate::mount::{BoundMount, MountError, MountRequest};

pub use usage::{Usage, usage};

/// How many pods can change at once at most. More only costs memory; a pod that hangs (a path of the host on a dead
/// network) holds up one in so many others.
const LOCKS: usize = 64;

/// The directories of pods under the state directory. Clones share the locks: make one for the whole process.
#[derive(Debug, Clone)]
pub struct VolumeDirs {
    pods: PathBuf,
    locks: Arc<[Mutex<()>; LOCKS]>,
}

/// What a publication did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Volumes whose files were written now.
    pub changed: Vec<String>,
    /// Volumes that are not as they must be: those of the plan that failed, and the plan's own problems.
    pub problems: Vec<VolumeError>,
}

/// A volume that could not be published, before it has its name.
#[derive(Debug)]
struct Failure {
    trouble: Trouble,
    message: String,
}

impl Failure {
    /// The host is not as the pod asks.
    fn missing(message: impl Into<String>) -> Self {
        Self { trouble: Trouble::Missing, message: message.into() }
    }

    /// Something did not work.
    fn io(doing: &str) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self { trouble: Trouble::Failed, message: format!("{doing}: {error}") }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self { trouble: Trouble::Refused, message: error.to_string() }
    }
}

impl VolumeDirs {
    /// Directories under a state directory (absolute).
    pub fn new(state_dir: &Path) -> Self {
        Self { pods: state_dir.join("pods"), locks: Arc::new([const { Mutex::new(()) }; LOCKS]) }
    }

    /// Makes the pod's volumes be as planned. What is already so is not written again. Safe to repeat at any time,
    /// also while containers use the volumes, and after a crash or power cut at any instant. `now` only names things.
    pub fn publish(&self, pod_uid: &str, plan: &Plan, now: WallTime) -> Published {
        let _one = self.one_at_a_time(pod_uid);
        let mut done = Published { changed: Vec::new(), problems: plan.problems.clone() };
        for volume in &plan.volumes {
            match self.publish_one(pod_uid, volume, now) {
                Ok(true) => done.changed.push(volume.name.clone()),
                Ok(false) => {}
                Err(failure) => {
                    done.problems.push(VolumeError::new(&volume.name, failure.trouble, failure.message));
                }
            }
        }
        done
    }

    /// Host paths for a container's volumeMounts, in the order asked for. Binds subPaths, so that no container can
    /// lead the runtime out of the volume.
    pub fn bind(
        &self,
        pod_uid: &str,
        container: &str,
        plan: &Plan,
        requests: &[MountRequest],
    ) -> Result<Vec<BoundMount>, MountError> {
        let _one = self.one_at_a_time(pod_uid);
        let pod = self.pod(pod_uid).map_err(|error| MountError(error.to_string()))?;
        requests.iter().map(|request| sub_path::bind(&pod, container, plan, request)).collect()
    }

    /// Writes the pod's `/etc/hosts` and returns its path. Containers see the change, since the file stays the same.
    pub fn etc_hosts(&self, pod_uid: &str, content: &str) -> io::Result<PathBuf> {
        pod_files::etc_hosts(&self.pod(pod_uid)?, content)
    }

    /// Makes an empty file that a container's termination message is written to, world writable, and returns its
    /// path; it is the same for the same attempt, and empty whenever this is called. Files of attempts before the
    /// last one go.
    pub fn termination_log(&self, pod_uid: &str, container: &str, attempt: u32) -> io::Result<PathBuf> {
        pod_files::termination_log(&self.pod(pod_uid)?, container, attempt)
    }

    /// Reads what an attempt of a container left as termination message, at most 4096 bytes (the last ones where the
    /// file is longer); `None` where there is none.
    pub fn termination_message(
        &self,
        pod_uid: &str,
        container: &str,
        attempt: u32,
    ) -> io::Result<Option<String>> {
        pod_files::termination_message(&self.pod(pod_uid)?, container, attempt)
    }

    /// Takes down the subPath binds of one container, once it is gone for good.
    pub fn unbind(&self, pod_uid: &str, container: &str) -> io::Result<()> {
        let _one = self.one_at_a_time(pod_uid);
        sub_path::unbind(&self.pod(pod_uid)?, container)
    }

    /// Unmounts and removes everything of a pod. Call only when no container of it is left. Never leaves the pod's
    /// directory: neither symbolic links nor mounts are followed. Fine if there is nothing.
    pub fn unpublish(&self, pod_uid: &str) -> io::Result<()> {
        let _one = self.one_at_a_time(pod_uid);
        remove::pod(&self.pods, &self.pod(pod_uid)?)
    }

    /// UIDs of pods that have a directory: what of these no longer exists is left over, and is to be unpublished.
    pub fn published(&self) -> io::Result<Vec<String>> {
        pod_files::published(&self.pods)
    }

    /// What a pod's emptyDirs hold more than their `sizeLimit` allows, in the words of upstream's eviction. Those in
    /// memory cannot grow beyond it and are not looked at. Walks the volumes: call it seldom.
    pub fn over_limit(&self, pod_uid: &str, plan: &Plan) -> io::Result<Vec<String>> {
        let pod = self.pod(pod_uid)?;
        let mut over = Vec::new();
        for volume in &plan.volumes {
            if let Kind::Empty { limit: Some(limit), medium: Medium::Disk, .. } = &volume.kind
                && usage(&pod.volume(&volume.name)?)?.bytes > limit.bytes
            {
                let (name, text) = (&volume.name, &limit.text);
                over.push(format!("Usage of EmptyDir volume {name:?} exceeds the limit {text:?}. "));
            }
        }
        Ok(over)
    }

    /// Holds off everybody else who changes this pod's files. What a panic left behind is repaired like what a crash
    /// leaves behind, so a poisoned lock is none.
    fn one_at_a_time(&self, uid: &str) -> MutexGuard<'_, ()> {
        let sum = uid.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.locks[sum % LOCKS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pod(&self, uid: &str) -> Result<PodDir, NameError> {
        PodDir::new(&self.pods, uid)
    }

    /// Whether something was written.
    fn publish_one(&self, uid: &str, volume: &Volume, now: WallTime) -> Result<bool, Failure> {
        let pod = self.pod(uid)?;
        let target = pod.volume(&volume.name)?;
        match &volume.kind {
            Kind::HostPath { path, kind } => host_path::check(path, *kind),
            Kind::Empty { medium, limit, group } => {
                pod_files::directories(&pod).map_err(Failure::io("cannot make the pod's directories"))?;
                match medium {
                    Medium::Disk => empty::directory(&target, *group),
                    Medium::Memory => empty::tmpfs(&target, limit.as_ref().map(|limit| limit.bytes), *group),
                }
            }
            Kind::Files { payload, memory, group, nested } => {
                pod_files::directories(&pod).map_err(Failure::io("cannot make the pod's directories"))?;
                if *memory {
                    empty::tmpfs(&target, None, *group)?;
                } else {
                    empty::directory(&target, *group)?;
                }
                files::publish(&target, payload, *group, nested, now)
                    .map_err(Failure::io("cannot write its files"))
            }
        }
    }
}

impl From<NameError> for io::Error {
    fn from(error: NameError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
