//! The port to whatever runs containers. `edgecore-cri` implements it over CRI; tests implement it in memory.
//!
//! The types are neutral: they say what a pod sandbox and a container should be, in the words of the Container
//! Runtime Interface, without its protocol.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use thiserror::Error;

mod statistics;

pub use statistics::{Checkpoints, ContainerUsage, MemoryUsage, Statistics, StoredBytes};

/// Label on every sandbox and container: the pod's UID. The names are upstream's kubelet's, so that tools that look
/// at a runtime find what they know.
pub const LABEL_POD_UID: &str = "io.kubernetes.pod.uid";
/// Label: the pod's name.
pub const LABEL_POD_NAME: &str = "io.kubernetes.pod.name";
/// Label: the pod's namespace.
pub const LABEL_POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Label on containers: the container's name in the pod.
pub const LABEL_CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Annotation on containers: hash of what the container was made from.
pub const ANNOTATION_HASH: &str = "io.kubernetes.container.hash";
/// Annotation on containers: how often the container was restarted before this one.
pub const ANNOTATION_RESTARTS: &str = "io.kubernetes.container.restartCount";

/// Why the runtime did not do as asked.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// No answer: the runtime is gone, hangs, or the deadline passed. What it holds is then *unknown*, never gone.
    #[error("container runtime does not answer: {0}")]
    Unavailable(String),
    /// What was named does not exist.
    #[error("{0} not found")]
    NotFound(String),
    /// The image could not be had. `reason` is upstream's word: `ErrImagePull`, `InvalidImageName`,
    /// `ErrImageNeverPull`, `RegistryUnavailable` or `SignatureValidationFailed`.
    #[error("{message}")]
    Image {
        /// Upstream's reason.
        reason: &'static str,
        /// The runtime's words.
        message: String,
    },
    /// Anything else, in the runtime's words.
    #[error("{0}")]
    Failed(String),
}

/// What the runtime says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// Name, such as `containerd`.
    pub name: String,
    /// Version, such as `1.6.20`.
    pub version: String,
}

/// Id of a pod sandbox, given by the runtime.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxId(pub String);

/// Id of a container, given by the runtime.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub String);

/// Everything of ours that the runtime holds, whether or not it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// Containers.
    pub containers: Vec<Container>,
}

/// A pod sandbox as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: SandboxId,
    /// UID of its pod.
    pub pod_uid: String,
    /// Name of its pod.
    pub pod_name: String,
    /// Namespace of its pod.
    pub pod_namespace: String,
    /// Counts the sandboxes of a pod, from 0.
    pub attempt: u32,
    /// It holds its namespaces; otherwise it is dead and must be replaced.
    pub ready: bool,
    /// When it was made, nanoseconds since 1970 by the machine's clock.
    pub created_at_ns: i64,
    /// Addresses in its network namespace; empty for the host's network and for a dead sandbox. May be left empty by
    /// [`Runtime::observe`] and asked for with [`Runtime::sandbox_ips`].
    pub ips: Vec<String>,
}

/// State of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Ended.
    Exited,
    /// The runtime does not know; the container must be stopped before it is replaced.
    Unknown,
}

/// A container as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// UID of its pod.
    pub pod_uid: String,
    /// Name of the container in the pod.
    pub name: String,
    /// Counts the containers of this name in this pod, from 0.
    pub attempt: u32,
    /// State.
    pub state: ContainerState,
    /// When it was made, nanoseconds since 1970 by the machine's clock.
    pub created_at_ns: i64,
    /// Image as the runtime names it now.
    pub image: String,
    /// Digest or id of the image.
    pub image_ref: String,
    /// Annotations we put on it.
    pub annotations: BTreeMap<String, String>,
}

/// More of one container than a list tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDetail {
    /// State.
    pub state: ContainerState,
    /// When it started, nanoseconds since 1970; 0 where it never did.
    pub started_at_ns: i64,
    /// It counts as exited, and yet it never started: whoever asked for its start did not wait until that was done, and the
    /// runtime called it off (a process that began in that very moment was killed with it). That is no run of the
    /// container, and no failure of it.
    pub called_off: bool,
    /// When it ended, nanoseconds since 1970; 0 where it has not.
    pub finished_at_ns: i64,
    /// Exit code.
    pub exit_code: i32,
    /// The runtime's reason, such as `Completed`, `Error`, `OOMKilled`.
    pub reason: String,
    /// The runtime's message.
    pub message: String,
    /// Image as it was asked for.
    pub image: String,
    /// Image as the runtime resolved it: what `imageID` of a container status shows.
    pub image_ref: String,
    /// Path of the log on the host.
    pub log_path: String,
}

/// Which namespaces are shared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are four independent switches of the pod's spec")]
pub struct Namespaces {
    /// The host's network.
    pub host_network: bool,
    /// The host's processes.
    pub host_pid: bool,
    /// The host's IPC.
    pub host_ipc: bool,
    /// One PID namespace for all containers of the pod.
    pub share_process: bool,
}

/// A port of the host that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Port in the pod.
    pub container_port: u16,
    /// Port on the host.
    pub host_port: u16,
    /// Address on the host; empty means all.
    pub host_ip: String,
}

/// What a pod's `/etc/resolv.conf` should say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// Servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// Seccomp profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// No filter.
    #[default]
    Unconfined,
    /// The runtime's default filter.
    RuntimeDefault,
}

/// A pod sandbox as it should be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSpec {
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the pod.
    pub pod_name: String,
    /// Namespace of the pod.
    pub pod_namespace: String,
    /// Counts the sandboxes of this pod, from 0.
    pub attempt: u32,
    /// Hostname; empty on the host's network.
    pub hostname: String,
    /// Directory for the logs of its containers.
    pub log_directory: String,
    /// `/etc/resolv.conf`; `None` leaves the host's.
    pub dns: Option<Dns>,
    /// Host ports.
    pub ports: Vec<PortMapping>,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// The pod's labels, and ours.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Sysctls of the pod.
    pub sysctls: BTreeMap<String, String>,
    /// Any container is privileged.
    pub privileged: bool,
    /// Supplemental groups, fsGroup included.
    pub supplemental_groups: Vec<i64>,
    /// User the pause process runs as.
    pub run_as_user: Option<i64>,
    /// Group the pause process runs as.
    pub run_as_group: Option<i64>,
    /// SELinux context of the pod; `None` leaves it to the runtime.
    pub selinux: Option<SeLinux>,
    /// Seccomp profile of the pause process.
    pub seccomp: Seccomp,
    /// cgroup that all of the pod lives in, relative to the root of the hierarchy.
    pub cgroup_parent: String,
}

/// How a mount propagates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// Not at all.
    #[default]
    Private,
    /// From host to container.
    HostToContainer,
    /// Both ways; privileged containers only.
    Bidirectional,
}

/// A host path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Path on the host; exists when the container is made.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// Read only.
    pub readonly: bool,
    /// Propagation.
    pub propagation: Propagation,
    /// Where the node has SELinux, its files get the container's label: they are the pod's alone.
    pub relabel: bool,
}

/// An SELinux context; empty parts are the runtime's to choose. Where the node has no SELinux it means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeLinux {
    /// User.
    pub user: String,
    /// Role.
    pub role: String,
    /// Type.
    pub kind: String,
    /// Level.
    pub level: String,
}

/// cgroup numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// Relative weight of CPU time, 2 to 262144.
    pub cpu_shares: i64,
    /// CPU microseconds per period; 0 means no limit.
    pub cpu_quota: i64,
    /// Length of the period in microseconds.
    pub cpu_period: i64,
    /// Memory in bytes; 0 means no limit.
    pub memory_limit: i64,
    /// OOM score adjustment, -1000 to 1000.
    pub oom_score_adj: i64,
}

/// What a container may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// All devices, all capabilities.
    pub privileged: bool,
    /// User id; `None` leaves the image's.
    pub run_as_user: Option<i64>,
    /// User by name, where the image names one and no user id is given; empty where not.
    pub run_as_username: String,
    /// Group id; only with a user, by id or by name.
    pub run_as_group: Option<i64>,
    /// Supplemental groups, fsGroup included.
    pub supplemental_groups: Vec<i64>,
    /// Root file system is read only.
    pub readonly_rootfs: bool,
    /// Setuid and file capabilities gain nothing.
    pub no_new_privs: bool,
    /// Capabilities to add, upstream's names without `CAP_`.
    pub add_capabilities: Vec<String>,
    /// Capabilities to drop.
    pub drop_capabilities: Vec<String>,
    /// Seccomp profile.
    pub seccomp: Seccomp,
    /// SELinux context; `None` leaves it to the runtime.
    pub selinux: Option<SeLinux>,
    /// Paths to hide; empty means the defaults.
    pub masked_paths: Vec<String>,
    /// Paths to make read only; empty means the defaults.
    pub readonly_paths: Vec<String>,
}

/// A container as it should be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Name in the pod.
    pub name: String,
    /// Counts the containers of this name in this pod, from 0.
    pub attempt: u32,
    /// Image, as [`Runtime::image`] or [`Runtime::pull`] returned its id.
    pub image: String,
    /// Image as the pod names it.
    pub user_image: String,
    /// Entry point; empty leaves the image's.
    pub command: Vec<String>,
    /// Arguments; empty leaves the image's unless `command` is given.
    pub args: Vec<String>,
    /// Working directory; empty leaves the image's.
    pub working_dir: String,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Log file, relative to the sandbox's log directory.
    pub log_path: String,
    /// Standard input is kept open.
    pub stdin: bool,
    /// Standard input closes after the first attach.
    pub stdin_once: bool,
    /// A terminal.
    pub tty: bool,
    /// Resources.
    pub resources: Resources,
    /// Security.
    pub security: Security,
    /// Namespaces, as its sandbox has them.
    pub namespaces: Namespaces,
    /// A running container of the same sandbox whose processes it sees and which sees its, whatever `namespaces` says.
    pub target: Option<ContainerId>,
}

/// An image on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Id to create containers by.
    pub id: String,
    /// Digests and tags.
    pub names: Vec<String>,
    /// User id the image wants; `None` where it names a user instead.
    pub uid: Option<i64>,
    /// User name the image wants; empty where it gives an id, or nothing.
    pub username: String,
    /// Bytes on disk.
    pub size: u64,
}

/// Credentials for a registry. `Debug` masks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullAuth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: kit::Masked<String>,
    /// Registry they are for.
    pub server: String,
}

/// What came of a command in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Exit code.
    pub exit_code: i32,
    /// Standard output, cut at 16 KiB.
    pub stdout: Vec<u8>,
    /// Standard error, cut at 16 KiB.
    pub stderr: Vec<u8>,
}

/// Runs sandboxes and containers. Every call has a deadline of its own and none holds up another.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// What it is; also the cheapest proof that it answers.
    fn version(&self) -> impl Future<Output = Result<RuntimeVersion, RuntimeError>> + Send;
    /// Everything of ours. An error means unknown.
    fn observe(&self) -> impl Future<Output = Result<Observed, RuntimeError>> + Send;
    /// Addresses of a ready sandbox.
    fn sandbox_ips(&self, id: &SandboxId) -> impl Future<Output = Result<Vec<String>, RuntimeError>> + Send;
    /// More of one container.
    fn container(
        &self,
        id: &ContainerId,
    ) -> impl Future<Output = Result<ContainerDetail, RuntimeError>> + Send;
    /// Makes and starts a sandbox, its network included.
    fn run_sandbox(&self, spec: &SandboxSpec)
    -> impl Future<Output = Result<SandboxId, RuntimeError>> + Send;
    /// Stops a sandbox and everything in it at once, and gives back its network. Fine if it is stopped or gone.
    fn stop_sandbox(&self, id: &SandboxId) -> impl Future<Output = Result<(), RuntimeError>> + Send;
    /// Removes a stopped sandbox. Fine if it is gone.
    fn remove_sandbox(&self, id: &SandboxId) -> impl Future<Output = Result<(), RuntimeError>> + Send;
    /// Makes a container. The sandbox's spec is what it was run with.
    fn create_container(
        &self,
        sandbox: &SandboxId,
        sandbox_spec: &SandboxSpec,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<ContainerId, RuntimeError>> + Send;
    /// Starts a made container.
    fn start_container(&self, id: &ContainerId) -> impl Future<Output = Result<(), RuntimeError>> + Send;
    /// SIGTERM (or the image's stop signal), `grace` later SIGKILL. Fine if it ended or is gone.
    fn stop_container(
        &self,
        id: &ContainerId,
        grace: Duration,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;
    /// Removes an ended container. Fine if it is gone.
    fn remove_container(&self, id: &ContainerId) -> impl Future<Output = Result<(), RuntimeError>> + Send;
    /// Runs a command in a container to its end.
    fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> impl Future<Output = Result<ExecResult, RuntimeError>> + Send;
    /// The image, where it is on the node.
    fn image(&self, name: &str) -> impl Future<Output = Result<Option<Image>, RuntimeError>> + Send;
    /// Fetches an image, trying each credential (none means anonymous), and returns it.
    fn pull(
        &self,
        name: &str,
        auth: &[PullAuth],
        sandbox: &SandboxSpec,
    ) -> impl Future<Output = Result<Image, RuntimeError>> + Send;
    /// Makes the runtime write the container's log to a new file at the old path, after a rotation renamed it.
    fn reopen_log(&self, id: &ContainerId) -> impl Future<Output = Result<(), RuntimeError>> + Send;
    /// Waits until something may have changed (a container ended, the runtime came back) or `most` has passed.
    /// A hint only: the look that follows decides. Where the runtime has no events, this looks by itself, cheaply.
    fn changed(&self, most: Duration) -> impl Future<Output = ()> + Send;
}

/// Streams to and from a process in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent switches of the Container Runtime Interface"
)]
pub struct Streams {
    /// Its standard input.
    pub stdin: bool,
    /// Its standard output.
    pub stdout: bool,
    /// Its standard error; it has none of its own with a terminal.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// The runtime's streaming server: each call gives the address of one request that it will serve, once and soon.
pub trait Streaming: Send + Sync {
    /// A command in a running container.
    fn exec_address(
        &self,
        id: &ContainerId,
        command: &[String],
        streams: Streams,
    ) -> impl Future<Output = Result<String, RuntimeError>> + Send;
    /// The process of a running container.
    fn attach_address(
        &self,
        id: &ContainerId,
        streams: Streams,
    ) -> impl Future<Output = Result<String, RuntimeError>> + Send;
    /// Ports in a ready sandbox; which of them, each stream says.
    fn port_forward_address(
        &self,
        id: &SandboxId,
    ) -> impl Future<Output = Result<String, RuntimeError>> + Send;
}
