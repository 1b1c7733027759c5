//! Pure: the report of the node, `{"annotations", "labels", "status"}`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::conditions::{self, Says};
use crate::config::NodeConfig;
use crate::facts::{Facts, architecture};
use crate::last::Last;
use crate::resources::{allocatable, capacity};

/// The version in `status.nodeInfo.kubeletVersion`: the Kubernetes release whose kubelet this agent stands for, and
/// what it is really. Clients parse it as a semantic version.
pub const KUBELET_VERSION: &str = concat!("v1.33.0-skerry-v", env!("CARGO_PKG_VERSION"));

/// What the report is made of besides configuration and facts.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// The node's own address, where there is one now.
    pub(crate) address: Option<String>,
    /// The container runtime, where it has answered.
    pub(crate) runtime_version: Option<String>,
    /// Conditions.
    pub(crate) conditions: &'a [Says],
    /// Now, RFC 3339.
    pub(crate) now: &'a str,
}

/// The report.
pub(crate) fn report(config: &NodeConfig, facts: &Facts, seen: &Seen<'_>, last: &Last) -> Value {
    // What is not known now is as it was: a cut link takes an address away, and pods keep theirs.
    let address = seen.address.as_ref().or(last.address.as_ref());
    let addresses: Vec<Value> =
        address.into_iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
    let conditions: Vec<Value> =
        seen.conditions.iter().map(|says| conditions::report(says, last, seen.now)).collect();
    let runtime = seen.runtime_version.as_ref().or(last.runtime_version.as_ref());
    json!({
        "annotations": {},
        "labels": labels(config),
        "status": {
            "addresses": addresses,
            "allocatable": allocatable(facts, config.max_pods),
            "capacity": capacity(facts, config.max_pods),
            "conditions": conditions,
            "nodeInfo": {
                "architecture": architecture(std::env::consts::ARCH),
                "bootID": facts.boot_id,
                "containerRuntimeVersion": runtime.map_or("", String::as_str),
                "kernelVersion": facts.kernel,
                "kubeProxyVersion": "",
                "kubeletVersion": KUBELET_VERSION,
                "machineID": facts.machine_id,
                "operatingSystem": "linux",
                "osImage": facts.os_image,
                "systemUUID": facts.system_uuid,
            },
        },
    })
}

/// The operator's labels, and those that say what the node is; the latter win.
fn labels(config: &NodeConfig) -> BTreeMap<String, String> {
    let mut labels = config.labels.clone();
    for (key, value) in [
        ("kubernetes.io/hostname", config.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture(std::env::consts::ARCH)),
        ("node-role.kubernetes.io/edge", ""),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Condition, RuntimeState};
    use crate::pressure::Pressure;

    fn config() -> NodeConfig {
        NodeConfig {
            name: "edge-1".to_owned(),
            labels: [("zone", "a"), ("kubernetes.io/os", "plan9")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            max_pods: 110,
            state_dir: "/s".into(),
            cni_conf_dir: "/c".into(),
            manage_cni: true,
            route_to: Vec::new(),
        }
    }

    fn made(state: &RuntimeState, address: Option<&str>, last: &Last, now: &str) -> Value {
        let conditions = conditions::all(state, None, Pressure::default());
        let seen = Seen {
            address: address.map(str::to_owned),
            runtime_version: state.version.clone(),
            conditions: &conditions,
            now,
        };
        report(&config(), &Facts { cpus: 2, ..Facts::default() }, &seen, last)
    }

    fn good() -> RuntimeState {
        let yes = Condition { status: true, ..Condition::default() };
        RuntimeState {
            answers: Some(true),
            version: Some("containerd://1.6.20".to_owned()),
            runtime: yes.clone(),
            network: yes,
            image_fs: None,
        }
    }

    #[test]
    fn labels_say_what_the_node_is() {
        let report = made(&good(), Some("10.0.0.2"), &Last::default(), "t0");
        assert_eq!(report["labels"]["zone"], "a");
        assert_eq!(report["labels"]["kubernetes.io/os"], "linux");
        assert_eq!(report["labels"]["kubernetes.io/hostname"], "edge-1");
        assert_eq!(report["labels"]["node-role.kubernetes.io/edge"], "");
        assert_eq!(report["status"]["nodeInfo"]["containerRuntimeVersion"], "containerd://1.6.20");
    }

    #[test]
    fn a_restart_with_nothing_new_reports_the_same_bytes() {
        let first = wire::canonical(&made(&good(), Some("10.0.0.2"), &Last::default(), "t0")).unwrap();
        let last = Last::parse(&first);
        let again = wire::canonical(&made(&good(), Some("10.0.0.2"), &last, "t1")).unwrap();
        assert_eq!(first, again);
        // Link down, runtime not asked yet: nothing material.
        let offline = RuntimeState { version: None, ..good() };
        assert_eq!(wire::canonical(&made(&offline, None, &last, "t2")).unwrap(), first);
    }

    #[test]
    fn a_transition_gets_a_time_and_the_others_keep_theirs() {
        let first = wire::canonical(&made(&good(), None, &Last::default(), "t0")).unwrap();
        let down = RuntimeState { answers: Some(false), ..good() };
        let second = made(&down, None, &Last::parse(&first), "t1");
        let since = |kind: &str| {
            let conditions = second["status"]["conditions"].as_array().unwrap();
            conditions.iter().find(|c| c["type"] == kind).unwrap()["lastTransitionTime"].clone()
        };
        assert_eq!(since("Ready"), "t1");
        assert_eq!(since("DiskPressure"), "t0");
    }

    #[test]
    fn the_version_is_a_semantic_one() {
        let (core, pre) = KUBELET_VERSION.strip_prefix('v').unwrap().split_once('-').unwrap();
        assert!(core.split('.').count() == 3 && core.split('.').all(|n| n.parse::<u32>().is_ok()));
        assert!(pre.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)));
    }
}
