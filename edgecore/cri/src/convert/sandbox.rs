//! A pod sandbox as CRI wants it.

use edgecore_pods::runtime::{LABEL_POD_NAME, LABEL_POD_NAMESPACE, LABEL_POD_UID, PortMapping, SandboxSpec};

use crate::convert::security;
use crate::generated::cri;

/// The whole configuration of a sandbox.
pub(crate) fn config(spec: &SandboxSpec) -> cri::PodSandboxConfig {
    let mut labels = spec.labels.clone();
    // Observing finds a sandbox again by these, so a pod's own labels cannot replace them.
    labels.insert(LABEL_POD_UID.to_owned(), spec.pod_uid.clone());
    labels.insert(LABEL_POD_NAME.to_owned(), spec.pod_name.clone());
    labels.insert(LABEL_POD_NAMESPACE.to_owned(), spec.pod_namespace.clone());
    cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: spec.pod_name.clone(),
            uid: spec.pod_uid.clone(),
            namespace: spec.pod_namespace.clone(),
            attempt: spec.attempt,
        }),
        hostname: spec.hostname.clone(),
        log_directory: spec.log_directory.clone(),
        dns_config: spec.dns.as_ref().map(|dns| cri::DnsConfig {
            servers: dns.servers.clone(),
            searches: dns.searches.clone(),
            options: dns.options.clone(),
        }),
        port_mappings: spec.ports.iter().map(port).collect(),
        labels,
        annotations: spec.annotations.clone(),
        linux: Some(cri::LinuxPodSandboxConfig {
            cgroup_parent: spec.cgroup_parent.clone(),
            security_context: Some(security::of_sandbox(spec)),
            sysctls: spec.sysctls.clone(),
        }),
    }
}

fn port(port: &PortMapping) -> cri::PortMapping {
    let protocol = match port.protocol.as_str() {
        "UDP" => cri::Protocol::Udp,
        "SCTP" => cri::Protocol::Sctp,
        _ => cri::Protocol::Tcp,
    };
    cri::PortMapping {
        protocol: protocol.into(),
        container_port: i32::from(port.container_port),
        host_port: i32::from(port.host_port),
        host_ip: port.host_ip.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use edgecore_pods::runtime::{Dns, Namespaces, SeLinux, Seccomp};

    /// A sandbox with something in every field.
    pub(crate) fn sample() -> SandboxSpec {
        SandboxSpec {
            pod_uid: "u-1".to_owned(),
            pod_name: "web".to_owned(),
            pod_namespace: "default".to_owned(),
            attempt: 3,
            hostname: "web".to_owned(),
            log_directory: "/var/log/pods/default_web_u-1".to_owned(),
            dns: Some(Dns {
                servers: vec!["10.0.0.10".to_owned()],
                searches: vec!["svc".to_owned()],
                options: vec!["ndots:5".to_owned()],
            }),
            ports: vec![PortMapping {
                protocol: "UDP".to_owned(),
                container_port: 53,
                host_port: 5353,
                host_ip: String::new(),
            }],
            namespaces: Namespaces::default(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            annotations: [("note".to_owned(), "n".to_owned())].into(),
            sysctls: [("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())].into(),
            privileged: false,
            supplemental_groups: vec![7],
            run_as_user: Some(1000),
            run_as_group: Some(2000),
            selinux: Some(SeLinux { level: "s0:c1".to_owned(), ..SeLinux::default() }),
            seccomp: Seccomp::RuntimeDefault,
            cgroup_parent: "/kubepods/burstable/pod-u-1".to_owned(),
        }
    }

    #[test]
    fn nothing_of_a_sandbox_is_lost() {
        let config = config(&sample());
        let metadata = config.metadata.unwrap();
        assert_eq!(
            (metadata.name.as_str(), metadata.uid.as_str(), metadata.namespace.as_str(), metadata.attempt),
            ("web", "u-1", "default", 3)
        );
        assert_eq!(config.dns_config.unwrap().options, ["ndots:5"]);
        assert_eq!(config.annotations["note"], "n");
        let port = &config.port_mappings[0];
        assert_eq!((port.protocol(), port.container_port, port.host_port), (cri::Protocol::Udp, 53, 5353));
        let linux = config.linux.unwrap();
        assert_eq!(linux.cgroup_parent, "/kubepods/burstable/pod-u-1");
        assert_eq!(linux.sysctls.len(), 1);
        assert_eq!(linux.security_context.unwrap().selinux_options.unwrap().level, "s0:c1");
    }

    #[test]
    fn a_pods_labels_cannot_hide_whose_sandbox_it_is() {
        let mut spec = sample();
        spec.labels.insert(LABEL_POD_UID.to_owned(), "another".to_owned());
        let config = config(&spec);
        assert_eq!(config.labels[LABEL_POD_UID], "u-1");
        assert_eq!(config.labels["app"], "web");
    }
}
