//! The configuration file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use kit::config::Config;
use kit::telemetry::{LogFormat, LogLevel};
use serde::Deserialize;

/// What `--config` names. Every key may be left out but `endpoints` and `joinEndpoints`; a key that is not known is
/// an error.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Kubeconfig; without one the service account of the pod this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the CA, join tokens and identity records.
    pub namespace: String,
    /// Where edges connect to.
    pub listen: SocketAddr,
    /// Where nodes join.
    pub join: SocketAddr,
    /// `/livez`, `/readyz` and `/metrics`.
    pub admin: SocketAddr,
    /// What edges are told to connect to: `wss://HOST:PORT/v1/connect`, best first.
    pub endpoints: Vec<String>,
    /// What join tokens name: `https://HOST:PORT`.
    pub join_endpoints: Vec<String>,
    /// Names and addresses that the serving certificate is for, besides those of the endpoints.
    pub server_names: Vec<String>,
    /// Name of this replica.
    pub replica: String,
    /// Where the API server reaches the kubelet's API of nodes, each on a port of its own: an address of this machine or
    /// pod. Without one, the address from which this replica reaches the API server.
    pub kubelet_address: Option<IpAddr>,
    /// How long pods stay on an edge that is away, where no annotation `skerry.io/autonomy` says otherwise: `forever`,
    /// `off`, or a time such as `24h`.
    pub autonomy: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
}

impl Default for Settings {
    fn default() -> Self {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            kubeconfig: None,
            namespace: "skerry-system".to_owned(),
            listen: any(10_000),
            join: any(10_002),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 10_010)),
            endpoints: Vec::new(),
            join_endpoints: Vec::new(),
            server_names: Vec::new(),
            kubelet_address: None,
            replica: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            autonomy: "forever".to_owned(),
            log_format: LogFormat::default(),
            log_level: LogLevel::default(),
        }
    }
}

impl Config for Settings {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.namespace.is_empty() || self.namespace.len() > 63 {
            problems.push("namespace: must be the name of a namespace".to_owned());
        }
        if self.replica.is_empty() || self.replica.len() > 253 {
            problems.push("replica: must be 1 to 253 characters long".to_owned());
        }
        for (key, urls, scheme) in
            [("endpoints", &self.endpoints, "wss"), ("joinEndpoints", &self.join_endpoints, "https")]
        {
            if urls.is_empty() {
                problems.push(format!("{key}: at least one is needed"));
            }
            for url in urls {
                let parsed = url.parse::<http::Uri>().ok();
                let fits = parsed.as_ref().is_some_and(|uri| {
                    uri.scheme_str() == Some(scheme) && uri.host().is_some_and(|host| !host.is_empty())
                });
                if !fits {
                    problems.push(format!("{key}: {url:?} is no {scheme}:// address"));
                }
            }
        }
        for url in &self.endpoints {
            if let Err(error) = url.parse::<link::Endpoint>() {
                problems.push(format!("endpoints: {}", kit::errors::chain(&error)));
            }
        }
        if let Err(why) = cloudcore_controllers::policy::parse(&self.autonomy) {
            problems.push(format!("autonomy: {why}"));
        }
        if self.kubelet_address.is_some_and(|address| address.is_unspecified() || address.is_multicast()) {
            problems.push("kubeletAddress: must be an address that the API server can reach".to_owned());
        }
        if self.server_names.iter().any(String::is_empty) {
            problems.push("serverNames: must not be empty".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_little() {
        let settings: Settings = kit::config::parse(
            "endpoints: ['wss://10.0.0.1:10000/v1/connect']\njoinEndpoints: ['https://10.0.0.1:10002']",
        )
        .unwrap();
        assert_eq!(
            (settings.listen.port(), settings.join.port(), settings.admin.port()),
            (10_000, 10_002, 10_010)
        );
        assert!(settings.admin.ip().is_loopback() && !settings.replica.is_empty());
    }

    #[test]
    fn every_problem_is_named() {
        let error = kit::config::parse::<Settings>(
            "namespace: ''\nendpoints: ['https://x']\nautonomy: soon\nkubeletAddress: 0.0.0.0",
        )
        .unwrap_err()
        .to_string();
        for key in ["namespace:", "endpoints:", "joinEndpoints:", "autonomy: \"soon\"", "kubeletAddress:"] {
            assert!(error.contains(key), "{error}");
        }
        assert!(kit::config::parse::<Settings>("endpoint: x").is_err());
    }
}
