//! Namespaces, users, capabilities and filters as CRI wants them.

use edgecore_pods::runtime::{ContainerSpec, Namespaces, SandboxSpec, SeLinux, Seccomp, Security};

use crate::generated::cri;

/// Paths that tell too much about the host, hidden in every container that is not privileged: upstream's list.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths through which a container could change the host: upstream's list.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// For a sandbox.
pub(crate) fn of_sandbox(spec: &SandboxSpec) -> cri::LinuxSandboxSecurityContext {
    cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(spec.namespaces)),
        run_as_user: spec.run_as_user.map(number),
        run_as_group: spec.run_as_group.map(number),
        selinux_options: spec.selinux.as_ref().map(selinux),
        supplemental_groups: spec.supplemental_groups.clone(),
        privileged: spec.privileged,
        seccomp: Some(profile(&spec.seccomp)),
    }
}

/// For a container.
pub(crate) fn of_container(spec: &ContainerSpec) -> cri::LinuxContainerSecurityContext {
    let security = &spec.security;
    cri::LinuxContainerSecurityContext {
        capabilities: Some(cri::Capability {
            add_capabilities: security.add_capabilities.clone(),
            drop_capabilities: security.drop_capabilities.clone(),
        }),
        privileged: security.privileged,
        namespace_options: Some(of_its_own(spec)),
        run_as_user: security.run_as_user.map(number),
        run_as_username: security.run_as_username.clone(),
        // CRI refuses a group without a user.
        run_as_group: security.run_as_group.filter(|_| names_user(security)).map(number),
        readonly_rootfs: security.readonly_rootfs,
        supplemental_groups: security.supplemental_groups.clone(),
        no_new_privs: security.no_new_privs,
        masked_paths: paths(&security.masked_paths, &MASKED, security.privileged),
        readonly_paths: paths(&security.readonly_paths, &READONLY, security.privileged),
        seccomp: Some(profile(&security.seccomp)),
        selinux_options: security.selinux.as_ref().map(selinux),
    }
}

fn selinux(context: &SeLinux) -> cri::SeLinuxOption {
    let SeLinux { user, role, kind, level } = context.clone();
    cri::SeLinuxOption { user, role, r#type: kind, level }
}

/// A user is given, by number or by name.
const fn names_user(security: &Security) -> bool {
    security.run_as_user.is_some() || !security.run_as_username.is_empty()
}

fn namespaces(namespaces: Namespaces) -> cri::NamespaceOption {
    use cri::NamespaceMode::{Container, Node, Pod};
    let or_host = |host, otherwise| i32::from(if host { Node } else { otherwise });
    cri::NamespaceOption {
        network: or_host(namespaces.host_network, Pod),
        pid: or_host(namespaces.host_pid, if namespaces.share_process { Pod } else { Container }),
        ipc: or_host(namespaces.host_ipc, Pod),
        target_id: String::new(),
    }
}

/// As its sandbox has them, but for the processes of a container that it is to look at.
fn of_its_own(spec: &ContainerSpec) -> cri::NamespaceOption {
    let options = namespaces(spec.namespaces);
    match &spec.target {
        Some(target) => cri::NamespaceOption {
            pid: cri::NamespaceMode::Target.into(),
            target_id: target.0.clone(),
            ..options
        },
        None => options,
    }
}

fn profile(seccomp: &Seccomp) -> cri::SecurityProfile {
    use cri::security_profile::ProfileType;
    let profile_type = match seccomp {
        Seccomp::Unconfined => ProfileType::Unconfined,
        Seccomp::RuntimeDefault => ProfileType::RuntimeDefault,
    };
    cri::SecurityProfile { profile_type: profile_type.into(), localhost_ref: String::new() }
}

/// The paths asked for, or the defaults; a privileged container hides nothing.
fn paths(asked: &[String], defaults: &[&str], privileged: bool) -> Vec<String> {
    match (privileged, asked.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => defaults.iter().map(|path| (*path).to_owned()).collect(),
        (false, false) => asked.to_vec(),
    }
}

const fn number(value: i64) -> cri::Int64Value {
    cri::Int64Value { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::container::tests::sample;
    use cri::NamespaceMode::{Container, Node, Pod};
    use edgecore_pods::runtime::ContainerId;

    #[test]
    fn namespaces_are_the_pods_the_hosts_or_the_containers_own() {
        let check = |given: Namespaces, network, pid, ipc| {
            let got = namespaces(given);
            assert_eq!((got.network(), got.pid(), got.ipc()), (network, pid, ipc), "{given:?}");
        };
        let none = Namespaces::default();
        check(none, Pod, Container, Pod);
        check(Namespaces { share_process: true, ..none }, Pod, Pod, Pod);
        check(Namespaces { host_pid: true, share_process: true, ..none }, Pod, Node, Pod);
        check(Namespaces { host_network: true, host_ipc: true, ..none }, Node, Container, Node);
    }

    #[test]
    fn a_target_lends_its_processes_and_nothing_else() {
        let mut spec = sample();
        spec.namespaces = Namespaces { host_network: true, host_pid: true, ..Namespaces::default() };
        spec.target = Some(ContainerId("t1".to_owned()));
        let got = of_container(&spec).namespace_options.unwrap();
        assert_eq!((got.network(), got.pid(), got.ipc()), (Node, cri::NamespaceMode::Target, Pod));
        assert_eq!(got.target_id, "t1");
        spec.target = None;
        let got = of_container(&spec).namespace_options.unwrap();
        assert_eq!((got.pid(), got.target_id.as_str()), (Node, ""));
    }

    #[test]
    fn a_group_goes_with_a_user_only() {
        let mut spec = sample();
        spec.security.run_as_group = Some(5);
        spec.security.run_as_user = None;
        assert_eq!(of_container(&spec).run_as_group, None);
        spec.security.run_as_username = "nginx".to_owned();
        assert_eq!(of_container(&spec).run_as_username, "nginx");
        assert_eq!(of_container(&spec).run_as_group, Some(number(5)));
        spec.security.run_as_username.clear();
        spec.security.run_as_user = Some(4);
        assert_eq!(of_container(&spec).run_as_group, Some(number(5)));
    }

    #[test]
    fn paths_are_hidden_unless_privileged() {
        let mut spec = sample();
        assert!(of_container(&spec).masked_paths.contains(&"/proc/kcore".to_owned()));
        assert!(of_container(&spec).readonly_paths.contains(&"/proc/sys".to_owned()));
        spec.security.masked_paths = vec!["/x".to_owned()];
        assert_eq!(of_container(&spec).masked_paths, ["/x"]);
        spec.security.privileged = true;
        assert!(of_container(&spec).masked_paths.is_empty() && of_container(&spec).readonly_paths.is_empty());
    }
}
