//! `GET /configz`: the agent's configuration as far as a kubelet has the same. Fields are those of `KubeletConfiguration`
//! (`kubelet.config.k8s.io/v1beta1`); what this agent does not do as one has no field.

use edgecore_pods::rotation::{MAX_BYTES, MAX_FILES};
use edgecore_pods::spec::sandbox::CGROUP_PARENT;
use serde_json::{Value, json};

use crate::about::About;

/// The configuration.
pub(crate) fn configz(about: &About) -> Value {
    let own = &about.configuration;
    json!({"kubeletconfig": {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": CGROUP_PARENT,
        "clusterDNS": own.cluster_dns,
        "clusterDomain": own.cluster_domain,
        "containerLogMaxFiles": MAX_FILES,
        "containerLogMaxSize": format!("{}Mi", MAX_BYTES >> 20),
        "containerRuntimeEndpoint": own.runtime_endpoint,
        "enableDebuggingHandlers": true,
        "enableSystemLogHandler": false,
        "failSwapOn": false,
        "maxPods": own.max_pods,
        "podLogsDir": about.pod_logs_dir,
        "resolvConf": own.resolv_conf,
    }})
}
