//! The tests' own look at the world: at the API server through kubectl, at containerd through CRI, at files inside
//! containers through exec. Nothing here asks Skerry.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{Edge, Lab, host};

mod cri;

pub use cri::ContainerSeen;

/// A pod as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Node it is bound to; empty where it is not.
    pub node: String,
    /// `status.phase`.
    pub phase: String,
    /// Condition Ready is True.
    pub ready: bool,
    /// Being deleted.
    pub deleting: bool,
    /// `status.podIP`; empty where there is none.
    pub ip: String,
    /// Container ids without the runtime's prefix, by container name.
    pub containers: BTreeMap<String, String>,
    /// Sum of restart counts.
    pub restarts: u64,
    /// The whole object.
    pub object: Value,
}

impl PodSeen {
    /// Reads a Pod object.
    pub fn of(object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let statuses = object.pointer("/status/containerStatuses").and_then(Value::as_array);
        let statuses = statuses.map(Vec::as_slice).unwrap_or_default();
        let id = |status: &Value| {
            let id = status["containerID"].as_str().unwrap_or_default();
            (
                status["name"].as_str().unwrap_or_default().to_owned(),
                id.rsplit("://").next().unwrap_or_default().to_owned(),
            )
        };
        Self {
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            node: text("/spec/nodeName"),
            phase: text("/status/phase"),
            ready: condition(object, "Ready").is_some_and(|ready| ready["status"] == "True"),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            ip: text("/status/podIP"),
            containers: statuses.iter().map(id).filter(|(_, id)| !id.is_empty()).collect(),
            restarts: statuses.iter().filter_map(|status| status["restartCount"].as_u64()).sum(),
            object: object.clone(),
        }
    }

    /// The waiting reason of the first container that waits, `""` where none does.
    pub fn waiting(&self) -> &str {
        ["/status/initContainerStatuses", "/status/containerStatuses"]
            .iter()
            .filter_map(|pointer| self.object.pointer(pointer).and_then(Value::as_array))
            .flatten()
            .find_map(|status| status.pointer("/state/waiting/reason").and_then(Value::as_str))
            .unwrap_or_default()
    }

    /// What tells this life of the pod from another: UID, containers and restarts.
    pub fn life(&self) -> (String, BTreeMap<String, String>, u64) {
        (self.uid.clone(), self.containers.clone(), self.restarts)
    }
}

/// A condition of an object by its type.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

impl Lab {
    /// Applies a manifest.
    ///
    /// # Errors
    /// kubectl's words.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        self.kubectl_with_input(&["apply", "-f", "-"], manifest).map(drop)
    }

    /// The pods that match, sorted by name.
    ///
    /// # Errors
    /// kubectl's words.
    pub fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<PodSeen>> {
        let list = self.get(&["pods", "-n", namespace, "-l", selector])?;
        let items = list["items"].as_array().context("a list of pods without items")?;
        let mut pods: Vec<_> = items.iter().map(PodSeen::of).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    /// One pod.
    ///
    /// # Errors
    /// kubectl's words, or there is none.
    pub fn pod(&self, namespace: &str, name: &str) -> Result<PodSeen> {
        Ok(PodSeen::of(&self.get(&["pod", "-n", namespace, name])?))
    }

    /// Waits until exactly `count` pods match and all are Running and Ready, and returns them.
    ///
    /// # Errors
    /// Not within `limit`; the message says what each pod was last.
    pub fn wait_ready(
        &self,
        namespace: &str,
        selector: &str,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<PodSeen>> {
        host::wait_for(&format!("{count} pods of {selector} Ready"), limit, || {
            let pods = self.pods(namespace, selector)?;
            if pods.len() == count
                && pods.iter().all(|pod| pod.ready && pod.phase == "Running" && !pod.deleting)
            {
                return Ok(Some(pods));
            }
            let told: Vec<_> = pods
                .iter()
                .map(|pod| format!("{} {} ready={} {}", pod.name, pod.phase, pod.ready, pod.waiting()))
                .collect();
            bail!("{} pods: {}", pods.len(), told.join(", "))
        })
    }

    /// Waits until a node's Ready condition has this status.
    ///
    /// # Errors
    /// Not within `limit`.
    pub fn wait_node(&self, name: &str, status: &str, limit: Duration) -> Result<()> {
        host::wait(&format!("node {name} Ready={status}"), limit, || {
            let node = self.get(&["node", name])?;
            Ok(condition(&node, "Ready").is_some_and(|ready| ready["status"] == status))
        })
    }

    /// cloudcore's metrics, as the Prometheus of a cluster would read them: with the token of a service account
    /// that may.
    ///
    /// # Errors
    /// cloudcore does not answer, or does not let the account in.
    pub fn metrics(&self, cloud: u32) -> Result<Metrics> {
        self.admin_page(cloud, "/metrics").map(Metrics)
    }

    /// A page of cloudcore's admin endpoint, fetched as [`Self::metrics`] is.
    ///
    /// # Errors
    /// cloudcore does not answer, or not with 200.
    pub fn admin_page(&self, cloud: u32, path: &str) -> Result<String> {
        self.apply(include_str!("view/metrics-reader.yaml"))?;
        let token = self.kubectl(&["create", "token", "metrics-reader", "-n", "default"])?;
        let clouds = self.clouds();
        let cloud = clouds.iter().find(|known| known.n == cloud).context("no such cloudcore")?;
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], cloud.admin_port));
        let bearer = format!("Authorization: Bearer {}", token.trim());
        host::run(&["curl", "-sSf", "-m", "30", "-H", &bearer, &format!("http://{address}{path}")])
    }
}

/// A page of metrics.
#[derive(Debug, Clone)]
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of all series of this name whose labels contain every one of `labels` (as `name="value"`): counters and
    /// gauges of whole things.
    pub fn count(&self, name: &str, labels: &[&str]) -> u64 {
        let series = self.0.lines().filter(|line| !line.starts_with('#'));
        let named =
            series.filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let chosen = named.filter(|line| labels.iter().all(|label| line.contains(label)));
        let whole = |line: &str| line.rsplit(' ').next()?.split('.').next()?.parse::<u64>().ok();
        chosen.filter_map(whole).sum()
    }
}

impl Edge {
    /// Every container that runs on the edge, as containerd says, sorted by id.
    ///
    /// # Errors
    /// containerd does not answer.
    pub fn containers(&self) -> Result<Vec<ContainerSeen>> {
        cri::running(&self.node()?.containerd_socket())
    }

    /// Runs a command in a running container and returns its standard output.
    ///
    /// # Errors
    /// containerd does not answer, or the command fails.
    pub fn exec_in(&self, container: &str, command: &[&str]) -> Result<String> {
        cri::exec(&self.node()?.containerd_socket(), container, command)
    }

    /// The address in a container's network namespace, asked there.
    ///
    /// # Errors
    /// containerd does not answer, or the container has no such address.
    pub fn address_in(&self, container: &str) -> Result<String> {
        let shown = self.exec_in(container, &["ip", "-4", "-o", "address", "show", "dev", "eth0"])?;
        let address = shown.split_whitespace().skip_while(|word| *word != "inet").nth(1);
        let address = address.and_then(|address| address.split('/').next());
        address.map(str::to_owned).with_context(|| format!("{container} has no address: {shown}"))
    }

    /// When a container started, nanoseconds since 1970, as containerd dates it.
    ///
    /// # Errors
    /// containerd does not answer, or has no such container.
    pub fn started_at(&self, container: &str) -> Result<i64> {
        cri::started_at(&self.node()?.containerd_socket(), container)
    }

    /// Fetches `http://ADDRESS:PORT/PATH` from the edge.
    ///
    /// # Errors
    /// Nobody answers, or not with 200.
    pub fn http_get(&self, url: &str) -> Result<String> {
        self.exec(&["curl", "-sSf", "-m", "2", url])
    }
}
