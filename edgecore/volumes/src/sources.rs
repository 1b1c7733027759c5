//! What pods are made from besides their own object: the engine looks up what [`wants`] names and passes what it
//! found as [`Sources`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kit::Masked;

/// A service-account token that a pod's projection asks for. Namespace, service account and pod are the pod's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenWant {
    /// Audience; empty means the API server's own, and then the request names none.
    pub audience: String,
    /// Seconds of life wanted.
    pub expiration_seconds: i64,
}

/// Names of everything a pod is made from, all in the pod's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// ConfigMaps of volumes and environment, optional ones included.
    pub config_maps: BTreeSet<String>,
    /// Secrets of volumes and environment, optional ones included.
    pub secrets: BTreeSet<String>,
    /// Secrets with credentials for registries (`spec.imagePullSecrets`; those of the service account are not here).
    pub pull_secrets: BTreeSet<String>,
    /// Tokens of projected volumes.
    pub tokens: BTreeSet<TokenWant>,
}

/// What was found of the [`Wants`]. What is absent here does not exist on this node; where the look itself failed,
/// do not plan at all.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// ConfigMaps by name.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Masked<Secret>>,
    /// Tokens.
    pub tokens: BTreeMap<TokenWant, Masked<String>>,
}

/// What a pod is made from.
pub fn wants(pod: &Pod) -> Wants {
    let _ = pod;
    Wants::default()
}
