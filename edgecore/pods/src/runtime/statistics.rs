//! What the runtime counts, and what it alone can do to a running container: the rest of the port, for whoever shows
//! what a node uses.

use std::future::Future;
use std::time::Duration;

use super::{ContainerId, RuntimeError};

/// What one container uses, as far as the runtime says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUsage {
    /// The container.
    pub id: ContainerId,
    /// Nanoseconds of processor time since it began.
    pub cpu_ns: Option<u64>,
    /// Its memory.
    pub memory: Option<MemoryUsage>,
    /// What it wrote beside its volumes.
    pub writable: Option<StoredBytes>,
}

/// Memory of a container, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUsage {
    /// In use, without what the kernel could give back at once.
    pub working_set: Option<u64>,
    /// In use.
    pub usage: Option<u64>,
    /// Anonymous.
    pub rss: Option<u64>,
    /// Page faults since it began.
    pub faults: Option<u64>,
    /// Those of them that had to wait for a disk.
    pub major_faults: Option<u64>,
}

/// What lies on one of the runtime's file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBytes {
    /// Nanoseconds since 1970 when it was counted.
    pub counted_at_ns: i64,
    /// Bytes.
    pub bytes: u64,
    /// Inodes, where they are counted.
    pub inodes: Option<u64>,
    /// A directory on that file system.
    pub directory: String,
}

/// The runtime's counts. It is asked for them only where somebody asks for them.
pub trait Statistics: Send + Sync {
    /// What each container uses.
    fn container_usage(&self) -> impl Future<Output = Result<Vec<ContainerUsage>, RuntimeError>> + Send;
    /// What images take; `None` where the runtime has nowhere to keep any.
    fn image_storage(&self) -> impl Future<Output = Result<Option<StoredBytes>, RuntimeError>> + Send;
    /// The runtime's process; `None` where it cannot be told.
    fn process(&self) -> impl Future<Output = Option<u32>> + Send;
}

/// Checkpoints of containers.
pub trait Checkpoints: Send + Sync {
    /// Writes the state of a running container into a new archive at `path`. Without a `timeout` the runtime's own holds.
    fn checkpoint(
        &self,
        id: &ContainerId,
        path: &str,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;
}
