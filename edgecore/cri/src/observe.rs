//! Pure: CRI's answers → what [`edgecore_pods::runtime`] calls observed.

use edgecore_pods::runtime::{
    Container, ContainerDetail, ContainerId, ContainerState, ExecResult, Image, LABEL_CONTAINER_NAME,
    LABEL_POD_UID, Observed, Sandbox, SandboxId,
};

use crate::generated::cri;

/// Most of a command's output that is kept, per stream.
const MAX_OUTPUT: usize = 16 << 10;

/// What of the lists is ours: it carries a pod's UID. Others may use the same runtime.
pub(crate) fn observed(sandboxes: Vec<cri::PodSandbox>, containers: Vec<cri::Container>) -> Observed {
    Observed {
        sandboxes: sandboxes.into_iter().filter_map(sandbox).collect(),
        containers: containers.into_iter().filter_map(container).collect(),
    }
}

fn sandbox(mut seen: cri::PodSandbox) -> Option<Sandbox> {
    let pod_uid = seen.labels.remove(LABEL_POD_UID)?;
    let ready = is_ready(seen.state);
    let metadata = seen.metadata?;
    Some(Sandbox {
        id: SandboxId(seen.id),
        pod_uid,
        pod_name: metadata.name,
        pod_namespace: metadata.namespace,
        attempt: metadata.attempt,
        ready,
        created_at_ns: seen.created_at,
        ips: Vec::new(),
    })
}

fn container(mut seen: cri::Container) -> Option<Container> {
    let pod_uid = seen.labels.remove(LABEL_POD_UID)?;
    let name = seen.labels.remove(LABEL_CONTAINER_NAME)?;
    let state = state(seen.state);
    Some(Container {
        id: ContainerId(seen.id),
        sandbox: SandboxId(seen.pod_sandbox_id),
        pod_uid,
        name,
        attempt: seen.metadata.map_or(0, |metadata| metadata.attempt),
        state,
        created_at_ns: seen.created_at,
        image: seen.image.map(|image| image.image).unwrap_or_default(),
        image_ref: seen.image_ref,
        annotations: seen.annotations,
    })
}

/// A state that this release does not know is unknown, not the first of the list.
fn state(number: i32) -> ContainerState {
    match cri::ContainerState::try_from(number) {
        Ok(cri::ContainerState::ContainerCreated) => ContainerState::Created,
        Ok(cri::ContainerState::ContainerRunning) => ContainerState::Running,
        Ok(cri::ContainerState::ContainerExited) => ContainerState::Exited,
        Ok(cri::ContainerState::ContainerUnknown) | Err(_) => ContainerState::Unknown,
    }
}

fn is_ready(number: i32) -> bool {
    cri::PodSandboxState::try_from(number) == Ok(cri::PodSandboxState::SandboxReady)
}

/// containerd's reason for a container whose start failed.
const START_ERROR: &str = "StartError";
/// How its message says that it was the caller of the start who went away: the words of Go's `context.Canceled`, or those of
/// a helper (the shim's, or runc) that containerd killed because of that. What ends for the container's own sake, also for
/// its memory limit, has other words.
const CALLER_GONE: [&str; 2] = ["context canceled", "signal: killed"];

/// The runtime called the start off, since whoever asked for it was gone, or did not wait any longer. A start that failed
/// for the container's own sake, such as a command that is not there, says so in other words, and is a run that failed.
fn called_off(seen: &cri::ContainerStatus) -> bool {
    seen.started_at == 0
        && seen.reason == START_ERROR
        && CALLER_GONE.iter().any(|words| seen.message.contains(words))
}

/// More of one container.
pub(crate) fn detail(seen: cri::ContainerStatus) -> ContainerDetail {
    let state = state(seen.state);
    ContainerDetail {
        state,
        called_off: state == ContainerState::Exited && called_off(&seen),
        started_at_ns: seen.started_at,
        finished_at_ns: seen.finished_at,
        exit_code: seen.exit_code,
        reason: seen.reason,
        message: seen.message,
        image: seen.image.map(|image| named(image.image, image.user_specified_image)).unwrap_or_default(),
        image_ref: seen.image_ref,
        log_path: seen.log_path,
    }
}

/// The name the user gave, where the runtime kept it.
fn named(image: String, user: String) -> String {
    if user.is_empty() { image } else { user }
}

/// Addresses of a sandbox: none on the host's network, and none of a dead one.
pub(crate) fn ips(seen: cri::PodSandboxStatus) -> Vec<String> {
    if !is_ready(seen.state) {
        return Vec::new();
    }
    seen.network
        .into_iter()
        .flat_map(|network| {
            std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|more| more.ip))
        })
        .filter(|ip| !ip.is_empty())
        .collect()
}

/// An image on the node.
pub(crate) fn image(seen: cri::Image) -> Image {
    Image {
        id: seen.id,
        names: seen.repo_digests.into_iter().chain(seen.repo_tags).collect(),
        uid: seen.uid.map(|uid| uid.value),
        username: seen.username,
        size: seen.size,
    }
}

/// What came of a command.
pub(crate) fn exec(mut seen: cri::ExecSyncResponse) -> ExecResult {
    for output in [&mut seen.stdout, &mut seen.stderr] {
        output.truncate(MAX_OUTPUT);
        output.shrink_to_fit();
    }
    ExecResult { exit_code: seen.exit_code, stdout: seen.stdout, stderr: seen.stderr }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn only_what_carries_a_pods_uid_is_ours() {
        let ours = cri::PodSandbox {
            id: "s1".to_owned(),
            metadata: Some(cri::PodSandboxMetadata {
                name: "web".to_owned(),
                uid: "u-1".to_owned(),
                namespace: "default".to_owned(),
                attempt: 1,
            }),
            state: cri::PodSandboxState::SandboxNotready.into(),
            created_at: 5,
            labels: labels(&[(LABEL_POD_UID, "u-1")]),
        };
        let foreign = cri::PodSandbox { labels: labels(&[]), ..ours.clone() };
        let theirs = cri::Container { id: "x".to_owned(), ..Default::default() };
        let mine = cri::Container {
            id: "c1".to_owned(),
            pod_sandbox_id: "s1".to_owned(),
            state: cri::ContainerState::ContainerExited.into(),
            labels: labels(&[(LABEL_POD_UID, "u-1"), (LABEL_CONTAINER_NAME, "main")]),
            annotations: labels(&[("a", "b")]),
            ..Default::default()
        };
        let observed = observed(vec![foreign, ours], vec![theirs, mine]);
        assert_eq!(observed.sandboxes.len(), 1);
        assert!(!observed.sandboxes[0].ready);
        assert_eq!(observed.sandboxes[0].attempt, 1);
        assert_eq!(observed.containers.len(), 1);
        assert_eq!(observed.containers[0].state, ContainerState::Exited);
        assert_eq!(observed.containers[0].annotations["a"], "b");
    }

    #[test]
    fn a_state_of_a_newer_runtime_is_unknown() {
        let seen = cri::ContainerStatus { state: 99, ..Default::default() };
        assert_eq!(detail(seen).state, ContainerState::Unknown);
        assert!(!is_ready(99) && is_ready(0));
    }

    #[test]
    fn a_start_is_called_off_only_where_its_caller_was_gone() {
        let gone = cri::ContainerStatus {
            state: cri::ContainerState::ContainerExited.into(),
            reason: "StartError".to_owned(),
            message: "failed to start containerd task: context canceled: unknown".to_owned(),
            exit_code: 128,
            finished_at: 5,
            ..Default::default()
        };
        assert!(detail(gone.clone()).called_off);
        let killed =
            "failed to create containerd task: failed to start shim: start failed: : signal: killed: unknown";
        assert!(detail(cri::ContainerStatus { message: killed.to_owned(), ..gone.clone() }).called_off);
        let missing = "exec: \"/nowhere\": stat /nowhere: no such file or directory: unknown".to_owned();
        assert!(!detail(cri::ContainerStatus { message: missing, ..gone.clone() }).called_off);
        assert!(!detail(cri::ContainerStatus { started_at: 1, ..gone.clone() }).called_off);
        assert!(!detail(cri::ContainerStatus { reason: "Error".to_owned(), ..gone.clone() }).called_off);
        let running = cri::ContainerState::ContainerRunning.into();
        assert!(!detail(cri::ContainerStatus { state: running, ..gone }).called_off);
    }

    #[test]
    fn a_dead_sandbox_has_no_address() {
        let network = cri::PodSandboxNetworkStatus {
            ip: "10.0.0.2".to_owned(),
            additional_ips: vec![cri::PodIp { ip: "fd00::2".to_owned() }],
        };
        let mut seen = cri::PodSandboxStatus { network: Some(network), ..Default::default() };
        assert_eq!(ips(seen.clone()), ["10.0.0.2", "fd00::2"]);
        seen.set_state(cri::PodSandboxState::SandboxNotready);
        assert!(ips(seen).is_empty());
        let host = cri::PodSandboxStatus {
            network: Some(cri::PodSandboxNetworkStatus::default()),
            ..Default::default()
        };
        assert!(ips(host).is_empty());
    }

    #[test]
    fn long_output_is_cut() {
        let seen = cri::ExecSyncResponse { stdout: vec![b'x'; 1 << 20], stderr: vec![], exit_code: 1 };
        assert_eq!(exec(seen).stdout.len(), MAX_OUTPUT);
    }

    #[test]
    fn the_users_name_of_an_image_wins() {
        let image = cri::ImageSpec {
            image: "docker.io/library/b:1".to_owned(),
            user_specified_image: "b:1".to_owned(),
        };
        assert_eq!(detail(cri::ContainerStatus { image: Some(image), ..Default::default() }).image, "b:1");
    }
}
