//! Effects: the volumes of pods on disk. Everything here blocks; call it where blocking is allowed.

use std::path::{Path, PathBuf};

use kit::WallTime;

use crate::error::VolumeError;
use crate::kinds::Plan;
use crate::mount::{BoundMount, MountError, MountRequest};

/// The directories of pods under the state directory.
#[derive(Debug, Clone)]
pub struct VolumeDirs {
    pods: PathBuf,
}

/// What a publication did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Volumes whose files were written now.
    pub changed: Vec<String>,
    /// Volumes that are not there: those of the plan that failed, and the plan's own problems.
    pub problems: Vec<VolumeError>,
}

impl VolumeDirs {
    /// Directories under a state directory (absolute).
    pub fn new(state_dir: &Path) -> Self {
        Self { pods: state_dir.join("pods") }
    }

    /// Makes the pod's volumes be as planned. What is already so is not written again. Safe to repeat at any time,
    /// also while containers use the volumes, and after a crash or power cut at any instant.
    pub fn publish(&self, pod_uid: &str, plan: &Plan, now: WallTime) -> Published {
        let _ = (pod_uid, now, &self.pods);
        Published { changed: Vec::new(), problems: plan.problems.clone() }
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
        let _ = (pod_uid, container, plan, requests);
        Ok(Vec::new())
    }

    /// Writes the pod's `/etc/hosts` and returns its path.
    pub fn etc_hosts(&self, pod_uid: &str, content: &str) -> std::io::Result<PathBuf> {
        let _ = content;
        Ok(self.pods.join(pod_uid))
    }

    /// Makes an empty file that a container's termination message is written to, world writable, and returns its
    /// path; it is the same for the same attempt, and empty whenever this is called.
    pub fn termination_log(&self, pod_uid: &str, container: &str, attempt: u32) -> std::io::Result<PathBuf> {
        let _ = (container, attempt);
        Ok(self.pods.join(pod_uid))
    }

    /// Reads what an attempt of a container left as termination message, at most 4096 bytes (the last ones where the
    /// file is longer); `None` where there is none.
    pub fn termination_message(
        &self,
        pod_uid: &str,
        container: &str,
        attempt: u32,
    ) -> std::io::Result<Option<String>> {
        let _ = (pod_uid, container, attempt);
        Ok(None)
    }

    /// Takes down the subPath binds of one container, once it is gone for good or before it is made anew.
    pub fn unbind(&self, pod_uid: &str, container: &str) -> std::io::Result<()> {
        let _ = (pod_uid, container);
        Ok(())
    }

    /// Unmounts and removes everything of a pod. Call only when no container of it is left. Never leaves the pod's
    /// directory: neither symbolic links nor mounts are followed. Fine if there is nothing.
    pub fn unpublish(&self, pod_uid: &str) -> std::io::Result<()> {
        let _ = pod_uid;
        Ok(())
    }

    /// UIDs of pods that have a directory: what of these no longer exists is left over, and is to be unpublished.
    pub fn published(&self) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}
