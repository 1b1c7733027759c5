//! What the agent is, as far as its answers tell: handed in by whoever wires it.

use std::path::PathBuf;

use edgecore_pods::probe_counts::ProbeCounts;

/// The agent and its node.
pub struct About {
    /// Name of the node.
    pub node_name: String,
    /// The version that the node reports as its kubelet's.
    pub kubelet_version: String,
    /// The agent's directory: the pods' files lie in `pods` of it, checkpoints in `checkpoints`.
    pub state_dir: PathBuf,
    /// Where logs of containers lie.
    pub pod_logs_dir: PathBuf,
    /// The machine.
    pub machine: Machine,
    /// What of its configuration a kubelet has too.
    pub configuration: Configuration,
    /// Tries of probes.
    pub probes: ProbeCounts,
    /// The agent's own metrics, in the text of OpenMetrics.
    pub own_metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("About").field("node_name", &self.node_name).finish_non_exhaustive()
    }
}

/// The machine, as its node reports it.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Processors.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Id of the installation.
    pub machine_id: String,
    /// Id of the hardware.
    pub system_uuid: String,
    /// Id of this boot.
    pub boot_id: String,
}

/// What of the agent's configuration a kubelet has too.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Most pods at a time.
    pub max_pods: u32,
    /// Servers of the cluster's DNS.
    pub cluster_dns: Vec<String>,
    /// Domain of the cluster.
    pub cluster_domain: String,
    /// The resolv.conf that pods inherit.
    pub resolv_conf: String,
    /// Socket of the container runtime.
    pub runtime_endpoint: String,
}
