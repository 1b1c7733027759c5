//! What volumes can be.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ObjectFieldSelector, ResourceFieldSelector};

use crate::error::VolumeError;

/// Values of the downward API for one pod. `edgecore-pods` implements it (`spec::downward::Values`).
pub trait Downward {
    /// Value of a field of the pod, such as `metadata.labels['app']`.
    fn field(&self, field: &ObjectFieldSelector) -> Result<String, String>;
    /// Value of a container's request or limit. The selector names the container.
    fn resource(&self, resource: &ResourceFieldSelector) -> Result<String, String>;
}

/// What a file holds. `Debug` masks the content, which may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Content.
    pub content: kit::Masked<Vec<u8>>,
    /// Permission bits.
    pub mode: u32,
    /// Owner; 0 is root.
    pub owner: u32,
    /// Group; 0 is root.
    pub group: u32,
}

/// Files of a volume by relative path, which never leaves the volume.
pub type Payload = BTreeMap<String, File>;

/// What an emptyDir lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// The disk of the state directory.
    Disk,
    /// A tmpfs.
    Memory,
}

/// How much an emptyDir may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// In bytes.
    pub bytes: u64,
    /// As users know it.
    pub text: String,
}

/// What must be at a host path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPathType {
    /// Anything or nothing.
    Unset,
    /// A directory, made if there is none (0755).
    DirectoryOrCreate,
    /// A directory.
    Directory,
    /// A file, made if there is none (0644).
    FileOrCreate,
    /// A file.
    File,
    /// A unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// How a volume comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An empty directory that lives as long as the pod.
    Empty {
        /// What it lies on.
        medium: Medium,
        /// How much it may hold. On a tmpfs no more can be written; on disk [`crate::VolumeDirs::over_limit`] tells.
        limit: Option<Limit>,
        /// The pod's fsGroup.
        group: Option<u32>,
    },
    /// A path of the host.
    HostPath {
        /// The path.
        path: String,
        /// What must be there.
        kind: HostPathType,
    },
    /// Files that are replaced together.
    Files {
        /// The files.
        payload: Payload,
        /// On a tmpfs, so that nothing of it ever lies on the disk.
        memory: bool,
        /// The pod's fsGroup.
        group: Option<u32>,
        /// Directories in it on which containers mount other volumes: containers cannot make them, since to them
        /// the volume is read only.
        nested: Vec<String>,
    },
}

/// One volume as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name in the pod.
    pub name: String,
    /// How it comes to be.
    pub kind: Kind,
}

/// All volumes of a pod: those that can be, and what is wrong with the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Volumes to publish.
    pub volumes: Vec<Volume>,
    /// Volumes that cannot be planned now. Published before, they keep their files; new, they keep the pod waiting.
    pub problems: Vec<VolumeError>,
}
