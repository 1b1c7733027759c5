//! A container as CRI wants it.

use edgecore_pods::runtime::{
    ContainerSpec, LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE, LABEL_POD_UID, Resources,
    SandboxSpec,
};

use crate::convert::{mounts, security};
use crate::generated::cri;

/// The whole configuration of a container.
pub(crate) fn config(sandbox: &SandboxSpec, spec: &ContainerSpec) -> cri::ContainerConfig {
    let mut labels = spec.labels.clone();
    for (label, value) in [
        (LABEL_POD_UID, &sandbox.pod_uid),
        (LABEL_POD_NAME, &sandbox.pod_name),
        (LABEL_POD_NAMESPACE, &sandbox.pod_namespace),
        (LABEL_CONTAINER_NAME, &spec.name),
    ] {
        labels.insert(label.to_owned(), value.clone());
    }
    cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: spec.name.clone(), attempt: spec.attempt }),
        image: Some(cri::ImageSpec {
            image: spec.image.clone(),
            user_specified_image: spec.user_image.clone(),
        }),
        command: spec.command.clone(),
        args: spec.args.clone(),
        working_dir: spec.working_dir.clone(),
        envs: spec.env.iter().map(variable).collect(),
        mounts: spec.mounts.iter().map(mounts::mount).collect(),
        labels,
        annotations: spec.annotations.clone(),
        log_path: spec.log_path.clone(),
        stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        tty: spec.tty,
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(resources(&spec.resources)),
            security_context: Some(security::of_container(spec)),
        }),
    }
}

fn variable((name, value): &(String, String)) -> cri::KeyValue {
    cri::KeyValue { key: name.clone(), value: value.clone().into_bytes() }
}

const fn resources(resources: &Resources) -> cri::LinuxContainerResources {
    cri::LinuxContainerResources {
        cpu_period: resources.cpu_period,
        cpu_quota: resources.cpu_quota,
        cpu_shares: resources.cpu_shares,
        memory_limit_in_bytes: resources.memory_limit,
        oom_score_adj: resources.oom_score_adj,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::convert::sandbox::tests::sample as sandbox;
    use edgecore_pods::runtime::{Namespaces, Security};

    /// A container with something in every field.
    pub(crate) fn sample() -> ContainerSpec {
        ContainerSpec {
            name: "main".to_owned(),
            attempt: 2,
            image: "sha256:1".to_owned(),
            user_image: "busybox".to_owned(),
            command: vec!["/bin/sleep".to_owned()],
            args: vec!["9".to_owned()],
            working_dir: "/w".to_owned(),
            env: vec![("B".to_owned(), "2".to_owned()), ("A".to_owned(), "1".to_owned())],
            mounts: Vec::new(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            annotations: [("note".to_owned(), "n".to_owned())].into(),
            log_path: "main/2.log".to_owned(),
            stdin: true,
            stdin_once: true,
            tty: true,
            resources: Resources {
                cpu_shares: 102,
                cpu_quota: 50_000,
                cpu_period: 100_000,
                memory_limit: 64 << 20,
                oom_score_adj: 999,
            },
            security: Security::default(),
            namespaces: Namespaces::default(),
            target: None,
        }
    }

    #[test]
    fn nothing_of_a_container_is_lost() {
        let config = config(&sandbox(), &sample());
        let image = config.image.unwrap();
        assert_eq!((image.image.as_str(), image.user_specified_image.as_str()), ("sha256:1", "busybox"));
        let envs: Vec<_> = config.envs.iter().map(|env| (env.key.as_str(), env.value.as_slice())).collect();
        assert_eq!(envs, [("B", b"2".as_slice()), ("A", b"1")]);
        assert_eq!(config.labels[LABEL_CONTAINER_NAME], "main");
        assert_eq!(config.labels[LABEL_POD_UID], "u-1");
        assert_eq!(config.labels["app"], "web");
        assert_eq!(config.log_path, "main/2.log");
        assert!(config.stdin && config.stdin_once && config.tty);
        let linux = config.linux.unwrap();
        assert_eq!(linux.resources.unwrap().memory_limit_in_bytes, 64 << 20);
    }

    #[test]
    fn values_of_variables_and_passwords_are_not_printed() {
        let config = config(&sandbox(), &sample());
        let auth = cri::AuthConfig { password: "hunter2".to_owned(), ..Default::default() };
        let printed = format!("{:?} {auth:?}", config.envs);
        assert!(
            printed.contains("\"B\"") && !printed.contains("value") && !printed.contains("hunter2"),
            "{printed}"
        );
    }
}
