//! Kernel parameters of a pod: their names, and which of them touch nobody but the pod.

use k8s_openapi::api::core::v1::Pod;

/// Why upstream's kubelet rejects a pod with a parameter that is not safe.
pub(crate) const FORBIDDEN: &str = "SysctlForbidden";

/// Whose parameter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Namespace {
    Ipc,
    Network,
}

/// Upstream's list of safe parameters (`pkg/kubelet/sysctl/safe_sysctls.go` of 1.37). It leaves out those that a kernel
/// older than 4.15 has not; here the runtime says so, when it does not find them.
const SAFE: [(&str, Namespace); 14] = [
    ("kernel.shm_rmid_forced", Namespace::Ipc),
    ("net.ipv4.ip_local_port_range", Namespace::Network),
    ("net.ipv4.ip_local_reserved_ports", Namespace::Network),
    ("net.ipv4.ip_unprivileged_port_start", Namespace::Network),
    ("net.ipv4.ping_group_range", Namespace::Network),
    ("net.ipv4.tcp_fin_timeout", Namespace::Network),
    ("net.ipv4.tcp_keepalive_intvl", Namespace::Network),
    ("net.ipv4.tcp_keepalive_probes", Namespace::Network),
    ("net.ipv4.tcp_keepalive_time", Namespace::Network),
    ("net.ipv4.tcp_notsent_lowat", Namespace::Network),
    ("net.ipv4.tcp_rmem", Namespace::Network),
    ("net.ipv4.tcp_slow_start_after_idle", Namespace::Network),
    ("net.ipv4.tcp_syncookies", Namespace::Network),
    ("net.ipv4.tcp_wmem", Namespace::Network),
];

/// The name with dots between its parts, as runtimes want it. Where slashes part it, dots belong to the parts' names, and
/// change places with them: `net/ipv4/conf/eno2.100/rp_filter` is `net.ipv4.conf.eno2/100.rp_filter` (sysctl.d(5)).
pub(crate) fn dotted(name: &str) -> String {
    if name.find(['.', '/']).is_none_or(|at| name.get(at..).is_some_and(|rest| rest.starts_with('.'))) {
        return name.to_owned();
    }
    let swapped = |c| match c {
        '/' => '.',
        '.' => '/',
        c => c,
    };
    name.chars().map(swapped).collect()
}

/// Why the pod may not run with the parameters it asks for, in upstream's words; `None` where it may.
pub(crate) fn forbidden(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let shared = |namespace| match namespace {
        Namespace::Ipc => spec.host_ipc == Some(true),
        Namespace::Network => spec.host_network == Some(true),
    };
    spec.security_context.as_ref()?.sysctls.iter().flatten().find_map(|sysctl| {
        let name = dotted(&sysctl.name);
        match SAFE.iter().find(|(safe, _)| *safe == name) {
            None => Some(format!("forbidden sysctl: {name:?} not allowlisted")),
            Some((_, namespace)) if shared(*namespace) => {
                let word = if *namespace == Namespace::Ipc { "IPC" } else { "Net" };
                Some(format!("forbidden sysctl: {name:?} not allowed with host {word} enabled"))
            }
            Some(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn why(sysctl: &str, shares: &[&str]) -> Option<String> {
        let shares = |namespace| shares.contains(&namespace);
        let sysctls = json!([{"name": sysctl, "value": "1"}]);
        forbidden(&pod(&json!({
            "containers": [], "securityContext": {"sysctls": sysctls},
            "hostNetwork": shares("network"), "hostIPC": shares("IPC"),
        })))
    }

    fn pod(spec: &Value) -> Pod {
        serde_json::from_value(json!({"spec": spec})).unwrap()
    }

    #[test]
    fn names_are_parted_by_dots_or_by_slashes() {
        assert_eq!(dotted("kernel/shm_rmid_forced"), "kernel.shm_rmid_forced");
        assert_eq!(dotted("kernel.shm_rmid_forced"), "kernel.shm_rmid_forced");
        assert_eq!(dotted("net/ipv4/conf/eno2.100/rp_filter"), "net.ipv4.conf.eno2/100.rp_filter");
        assert_eq!(dotted("net.ipv4.conf.eno2/100.rp_filter"), "net.ipv4.conf.eno2/100.rp_filter");
        assert_eq!(dotted("alone"), "alone");
    }

    #[test]
    fn only_what_touches_nobody_else_is_allowed() {
        assert_eq!(why("kernel.shm_rmid_forced", &[]), None);
        assert_eq!(why("net/ipv4/tcp_syncookies", &[]), None);
        let unknown = "forbidden sysctl: \"kernel.msgmax\" not allowlisted";
        assert_eq!(why("kernel.msgmax", &[]).as_deref(), Some(unknown));
        let network = "forbidden sysctl: \"net.ipv4.tcp_syncookies\" not allowed with host Net enabled";
        assert_eq!(why("net.ipv4.tcp_syncookies", &["network"]).as_deref(), Some(network));
        assert_eq!(why("net.ipv4.tcp_syncookies", &["IPC"]), None);
        let ipc = "forbidden sysctl: \"kernel.shm_rmid_forced\" not allowed with host IPC enabled";
        assert_eq!(why("kernel/shm_rmid_forced", &["IPC"]).as_deref(), Some(ipc));
    }
}
