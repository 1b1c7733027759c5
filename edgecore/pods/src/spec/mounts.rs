//! What a container finds mounted.

use std::collections::BTreeSet;

use edgecore_volumes::MountRequest;
use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};

use crate::runtime::{Mount, Propagation};
use crate::spec::container::Paths;
use crate::spec::error::SpecError;
use crate::spec::expand::expand;

/// Where containers look names up.
const ETC_HOSTS: &str = "/etc/hosts";
/// The API server's default for `terminationMessagePath`.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// What to bind for a container's volumeMounts: subPaths made out against its environment.
pub fn mount_requests(
    container: &Container,
    environment: &[(String, String)],
) -> Result<Vec<MountRequest>, SpecError> {
    let request = |(index, mount): (usize, &VolumeMount)| {
        Ok(MountRequest { index, volume: mount.name.clone(), sub_path: sub_path(mount, environment)? })
    };
    container.volume_mounts.iter().flatten().enumerate().map(request).collect()
}

fn sub_path(mount: &VolumeMount, environment: &[(String, String)]) -> Result<String, SpecError> {
    let Some(expression) = mount.sub_path_expr.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(mount.sub_path.clone().unwrap_or_default());
    };
    let mut missing = BTreeSet::new();
    let path = expand(expression, |name| {
        let value = environment.iter().find(|(found, value)| found == name && !value.is_empty());
        if value.is_none() {
            missing.insert(name.to_owned());
        }
        value.map(|(_, value)| value.clone()).unwrap_or_default()
    });
    if missing.is_empty() {
        return Ok(path);
    }
    let missing: Vec<String> = missing.into_iter().collect();
    Err(SpecError::config(format!("missing value for {}", missing.join(", "))))
}

/// Everything mounted into a container: its volumes, its names, and the file for its last words.
pub(crate) fn mounts(pod: &Pod, container: &Container, paths: &Paths<'_>) -> Result<Vec<Mount>, SpecError> {
    // What lies on the host is others' as well, and keeps its labels.
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let of_host: BTreeSet<&str> =
        volumes.filter(|volume| volume.host_path.is_some()).map(|volume| volume.name.as_str()).collect();
    let wanted = container.volume_mounts.as_deref().unwrap_or_default();
    let mut found = Vec::with_capacity(wanted.len() + 2);
    for bound in paths.volumes {
        let Some(mount) = wanted.get(bound.index) else { continue };
        found.push(Mount {
            host_path: bound.host_path.clone(),
            container_path: absolute(&mount.mount_path),
            readonly: bound.readonly || mount.read_only.unwrap_or(false),
            propagation: propagation(mount)?,
            relabel: !of_host.contains(mount.name.as_str()),
        });
    }
    let plain = |host_path: &str, container_path: &str| Mount {
        host_path: host_path.to_owned(),
        container_path: absolute(container_path),
        readonly: false,
        propagation: Propagation::Private,
        relabel: true,
    };
    let own_hosts = wanted.iter().any(|mount| mount.mount_path == ETC_HOSTS);
    found.extend(paths.etc_hosts.filter(|_| !own_hosts).map(|path| plain(path, ETC_HOSTS)));
    let last_words = container.termination_message_path.as_deref().unwrap_or(TERMINATION_LOG);
    if !last_words.is_empty() {
        found.push(plain(paths.termination_log, last_words));
    }
    Ok(found)
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn propagation(mount: &VolumeMount) -> Result<Propagation, SpecError> {
    match mount.mount_propagation.as_deref() {
        None | Some("None") => Ok(Propagation::Private),
        Some("HostToContainer") => Ok(Propagation::HostToContainer),
        Some("Bidirectional") => Ok(Propagation::Bidirectional),
        Some(other) => Err(SpecError::config(format!("invalid MountPropagation mode: {other:?}"))),
    }
}

#[cfg(test)]
#[path = "tests/mounts.rs"]
mod tests;
