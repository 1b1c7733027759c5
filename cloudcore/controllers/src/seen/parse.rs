//! Reading the few fields that count. Pure; errors say which field is not as it must be.

use std::sync::Arc;

use kit::WallTime;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{NamespaceSeen, PodSeen};
use crate::connected::{CONNECTED, NodeSeen, Shown};
use crate::endpoint::Endpoint;
use crate::tolerations::TAINTS;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Box<str>,
    uid: Box<str>,
    resource_version: Box<str>,
    #[serde(default)]
    namespace: Box<str>,
    deletion_timestamp: Option<Box<str>>,
    annotations: Option<Annotations>,
    labels: Option<Labels>,
}

#[derive(Deserialize, Default)]
struct Annotations {
    #[serde(rename = "skerry.io/autonomy")]
    autonomy: Option<Box<str>>,
    #[serde(rename = "skerry.io/toleration-seconds")]
    came_with: Option<Box<str>>,
}

#[derive(Deserialize, Default)]
struct Labels {
    #[serde(rename = "node-role.kubernetes.io/edge")]
    edge: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Pod<'a> {
    metadata: Meta,
    #[serde(borrow)]
    spec: PodSpec<'a>,
    status: Option<PodStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec<'a> {
    node_name: Option<Box<str>>,
    #[serde(borrow)]
    tolerations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PodStatus {
    phase: Option<Box<str>>,
}

/// A pod; `None` for one that nothing is to be done about: not bound, being deleted, or over.
pub(super) fn pod(raw: &[u8]) -> Result<(Arc<str>, Option<PodSeen>), String> {
    let pod: Pod<'_> = read(raw)?;
    let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
    let over = matches!(&*phase, "Succeeded" | "Failed");
    let node = pod.spec.node_name.filter(|name| !name.is_empty());
    let meta = pod.metadata;
    let Some(node) = node.filter(|_| !over && meta.deletion_timestamp.is_none()) else {
        return Ok((meta.uid.into(), None));
    };
    let tolerations = pod.spec.tolerations.map_or("[]", RawValue::get);
    if !tolerations.starts_with('[') && tolerations != "null" {
        return Err("spec.tolerations is no list".to_owned());
    }
    let annotations = meta.annotations.unwrap_or_default();
    let seen = PodSeen {
        namespace: meta.namespace,
        name: meta.name,
        version: meta.resource_version,
        node,
        autonomy: annotations.autonomy,
        came_with: annotations.came_with,
        tolerations: tolerations.into(),
        bound: None,
    };
    Ok((meta.uid.into(), Some(seen)))
}

#[derive(Deserialize)]
struct Node {
    metadata: Meta,
    spec: Option<NodeSpec>,
    status: Option<NodeStatus>,
}

#[derive(Deserialize)]
struct NodeSpec {
    taints: Option<Vec<Taint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Taint {
    #[serde(default)]
    key: Box<str>,
    #[serde(default)]
    effect: Box<str>,
    time_added: Option<Box<str>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    conditions: Option<Vec<Condition>>,
    addresses: Option<Vec<Address>>,
    daemon_endpoints: Option<DaemonEndpoints>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    kind: Box<str>,
    address: Box<str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DaemonEndpoints {
    kubelet_endpoint: Option<KubeletEndpoint>,
}

#[derive(Deserialize)]
struct KubeletEndpoint {
    #[serde(rename = "Port")]
    port: u16,
}

impl NodeStatus {
    /// Where its kubelet's API is served; `None` also where it names more than that one address, which is not ours.
    fn endpoint(&self) -> Option<Endpoint> {
        let [address] = self.addresses.as_deref()? else { return None };
        let internal = address.address.parse().ok().filter(|_| &*address.kind == "InternalIP")?;
        Some(Endpoint::new(internal, self.daemon_endpoints.as_ref()?.kubelet_endpoint.as_ref()?.port))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    kind: Box<str>,
    status: Box<str>,
    reason: Box<str>,
    message: Box<str>,
    last_transition_time: Option<Box<str>>,
}

/// A Node.
pub(super) fn node(raw: &[u8]) -> Result<(Arc<str>, NodeSeen), String> {
    let node: Node = read(raw)?;
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    let evicting = taints
        .iter()
        .filter(|taint| &*taint.effect == "NoExecute" && TAINTS.contains(&&*taint.key))
        // One without a time evicts since nobody knows when.
        .map(|taint| taint.time_added.as_deref().and_then(WallTime::parse).unwrap_or_default());
    let tainted = evicting.min();
    let status = node.status.unwrap_or_default();
    let endpoint = status.endpoint();
    let mut conditions = status.conditions.unwrap_or_default();
    let given_up = conditions.iter().any(|one| &*one.kind == "Ready" && &*one.status == "Unknown");
    let at = conditions.iter().position(|one| &*one.kind == CONNECTED);
    let connected = at.map(|at| conditions.swap_remove(at)).map(|condition| Shown {
        status: &*condition.status == "True",
        since: condition.last_transition_time.as_deref().and_then(WallTime::parse),
        reason: condition.reason,
        message: condition.message,
    });
    let meta = node.metadata;
    let edge = meta.labels.unwrap_or_default().edge.is_some();
    let autonomy = meta.annotations.unwrap_or_default().autonomy;
    let seen = NodeSeen {
        name: meta.name,
        version: meta.resource_version,
        edge,
        autonomy,
        tainted,
        given_up,
        connected,
        endpoint,
    };
    Ok((meta.uid.into(), seen))
}

#[derive(Deserialize)]
struct Namespace {
    metadata: Meta,
}

/// A Namespace.
pub(super) fn namespace(raw: &[u8]) -> Result<(Arc<str>, NamespaceSeen), String> {
    let Namespace { metadata } = read(raw)?;
    let autonomy = metadata.annotations.unwrap_or_default().autonomy;
    Ok((metadata.uid.into(), NamespaceSeen { name: metadata.name, autonomy }))
}

fn read<'a, T: Deserialize<'a>>(raw: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(raw).map_err(|error| error.to_string())
}
