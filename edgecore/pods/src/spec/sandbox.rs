//! The pod's sandbox.

use k8s_openapi::api::core::v1::Pod;

use crate::runtime::SandboxSpec;
use crate::spec::context::NodeFacts;
use crate::spec::error::SpecError;

/// Something users should be told by an event of type Warning, although the pod runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Reason, such as `MissingClusterDNS`.
    pub reason: &'static str,
    /// Message.
    pub message: String,
}

/// A sandbox to make, and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPlan {
    /// The sandbox.
    pub spec: SandboxSpec,
    /// Events on the pod.
    pub warnings: Vec<Warning>,
}

/// The sandbox of a pod. Its log directory must exist before it is run.
pub fn sandbox_spec(pod: &Pod, node: &NodeFacts, attempt: u32) -> Result<SandboxPlan, SpecError> {
    let _ = (pod, node, attempt);
    Err(SpecError::sandbox("no sandbox"))
}

/// Content of the pod's `/etc/hosts`; `None` where the pod has no address yet.
pub fn etc_hosts(pod: &Pod, node: &NodeFacts, pod_ips: &[String]) -> Result<Option<String>, SpecError> {
    let _ = (pod, node, pod_ips);
    Ok(None)
}
