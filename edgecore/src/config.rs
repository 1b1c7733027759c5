//! `edgecore.yaml`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use edgecore_store::Limits;
use kit::config::Config;
use kit::telemetry::{LogFormat, LogLevel};
use link::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use queues::{Queues, StreamQueue, WhenFull};

mod queues;

/// Longest path of a Unix socket that the kernel takes.
const LONGEST_SOCKET: usize = 107;
/// Most pods that may be asked for: with more, nobody has tried it.
const MOST_PODS: u32 = 500;

/// The agent's configuration. `edgecore join` writes the first four keys; every other one has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// Name of the node; its certificate bears the same.
    pub node_name: String,
    /// Where the node keeps everything.
    pub state_dir: PathBuf,
    /// Where the cloud is, until it says so itself.
    pub endpoints: Vec<String>,
    /// Socket of the container runtime.
    pub containerd: String,
    /// Where `/livez`, `/readyz` and `/metrics` are served: a loopback address.
    pub admin: SocketAddr,
    /// Where `edgecore status`, `pods`, `logs` and `exec` ask the running agent: a Unix socket, for root and the agent's own
    /// user, in a folder that nobody else may write.
    pub local_socket: PathBuf,
    /// How much may wait for the cloud.
    pub queues: Queues,
    /// Where logs of containers lie.
    pub pod_logs_dir: PathBuf,
    /// Where links to them lie, for log collectors.
    pub log_links_dir: PathBuf,
    /// Where CNI configurations lie.
    pub cni_conf_dir: PathBuf,
    /// Whether a CNI configuration is written where there is none.
    pub manage_cni: bool,
    /// Servers of the cluster's DNS, as far as it can be reached from this node.
    pub cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster.
    pub cluster_domain: String,
    /// The resolv.conf that pods inherit.
    pub resolv_conf: PathBuf,
    /// Most pods at a time.
    pub max_pods: u32,
    /// Labels of the node, beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            node_name: String::new(),
            state_dir: PathBuf::from("/var/lib/skerry"),
            endpoints: Vec::new(),
            containerd: "unix:///run/containerd/containerd.sock".to_owned(),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 10551)),
            local_socket: PathBuf::from("/run/skerry/edgecore.sock"),
            queues: Queues::default(),
            pod_logs_dir: PathBuf::from("/var/log/pods"),
            log_links_dir: PathBuf::from("/var/log/containers"),
            cni_conf_dir: PathBuf::from("/etc/cni/net.d"),
            manage_cni: true,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            max_pods: 110,
            labels: BTreeMap::new(),
            log_format: LogFormat::default(),
            log_level: LogLevel::default(),
        }
    }
}

impl Config for EdgeConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = pki::check_node_name(&self.node_name) {
            problems.push(format!("nodeName: {}", kit::errors::chain(&error)));
        }
        for (key, path) in [
            ("stateDir", &self.state_dir),
            ("podLogsDir", &self.pod_logs_dir),
            ("logLinksDir", &self.log_links_dir),
            ("cniConfDir", &self.cni_conf_dir),
            ("resolvConf", &self.resolv_conf),
            ("localSocket", &self.local_socket),
        ] {
            if !path.is_absolute() {
                problems.push(format!("{key}: {} is not an absolute path", path.display()));
            }
        }
        if self.endpoints.is_empty() {
            problems.push("endpoints: at least one is needed (edgecore join writes them)".to_owned());
        }
        for text in &self.endpoints {
            if let Err(error) = text.parse::<Endpoint>() {
                problems.push(format!("endpoints: {error}"));
            }
        }
        if !self.containerd.strip_prefix("unix://").is_some_and(|path| path.starts_with('/')) {
            problems.push(format!("containerd: {:?} is not unix:///PATH", self.containerd));
        }
        if !self.admin.ip().is_loopback() {
            problems.push(format!("admin: {} is not a loopback address", self.admin));
        }
        if self.local_socket.as_os_str().len() > LONGEST_SOCKET {
            problems.push(format!("localSocket: longer than {LONGEST_SOCKET} bytes"));
        }
        problems.extend(self.queues.problems());
        if !(1..=MOST_PODS).contains(&self.max_pods) {
            problems.push(format!("maxPods: {} is not from 1 to {MOST_PODS}", self.max_pods));
        }
        if pki::check_node_name(&self.cluster_domain).is_err() {
            problems.push(format!("clusterDomain: {:?} is no domain", self.cluster_domain));
        }
        problems.extend(edgecore_node::label_problems(&self.labels));
        problems
    }
}

impl EdgeConfig {
    /// How much may wait for the cloud.
    pub(crate) fn limits(&self) -> Limits {
        self.queues.limits()
    }
}

/// Key and certificate chain of the node.
pub fn identity_path(state_dir: &Path) -> PathBuf {
    state_dir.join("pki/identity.pem")
}

/// CA certificates the cloud is verified by.
pub fn bundle_path(state_dir: &Path) -> PathBuf {
    state_dir.join("pki/ca.pem")
}

/// The configuration as a file: what identifies the node, and what differs from the defaults.
pub fn render(config: &EdgeConfig) -> anyhow::Result<String> {
    let (Value::Object(ours), Value::Object(defaults)) =
        (serde_json::to_value(config)?, serde_json::to_value(EdgeConfig::default())?)
    else {
        anyhow::bail!("a configuration is not an object");
    };
    let always = ["nodeName", "stateDir", "endpoints", "containerd"];
    let mut lines =
        vec!["# Configuration of edgecore. Keys that are left out have their defaults.".to_owned()];
    // JSON is YAML; one key a line keeps it readable.
    let line = |key: &str, value: &Value| format!("{key}: {value}");
    lines.extend(always.iter().map(|key| line(key, ours.get(*key).unwrap_or(&Value::Null))));
    let others = ours
        .iter()
        .filter(|(key, value)| !always.contains(&key.as_str()) && defaults.get(key.as_str()) != Some(*value));
    lines.extend(others.map(|(key, value)| line(key, value)));
    Ok(lines.join("\n") + "\n")
}

/// Writes the configuration, whole or not at all.
pub fn write(path: &Path, config: &EdgeConfig) -> anyhow::Result<()> {
    use anyhow::Context;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    kit::files::write_atomic(path, render(config)?.as_bytes(), 0o644)
        .with_context(|| format!("cannot write configuration {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined() -> EdgeConfig {
        EdgeConfig {
            node_name: "edge-1".to_owned(),
            endpoints: vec!["wss://cloud.example:10000/v1/connect".to_owned()],
            ..EdgeConfig::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut config = joined();
        assert_eq!(kit::config::parse::<EdgeConfig>(&render(&config).unwrap()).unwrap(), config);
        // Only what differs from the defaults is written besides.
        assert_eq!(render(&config).unwrap().lines().count(), 5);
        config.labels.insert("example.com/zone".to_owned(), "a: \"b\"".to_owned());
        config.labels.insert("plain".to_owned(), "x".to_owned());
        config.labels.remove("example.com/zone");
        config.max_pods = 7;
        config.cluster_dns = vec!["10.0.0.10".parse().unwrap()];
        config.log_level = LogLevel::Debug;
        assert_eq!(kit::config::parse::<EdgeConfig>(&render(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn every_wrong_value_is_named() {
        let wrong = EdgeConfig {
            node_name: "Not A Name".to_owned(),
            state_dir: PathBuf::from("here"),
            endpoints: vec!["http://x".to_owned()],
            containerd: "tcp://1.2.3.4".to_owned(),
            admin: "0.0.0.0:1".parse().unwrap(),
            max_pods: 0,
            local_socket: PathBuf::from(format!("/{}", "x".repeat(LONGEST_SOCKET))),
            cluster_domain: "..".to_owned(),
            labels: BTreeMap::from([("a b".to_owned(), String::new())]),
            ..EdgeConfig::default()
        };
        let problems = wrong.problems().join("\n");
        for key in [
            "nodeName:",
            "stateDir:",
            "endpoints:",
            "containerd:",
            "admin:",
            "maxPods:",
            "localSocket:",
            "clusterDomain:",
            "labels:",
        ] {
            assert!(problems.contains(key), "{key} in {problems}");
        }
        assert_eq!(joined().problems(), Vec::<String>::new());
        assert!(EdgeConfig::default().problems().iter().any(|problem| problem.starts_with("endpoints:")));
    }
}
