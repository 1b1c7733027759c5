//! Ephemeral containers: what `kubectl debug` puts beside the containers of a pod, to look at them.
//!
//! They are containers but for what they may not have (ports, probes, hooks, resources) and for one thing more: a
//! container whose processes they see.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

use crate::spec::honoured;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Ephemeral {
    /// What it is made from, as for any other container.
    pub container: Container,
    /// Name of the container whose processes it sees; none where it has a view of its own, or the pod's.
    pub target: Option<String>,
    /// The first field of it that is not honoured: it does not start, and holds back nobody else.
    pub refused: Option<String>,
}

impl Ephemeral {
    /// Those of a pod, in order. `refused` are the pod's paths that are not honoured.
    pub fn all(pod: &Pod, refused: &[String]) -> Arc<[Self]> {
        let spec = pod.spec.as_ref();
        let list = spec.and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default();
        let one = |(index, ephemeral): (usize, &EphemeralContainer)| Self {
            container: container(ephemeral.clone()),
            target: ephemeral.target_container_name.clone().filter(|name| !name.is_empty()),
            refused: honoured::of_ephemeral(refused, index).cloned(),
        };
        list.iter().enumerate().map(one).collect()
    }
}

/// All that it has in common with other containers. A field that a later release of the API adds to both does not
/// compile here until somebody has thought about it.
fn container(ephemeral: EphemeralContainer) -> Container {
    let EphemeralContainer {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        lifecycle,
        liveness_probe,
        name,
        ports,
        readiness_probe,
        resize_policy,
        resources,
        restart_policy,
        restart_policy_rules,
        security_context,
        startup_probe,
        stdin,
        stdin_once,
        target_container_name: _,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
    } = ephemeral;
    Container {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        lifecycle,
        liveness_probe,
        name,
        ports,
        readiness_probe,
        resize_policy,
        resources,
        restart_policy,
        restart_policy_rules,
        security_context,
        startup_probe,
        stdin,
        stdin_once,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn nothing_of_it_is_lost() {
        let full: Value = serde_json::from_str(include_str!("spec/tests/full_pod.json")).unwrap();
        let body = full["spec"]["ephemeralContainers"][0].clone();
        let ephemeral: EphemeralContainer = serde_json::from_value(body).unwrap();
        let mut known = serde_json::to_value(&ephemeral).unwrap();
        assert_eq!(known.as_object_mut().unwrap().remove("targetContainerName"), Some(json!("x")));
        assert_eq!(serde_json::to_value(container(ephemeral)).unwrap(), known);
    }

    #[test]
    fn each_is_refused_for_itself() {
        let list =
            json!([{"name": "a", "targetContainerName": ""}, {"name": "b", "targetContainerName": "c"}]);
        let pod = json!({"spec": {"containers": [], "ephemeralContainers": list}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let paths = ["spec.hostUsers=false", "spec.ephemeralContainers[1].ports"].map(str::to_owned);
        let all = Ephemeral::all(&pod, &paths);
        let seen: Vec<_> = all.iter().map(|e| (e.target.as_deref(), e.refused.as_deref())).collect();
        assert_eq!(seen, [(None, None), (Some("c"), Some("spec.ephemeralContainers[1].ports"))]);
    }
}
