//! The pod's sandbox.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::runtime::{
    LABEL_POD_NAME, LABEL_POD_NAMESPACE, LABEL_POD_UID, Namespaces, PortMapping, SandboxSpec, Seccomp,
};
use crate::spec::context::NodeFacts;
use crate::spec::error::SpecError;
use crate::spec::{dns, hostname, security, sysctls};

/// Parent of the cgroups of all pods, relative to the root of the hierarchy.
pub const CGROUP_PARENT: &str = "/skerry/pods";

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
    let metadata = &pod.metadata;
    let missing = |field: &str| SpecError::sandbox(format!("the pod has no {field}"));
    let spec = pod.spec.as_ref().ok_or_else(|| missing("spec"))?;
    let uid = metadata.uid.clone().ok_or_else(|| missing("metadata.uid"))?;
    let name = metadata.name.clone().ok_or_else(|| missing("metadata.name"))?;
    let namespace = metadata.namespace.clone().ok_or_else(|| missing("metadata.namespace"))?;
    let context = spec.security_context.as_ref();
    let namespaces = namespaces(spec);
    let (dns, warnings) = dns::dns(pod, node);
    let spec = SandboxSpec {
        attempt,
        hostname: if namespaces.host_network { String::new() } else { hostname::kernel_name(pod, node)? },
        log_directory: format!(
            "{}/{namespace}_{name}_{uid}",
            node.pod_logs_dir.strip_suffix('/').unwrap_or(&node.pod_logs_dir)
        ),
        dns: Some(dns),
        ports: if namespaces.host_network { Vec::new() } else { ports(spec)? },
        namespaces,
        labels: labels(pod, &uid, &name, &namespace),
        annotations: metadata.annotations.clone().unwrap_or_default(),
        sysctls: context
            .and_then(|context| context.sysctls.as_ref())
            .into_iter()
            .flatten()
            .map(|sysctl| (sysctls::dotted(&sysctl.name), sysctl.value.clone()))
            .collect(),
        privileged: security::any_privileged(pod),
        supplemental_groups: security::groups(context),
        run_as_user: context.and_then(|context| context.run_as_user),
        run_as_group: context.and_then(|context| context.run_as_group),
        selinux: security::selinux(context.and_then(|context| context.se_linux_options.as_ref())),
        // The pause process needs nothing, whatever the containers may do.
        seccomp: Seccomp::RuntimeDefault,
        cgroup_parent: cgroup(&uid),
        pod_uid: uid,
        pod_name: name,
        pod_namespace: namespace,
    };
    Ok(SandboxPlan { spec, warnings })
}

/// The cgroup that all cgroups of a pod lie in.
pub fn cgroup(pod_uid: &str) -> String {
    format!("{CGROUP_PARENT}/pod{pod_uid}")
}

/// Which namespaces the pod shares with what.
pub(crate) fn namespaces(spec: &PodSpec) -> Namespaces {
    Namespaces {
        host_network: spec.host_network.unwrap_or(false),
        host_pid: spec.host_pid.unwrap_or(false),
        host_ipc: spec.host_ipc.unwrap_or(false),
        share_process: spec.share_process_namespace.unwrap_or(false),
    }
}

fn labels(pod: &Pod, uid: &str, name: &str, namespace: &str) -> BTreeMap<String, String> {
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    for (label, value) in [(LABEL_POD_UID, uid), (LABEL_POD_NAME, name), (LABEL_POD_NAMESPACE, namespace)] {
        labels.insert(label.to_owned(), value.to_owned());
    }
    labels
}

/// Host ports of all containers that run with the pod.
fn ports(spec: &PodSpec) -> Result<Vec<PortMapping>, SpecError> {
    let sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(sidecar));
    let mut found: Vec<PortMapping> = Vec::new();
    for container in containers {
        for port in container.ports.iter().flatten() {
            let Some(host_port) = port.host_port.filter(|port| *port != 0) else { continue };
            let number = |port: i32| {
                let wrong =
                    |_| SpecError::sandbox(format!("container {}: {port} is no port", container.name));
                u16::try_from(port).map_err(wrong)
            };
            let mapping = PortMapping {
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                container_port: number(port.container_port)?,
                host_port: number(host_port)?,
                host_ip: port.host_ip.clone().unwrap_or_default(),
            };
            if !found.contains(&mapping) {
                found.push(mapping);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "tests/sandbox.rs"]
mod tests;
