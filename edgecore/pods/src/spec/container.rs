//! The containers of a pod.

use std::collections::BTreeMap;

use edgecore_volumes::BoundMount;
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::desired::container_hash;
use crate::runtime::{
    ANNOTATION_HASH, ANNOTATION_RESTARTS, ContainerSpec, LABEL_CONTAINER_NAME, LABEL_POD_NAME,
    LABEL_POD_NAMESPACE, LABEL_POD_UID,
};
use crate::spec::context::ContainerContext;
use crate::spec::error::SpecError;
use crate::spec::expand::{expand, known};
use crate::spec::mounts::mounts;
use crate::spec::resources::resources;
use crate::spec::sandbox::namespaces;
use crate::spec::security::security;

/// Host paths for a container's mounts.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    /// Its volumes.
    pub volumes: &'a [BoundMount],
    /// The pod's `/etc/hosts`, where it has one.
    pub etc_hosts: Option<&'a str>,
    /// The file for the termination message.
    pub termination_log: &'a str,
}

/// The container. Its log file's directory must exist before it is made.
pub fn container_spec(
    pod: &Pod,
    container: &Container,
    context: &ContainerContext<'_>,
    environment: Vec<(String, String)>,
    paths: &Paths<'_>,
) -> Result<ContainerSpec, SpecError> {
    let variables: BTreeMap<String, String> = environment.iter().cloned().collect();
    let expanded = |list: Option<&Vec<String>>| -> Vec<String> {
        list.into_iter().flatten().map(|text| expand(text, |name| known(&[&variables], name))).collect()
    };
    Ok(ContainerSpec {
        name: container.name.clone(),
        attempt: context.attempt,
        image: context.image.id.clone(),
        user_image: container.image.clone().unwrap_or_default(),
        command: expanded(container.command.as_ref()),
        args: expanded(container.args.as_ref()),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        env: environment,
        mounts: mounts(pod, container, paths)?,
        labels: labels(pod, container),
        annotations: annotations(pod, container, context.attempt)?,
        log_path: format!("{}/{}.log", container.name, context.attempt),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        resources: resources(pod, container, context.node.memory_capacity)?,
        security: security(pod, container, context.image)?,
        namespaces: pod.spec.as_ref().map(namespaces).unwrap_or_default(),
        target: None,
    })
}

fn labels(pod: &Pod, container: &Container) -> BTreeMap<String, String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    BTreeMap::from([
        (LABEL_POD_NAME.to_owned(), text(&pod.metadata.name)),
        (LABEL_POD_NAMESPACE.to_owned(), text(&pod.metadata.namespace)),
        (LABEL_POD_UID.to_owned(), text(&pod.metadata.uid)),
        (LABEL_CONTAINER_NAME.to_owned(), container.name.clone()),
    ])
}

/// What upstream's kubelet notes on a container, so that it can be ended as its pod asked when the pod is gone.
fn annotations(
    pod: &Pod,
    container: &Container,
    attempt: u32,
) -> Result<BTreeMap<String, String>, SpecError> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut found = BTreeMap::from([
        (ANNOTATION_HASH.to_owned(), container_hash(container)),
        (ANNOTATION_RESTARTS.to_owned(), attempt.to_string()),
        note("container.terminationMessagePath", text(&container.termination_message_path)),
        note("container.terminationMessagePolicy", text(&container.termination_message_policy)),
    ]);
    let json = |error: serde_json::Error| SpecError::config(format!("container {}: {error}", container.name));
    if let Some(seconds) = pod.metadata.deletion_grace_period_seconds {
        found.extend([note("pod.deletionGracePeriod", seconds.to_string())]);
    }
    if let Some(seconds) = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds) {
        found.extend([note("pod.terminationGracePeriod", seconds.to_string())]);
    }
    if let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) {
        found.extend([note("container.preStopHandler", serde_json::to_string(hook).map_err(json)?)]);
    }
    if let Some(ports) = container.ports.as_ref().filter(|ports| !ports.is_empty()) {
        found.extend([note("container.ports", serde_json::to_string(ports).map_err(json)?)]);
    }
    Ok(found)
}

fn note(name: &str, value: String) -> (String, String) {
    (format!("io.kubernetes.{name}"), value)
}

#[cfg(test)]
#[path = "tests/container.rs"]
mod tests;
