//! Pure: where everything of a pod lies.
//!
//! ```text
//! <state>/pods/<uid>/
//!   volumes/<volume>                             what containers get mounted
//!   volume-subpaths/<volume>/<container>/<index> binds of subPaths
//!   containers/<container>/<attempt>             termination messages
//!   etc-hosts
//! ```

use std::path::{Path, PathBuf};

/// A name that would lead somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a file name")]
pub struct NameError(pub String);

/// Directory of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodDir(PathBuf);

impl PodDir {
    /// The directory of a pod under the directory of all pods.
    pub fn new(pods: &Path, uid: &str) -> Result<Self, NameError> {
        Ok(Self(pods.join(component(uid)?)))
    }

    /// Itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Parent of all volumes.
    pub fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    /// A volume.
    pub fn volume(&self, name: &str) -> Result<PathBuf, NameError> {
        Ok(self.volumes().join(component(name)?))
    }

    /// Parent of all binds of subPaths.
    pub fn sub_paths(&self) -> PathBuf {
        self.0.join("volume-subpaths")
    }

    /// Binds of one volume in one container.
    pub fn container_sub_paths(&self, volume: &str, container: &str) -> Result<PathBuf, NameError> {
        Ok(self.sub_paths().join(component(volume)?).join(component(container)?))
    }

    /// Termination messages of one container.
    pub fn container(&self, name: &str) -> Result<PathBuf, NameError> {
        Ok(self.0.join("containers").join(component(name)?))
    }

    /// The pod's `/etc/hosts`.
    pub fn etc_hosts(&self) -> PathBuf {
        self.0.join("etc-hosts")
    }
}

/// The name, if it is one plain file name. The API server sees to it for all names that come here; this is the
/// second lock on a door behind which root removes trees.
fn component(name: &str) -> Result<&str, NameError> {
    let plain = !name.is_empty() && name.len() <= 255 && !name.starts_with('.');
    if plain && !name.contains(['/', '\0']) {
        Ok(name)
    } else {
        Err(NameError(name.chars().take(255).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        let pods = Path::new("/state/pods");
        for name in ["", ".", "..", "a/b", "/etc", "../x", "a\0b", &"x".repeat(256)] {
            assert!(PodDir::new(pods, name).is_err(), "{name:?}");
            assert!(PodDir::new(pods, "uid").unwrap().volume(name).is_err(), "{name:?}");
            assert!(PodDir::new(pods, "uid").unwrap().container_sub_paths("v", name).is_err(), "{name:?}");
        }
        let pod = PodDir::new(pods, "0a-1b").unwrap();
        assert_eq!(pod.volume("data").unwrap(), Path::new("/state/pods/0a-1b/volumes/data"));
    }
}
