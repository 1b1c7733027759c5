//! What the store says should run: pods, parsed, keyed by UID.

use std::sync::Arc;
use std::time::Duration;

use edgecore_store::Object;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use thiserror::Error;

use crate::ephemeral::Ephemeral;
use crate::spec::honoured;

/// Grace that the API server defaults to, for bodies that carry none.
const DEFAULT_GRACE: i64 = 30;

/// Why a body is no pod that can be run. The pod is refused by name; others are not touched.
#[derive(Debug, Error)]
pub enum DesiredError {
    /// Not JSON, or not of a pod's shape.
    #[error("{name}: the body does not parse")]
    Parse {
        /// The pod, for people.
        name: String,
        /// What the parser said, with the place.
        #[source]
        source: serde_json::Error,
    },
    /// A part is missing without which nothing can be done.
    #[error("{name}: {field} is missing")]
    Missing {
        /// The pod, for people.
        name: String,
        /// JSON path.
        field: &'static str,
    },
}

/// A pod that should run, or should end.
#[derive(Debug, Clone)]
pub struct Desired {
    /// UID.
    pub uid: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The object.
    pub pod: Arc<Pod>,
    /// What was put beside its containers; each starts once.
    pub ephemeral: Arc<[Ephemeral]>,
    /// JSON paths that this release does not honour: see [`Desired::held_back`].
    pub refused: Arc<[String]>,
    /// It should end: somebody asked the API server to delete it, or it is gone there.
    pub deleting: bool,
    /// It is gone in the cluster: nothing more is to be reported, and its row may leave once nothing of it is left.
    pub gone: bool,
}

/// Which part a container plays in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next.
    Init,
    /// An init container that keeps running (restart policy `Always` of its own).
    Sidecar,
    /// One of the containers the pod is for.
    App,
    /// Put beside them to look at them: runs once, and does not count for the pod.
    Ephemeral,
}

impl Desired {
    /// Parses a row of the store. `refuse` names the JSON paths that are not honoured.
    pub fn parse(
        object: &Object,
        refuse: impl FnOnce(&serde_json::Value) -> Vec<String>,
    ) -> Result<Self, DesiredError> {
        let name = || object.key.to_string();
        let parse = |source| DesiredError::Parse { name: name(), source };
        let pod: Pod = serde_json::from_slice(&object.body).map_err(parse)?;
        let raw: serde_json::Value = serde_json::from_slice(&object.body).map_err(parse)?;
        let Some(spec) = pod.spec.as_ref() else {
            return Err(DesiredError::Missing { name: name(), field: "spec" });
        };
        if spec.containers.is_empty() {
            return Err(DesiredError::Missing { name: name(), field: "spec.containers" });
        }
        let refused = refuse(&raw);
        Ok(Self {
            uid: object.uid.clone(),
            namespace: object.key.namespace.clone(),
            name: object.key.name.clone(),
            ephemeral: Ephemeral::all(&pod, &refused),
            refused: refused.into(),
            deleting: object.deleting || pod.metadata.deletion_timestamp.is_some(),
            gone: object.deleting,
            pod: Arc::new(pod),
        })
    }

    /// The pod as upstream writes it in messages: `name_namespace(uid)`.
    pub fn label(&self) -> String {
        format!("{}_{}({})", self.name, self.namespace, self.uid)
    }

    /// A field of it is not honoured, so it is not started. What ephemeral containers ask for in vain holds back nobody
    /// but them.
    pub fn held_back(&self) -> bool {
        honoured::beside_ephemeral(&self.refused)
    }

    /// Time between SIGTERM and SIGKILL when the pod ends: what the deletion says, else the spec. Never under a second.
    pub fn grace(&self) -> Duration {
        let asked = self.pod.metadata.deletion_grace_period_seconds;
        let own = self.spec().and_then(|spec| spec.termination_grace_period_seconds);
        let seconds = asked.filter(|_| self.deleting).or(own).unwrap_or(DEFAULT_GRACE);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(1).max(1))
    }

    /// The spec; present in every pod that [`Desired::parse`] took.
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// Init containers, sidecars among them, in order.
    pub fn inits(&self) -> impl Iterator<Item = (Role, &Container)> {
        self.spec().and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten().map(|container| {
            let sidecar = container.restart_policy.as_deref() == Some("Always");
            (if sidecar { Role::Sidecar } else { Role::Init }, container)
        })
    }

    /// The containers the pod is for, in order.
    pub fn apps(&self) -> impl Iterator<Item = &Container> {
        self.spec().into_iter().flat_map(|spec| &spec.containers)
    }

    /// All containers: those it was made with in the order in which they start, then ephemeral ones.
    pub fn containers(&self) -> impl Iterator<Item = (Role, &Container)> {
        let apps = self.apps().map(|container| (Role::App, container));
        let ephemeral = self.ephemeral.iter().map(|ephemeral| (Role::Ephemeral, &ephemeral.container));
        self.inits().chain(apps).chain(ephemeral)
    }

    /// Those that count for whether the pod is ready: its own, and the sidecars.
    pub fn counted(&self) -> impl Iterator<Item = (Role, &Container)> {
        self.containers().filter(|(role, _)| matches!(role, Role::App | Role::Sidecar))
    }

    /// An ephemeral container by name.
    pub fn ephemeral(&self, name: &str) -> Option<&Ephemeral> {
        self.ephemeral.iter().find(|ephemeral| ephemeral.container.name == name)
    }

    /// A container by name.
    pub fn container(&self, name: &str) -> Option<(Role, &Container)> {
        self.containers().find(|(_, container)| container.name == name)
    }

    /// Whether it uses the host's network.
    pub fn host_network(&self) -> bool {
        self.spec().and_then(|spec| spec.host_network).unwrap_or(false)
    }

    /// Terminal phase that the cluster has on record for it.
    pub fn recorded_phase(&self) -> Option<&str> {
        let phase = self.pod.status.as_ref()?.phase.as_deref()?;
        matches!(phase, "Succeeded" | "Failed").then_some(phase)
    }

    /// Host ports it takes: (protocol, address, port).
    pub fn host_ports(&self) -> Vec<(String, String, u16)> {
        let ports = self.containers().flat_map(|(_, container)| container.ports.iter().flatten());
        ports
            .filter_map(|port| {
                let number = u16::try_from(port.host_port?).ok().filter(|number| *number > 0)?;
                let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                Some((protocol, port.host_ip.clone().unwrap_or_default(), number))
            })
            .collect()
    }
}

/// Hash of what makes a container another one, as upstream's kubelet takes it: its name and its image.
pub fn container_hash(container: &Container) -> String {
    // FNV-1a, 64 bits: it must only differ where the input does.
    let parts = [container.name.as_bytes(), b"\0", container.image.as_deref().unwrap_or_default().as_bytes()];
    let hash = parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:x}")
}
