//! What pods are made from besides their own object: the engine looks up what [`wants`] names and passes what it
//! found as [`Sources`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMap, EnvFromSource, EnvVar, Pod, Secret, ServiceAccountTokenProjection, Volume,
};
use kit::Masked;

/// Life of a token where the projection says none: the API server's default, which it normally writes into the pod.
const TOKEN_SECONDS: i64 = 3600;

/// A service-account token that a pod's projection asks for. Namespace, service account and pod are the pod's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenWant {
    /// Audience; empty means the API server's own, and then the request names none.
    pub audience: String,
    /// Seconds of life wanted.
    pub expiration_seconds: i64,
}

impl TokenWant {
    /// What a projection asks for.
    pub fn of(projection: &ServiceAccountTokenProjection) -> Self {
        Self {
            audience: projection.audience.clone().unwrap_or_default(),
            expiration_seconds: projection.expiration_seconds.unwrap_or(TOKEN_SECONDS),
        }
    }
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
    /// ConfigMaps of the above that the cluster has deleted, and this node kept since pods still name them.
    pub deleted_config_maps: BTreeSet<String>,
    /// Secrets of the above, likewise.
    pub deleted_secrets: BTreeSet<String>,
    /// Tokens.
    pub tokens: BTreeMap<TokenWant, Masked<String>>,
    /// Why the cloud gave no token, where it said so.
    pub refusals: BTreeMap<TokenWant, String>,
}

impl Sources {
    /// A ConfigMap. One that was deleted still counts where the pod cannot do without it, so that it starts again, and is
    /// absent where it may be.
    pub fn config_map(&self, name: &str, optional: bool) -> Option<&ConfigMap> {
        self.config_maps.get(name).filter(|_| !(optional && self.deleted_config_maps.contains(name)))
    }

    /// A Secret, likewise.
    pub fn secret(&self, name: &str, optional: bool) -> Option<&Secret> {
        let found = self.secrets.get(name).filter(|_| !(optional && self.deleted_secrets.contains(name)));
        found.map(|secret| &secret.0)
    }
}

/// What a pod is made from.
pub fn wants(pod: &Pod) -> Wants {
    let mut wants = Wants::default();
    let Some(spec) = &pod.spec else { return wants };
    for volume in spec.volumes.iter().flatten() {
        want_volume(&mut wants, volume);
    }
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        want_environment(&mut wants, container.env.as_deref(), container.env_from.as_deref());
    }
    for container in spec.ephemeral_containers.iter().flatten() {
        want_environment(&mut wants, container.env.as_deref(), container.env_from.as_deref());
    }
    let names = spec.image_pull_secrets.iter().flatten().map(|secret| secret.name.clone());
    wants.pull_secrets.extend(names.filter(|name| !name.is_empty()));
    wants
}

fn want_volume(wants: &mut Wants, volume: &Volume) {
    wants.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
    wants.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
    for source in volume.projected.iter().filter_map(|projected| projected.sources.as_ref()).flatten() {
        wants.config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
        wants.secrets.extend(source.secret.iter().map(|source| source.name.clone()));
        wants.tokens.extend(source.service_account_token.iter().map(TokenWant::of));
    }
}

fn want_environment(wants: &mut Wants, env: Option<&[EnvVar]>, env_from: Option<&[EnvFromSource]>) {
    for source in env_from.into_iter().flatten() {
        wants.config_maps.extend(source.config_map_ref.iter().map(|source| source.name.clone()));
        wants.secrets.extend(source.secret_ref.iter().map(|source| source.name.clone()));
    }
    for source in env.into_iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        wants.config_maps.extend(source.config_map_key_ref.iter().map(|source| source.name.clone()));
        wants.secrets.extend(source.secret_key_ref.iter().map(|source| source.name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_a_pod_names_is_wanted() {
        let pod: Pod = serde_json::from_str(
            r#"{"spec":{
                "volumes":[
                    {"name":"a","configMap":{"name":"cm-volume"}},
                    {"name":"b","secret":{"secretName":"s-volume"}},
                    {"name":"c","projected":{"sources":[
                        {"configMap":{"name":"cm-projected"}},
                        {"secret":{"name":"s-projected"}},
                        {"serviceAccountToken":{"path":"token","expirationSeconds":3607}},
                        {"serviceAccountToken":{"path":"vault","audience":"vault"}}]}}],
                "initContainers":[{"name":"i","envFrom":[{"configMapRef":{"name":"cm-from"}},{"secretRef":{"name":"s-from"}}]}],
                "containers":[{"name":"c","env":[
                    {"name":"A","valueFrom":{"configMapKeyRef":{"name":"cm-env","key":"k"}}},
                    {"name":"B","valueFrom":{"secretKeyRef":{"name":"s-env","key":"k"}}}]}],
                "ephemeralContainers":[{"name":"e","envFrom":[{"configMapRef":{"name":"cm-beside"}}],
                    "env":[{"name":"B","valueFrom":{"secretKeyRef":{"name":"s-beside","key":"k"}}}]}],
                "imagePullSecrets":[{"name":"registry"},{}]}}"#,
        )
        .unwrap();
        let wants = wants(&pod);
        let maps = ["cm-beside", "cm-env", "cm-from", "cm-projected", "cm-volume"];
        assert_eq!(Vec::from_iter(&wants.config_maps), maps);
        let secrets = ["s-beside", "s-env", "s-from", "s-projected", "s-volume"];
        assert_eq!(Vec::from_iter(&wants.secrets), secrets);
        assert_eq!(Vec::from_iter(&wants.pull_secrets), ["registry"]);
        let tokens: Vec<_> =
            wants.tokens.iter().map(|token| (token.audience.as_str(), token.expiration_seconds)).collect();
        assert_eq!(tokens, [("", 3607), ("vault", 3600)]);
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let mut sources = Sources::default();
        sources.tokens.insert(
            TokenWant { audience: String::new(), expiration_seconds: 1 },
            Masked("eyJhbGciOi".to_owned()),
        );
        assert!(!format!("{sources:?}").contains("eyJhbGciOi"));
    }
}
