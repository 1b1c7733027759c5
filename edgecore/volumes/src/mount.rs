//! Where volumes appear in containers.

/// A volume wanted in a container: a volumeMount with its subPath made out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRequest {
    /// Place in the container's list of volumeMounts.
    pub index: usize,
    /// The volume.
    pub volume: String,
    /// Path in the volume; empty means its root.
    pub sub_path: String,
}

/// What to mount: a path of the host that stays what it is while the container lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundMount {
    /// Place in the container's list of volumeMounts.
    pub index: usize,
    /// Path on the host.
    pub host_path: String,
    /// The volume itself allows reading only (configMap, secret, downwardAPI, projected).
    pub readonly: bool,
}

/// A volumeMount that cannot be. Displays as the message of upstream's waiting reason `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MountError(pub String);
