//! Makes simulated nodes members of the cluster: the Node, and the identity record that says which key it is. Written as
//! the cluster's admin, in bulk; the product has no door for it but the one that admins have.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use cloudcore_join::identity_record;
use cloudcore_kube::path::{CONFIG_MAPS, Collection, NODES};
use cloudcore_kube::{Client, KubeError};
use kit::WallTime;
use pki::Identity;
use serde_json::{Value, json};

use super::reports::{LABEL, node_labels, node_status};
use crate::cloud::NAMESPACE;

/// Longest list, in bytes: ten thousand Nodes are some 30 MB.
const LIST: usize = 256 << 20;
/// Tries of one write while the API server asks for patience.
const TRIES: u32 = 20;

/// What is there already, from an earlier run.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// UID by the Node's name.
    nodes: BTreeMap<String, String>,
    /// Key and the Node's UID by the record's name.
    records: BTreeMap<String, (String, String)>,
}

impl Known {
    pub(super) async fn read(client: &Client) -> Result<Self> {
        let nodes = list(client, NODES, &format!("{}?labelSelector={LABEL}", NODES.all())).await?;
        let records = list(client, CONFIG_MAPS, &CONFIG_MAPS.of(NAMESPACE)).await?;
        let text = |object: &Value, pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let record = |object: &Value| {
            let of = (text(object, "/data/spkiSha256"), text(object, "/data/nodeUid"));
            (text(object, "/metadata/name"), of)
        };
        Ok(Self {
            nodes: nodes
                .iter()
                .map(|node| (text(node, "/metadata/name"), text(node, "/metadata/uid")))
                .collect(),
            records: records.iter().filter(|of| of.pointer("/data/revoked").is_none()).map(record).collect(),
        })
    }

    /// Makes what is missing of a node, and answers the UID of its Node.
    pub(super) async fn admit(&self, client: &Client, identity: &Identity, now: WallTime) -> Result<String> {
        let node = &identity.node;
        let uid = match self.nodes.get(node) {
            Some(uid) => uid.clone(),
            None => made(client, &NODES.all(), &new_node(node, now)).await?,
        };
        let record = identity_record(node, identity.spki, &uid, NAMESPACE, now);
        let name =
            record.pointer("/metadata/name").and_then(Value::as_str).context("a record without a name")?;
        match self.records.get(name) {
            Some((spki, of)) if *spki == identity.spki.to_string() && *of == uid => {}
            Some(_) => {
                let path = CONFIG_MAPS.object(NAMESPACE, name);
                insist(|| client.replace::<Value>(&path, &record)).await?;
            }
            None => drop(made(client, &CONFIG_MAPS.of(NAMESPACE), &record).await?),
        }
        Ok(uid)
    }
}

fn new_node(node: &str, now: WallTime) -> Value {
    let mut status = node_status(node);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastHeartbeatTime"] = json!(now.rfc3339());
        condition["lastTransitionTime"] = json!(now.rfc3339());
    }
    let metadata = json!({"name": node, "labels": node_labels(node)});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status})
}

/// Creates an object and answers its UID. One that is there already was made by a try whose answer was lost.
async fn made(client: &Client, collection: &str, object: &Value) -> Result<String> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let path = format!("{collection}/{name}");
    let created = insist(|| async {
        match client.create::<Value>(collection, object).await {
            Err(error) if error.is_already_exists() => client.get(&path).await,
            done => done,
        }
    })
    .await?;
    let uid = created.pointer("/metadata/uid").and_then(Value::as_str);
    uid.map(str::to_owned).context("the API server made an object without a UID")
}

/// Tries again while the API server is busy.
pub(crate) async fn insist<T, F>(write: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T, KubeError>>,
{
    for attempt in 1..=TRIES {
        match write().await {
            Ok(done) => return Ok(done),
            Err(error) if attempt < TRIES && is_busy(&error) => {
                tokio::time::sleep(std::time::Duration::from_millis(100) * attempt).await;
            }
            Err(error) => bail!("{}", kit::errors::chain(&error)),
        }
    }
    bail!("the API server stayed busy")
}

fn is_busy(error: &KubeError) -> bool {
    if let KubeError::Api { status, .. } = error {
        return status.code == 429 || status.code >= 500;
    }
    matches!(error, KubeError::Timeout { .. } | KubeError::Transport { .. })
}

async fn list(client: &Client, what: Collection, path: &str) -> Result<Vec<Value>> {
    let answer =
        client.get_bytes(path, LIST).await.with_context(|| format!("cannot list {}", what.plural))?;
    let mut list: Value = serde_json::from_slice(&answer)?;
    let items = list.get_mut("items").map(Value::take);
    ensure!(items.as_ref().is_some_and(Value::is_array), "a list of {} without items", what.plural);
    Ok(serde_json::from_value(items.unwrap_or_default())?)
}
