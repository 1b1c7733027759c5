//! The containers of a pod.

use edgecore_volumes::{BoundMount, MountRequest};
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::runtime::ContainerSpec;
use crate::spec::context::ContainerContext;
use crate::spec::error::SpecError;

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

/// Environment of a container, in order, all references made out.
pub fn environment(
    pod: &Pod,
    container: &Container,
    context: &ContainerContext<'_>,
) -> Result<Vec<(String, String)>, SpecError> {
    let _ = (pod, container, context);
    Ok(Vec::new())
}

/// What to bind for a container's volumeMounts: subPaths made out against its environment.
pub fn mount_requests(
    container: &Container,
    environment: &[(String, String)],
) -> Result<Vec<MountRequest>, SpecError> {
    let _ = (container, environment);
    Ok(Vec::new())
}

/// The container. Its log file's directory must exist before it is made.
pub fn container_spec(
    pod: &Pod,
    container: &Container,
    context: &ContainerContext<'_>,
    environment: Vec<(String, String)>,
    paths: &Paths<'_>,
) -> Result<ContainerSpec, SpecError> {
    let _ = (pod, container, context, environment, paths);
    Err(SpecError::config("no container"))
}
