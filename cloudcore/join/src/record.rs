//! Identity records: which key is which node. Pure.

use kit::WallTime;
use pki::Spki;
use serde_json::{Value, json};

use crate::errors::{JoinError, Refusal};

const PREFIX: &str = "node-identity-";
/// By what an edge's Node is told from others; no node may set it on itself.
const EDGE_LABEL: &str = "node-role.kubernetes.io/edge";
/// Longest name of a ConfigMap, in bytes.
const MAX_NAME: usize = 253;

/// Which key is a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) node: String,
    pub(crate) spki: Spki,
    /// Grows with every key that is bound to the name.
    pub(crate) generation: u64,
    pub(crate) bound: WallTime,
    /// UID of the Node that this key was last seen with. Where that Node is gone, somebody deleted it.
    pub(crate) node_uid: Option<String>,
    /// When and why it was revoked.
    pub(crate) revoked: Option<(WallTime, String)>,
}

/// Who wants to be a node, by what right.
#[derive(Debug, Clone)]
pub(crate) struct Claim<'a> {
    pub(crate) node: &'a str,
    pub(crate) spki: Spki,
    /// When the token was issued, where it is bound to exactly this name; `None` for a pattern.
    pub(crate) exact: Option<WallTime>,
}

/// What to do about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Binding {
    /// There is none: create this one.
    Create(Record),
    /// It is this key's already, in this generation.
    Keep(u64),
    /// Replace it by this one.
    Rebind(Record),
}

/// Whether the claim holds. Only a token bound to exactly the name, and issued after the name was last bound or
/// revoked, takes it from another key.
pub(crate) fn bind(record: Option<&Record>, claim: &Claim<'_>, now: WallTime) -> Result<Binding, Refusal> {
    let bound = |generation| Record {
        node: claim.node.to_owned(),
        spki: claim.spki,
        generation,
        bound: now,
        node_uid: None,
        revoked: None,
    };
    let Some(record) = record else { return Ok(Binding::Create(bound(1))) };
    if record.spki == claim.spki && record.revoked.is_none() {
        // Whoever hands out a token for just this node wants it, whatever became of its Node before.
        if claim.exact.is_some() && record.node_uid.is_some() {
            return Ok(Binding::Rebind(Record { node_uid: None, ..record.clone() }));
        }
        return Ok(Binding::Keep(record.generation));
    }
    let since = record.revoked.as_ref().map_or(record.bound, |(at, _)| *at);
    if claim.exact.is_some_and(|issued| issued > since) {
        return Ok(Binding::Rebind(bound(record.generation.saturating_add(1))));
    }
    Err(match &record.revoked {
        Some((_, why)) => Refusal::Revoked(record.node.clone(), why.clone()),
        None => Refusal::NameTaken(record.node.clone()),
    })
}

/// Whether a Node that is there may become the claimed one's. Any other kubelet's Node is not for the taking; one of an
/// edge whose record was lost goes to whoever was given its very name, and to nobody who only fits a pattern.
pub(crate) fn may_take(
    node: Option<&Value>,
    record: Option<&Record>,
    claim: &Claim<'_>,
) -> Result<(), Refusal> {
    let Some(node) = node else { return Ok(()) };
    let refused = |why| Err(Refusal::NodeExists(claim.node.to_owned(), why));
    if claim.exact.is_none() {
        return refused("only a token bound to exactly this name may take over the Node of an edge");
    }
    let text = |pointer: &str| node.pointer(pointer).and_then(Value::as_str);
    let uid = text("/metadata/uid");
    let ours = uid.is_some() && record.is_some_and(|record| record.node_uid.as_deref() == uid);
    let edge = node.pointer("/metadata/labels").is_some_and(|labels| labels.get(EDGE_LABEL).is_some());
    if edge || ours {
        return Ok(());
    }
    refused("it has no label node-role.kubernetes.io/edge: it is no edge's")
}

/// Whether a key is this node now; the error says why not.
pub(crate) fn check(record: Option<&Record>, node: &str, spki: Spki) -> Result<(), String> {
    match record {
        None => Err(format!("node {node:?} has no identity record; it must join")),
        Some(Record { revoked: Some((_, why)), .. }) => Err(format!("node {node:?} was revoked: {why}")),
        Some(record) if record.spki != spki => {
            Err(format!("node {node:?} has another key since (generation {})", record.generation))
        }
        Some(_) => Ok(()),
    }
}

/// Name of the ConfigMap; `None` where the node's name is too long for one.
pub(crate) fn object_name(node: &str) -> Option<String> {
    (PREFIX.len() + node.len() <= MAX_NAME).then(|| format!("{PREFIX}{node}"))
}

/// Whether an object of that name is a record.
pub(crate) fn is_record(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The record as a ConfigMap; with a resourceVersion it replaces exactly that version.
pub(crate) fn to_object(record: &Record, namespace: &str, resource_version: Option<&str>) -> Value {
    let mut data = json!({
        "node": record.node,
        "spkiSha256": record.spki.to_string(),
        "generation": record.generation.to_string(),
        "bound": record.bound.0.to_string(),
    });
    if let (Some(uid), Some(data)) = (&record.node_uid, data.as_object_mut()) {
        data.insert("nodeUid".to_owned(), json!(uid));
    }
    if let (Some((at, why)), Some(data)) = (&record.revoked, data.as_object_mut()) {
        data.insert("revoked".to_owned(), json!(at.0.to_string()));
        data.insert("revokedReason".to_owned(), json!(why));
    }
    let mut metadata = json!({
        "name": format!("{PREFIX}{}", record.node),
        "namespace": namespace,
        "labels": { "app.kubernetes.io/managed-by": "skerry" },
    });
    if let (Some(version), Some(metadata)) = (resource_version, metadata.as_object_mut()) {
        metadata.insert("resourceVersion".to_owned(), json!(version));
    }
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
}

/// A new record, as a ConfigMap to be created: for whoever may write into cloudcore's namespace, and so vouches for the
/// key by itself. `node_uid` is the UID of the node's Node.
pub fn identity_record(node: &str, spki: Spki, node_uid: &str, namespace: &str, now: WallTime) -> Value {
    let record = Record {
        node: node.to_owned(),
        spki,
        generation: 1,
        bound: now,
        node_uid: Some(node_uid.to_owned()),
        revoked: None,
    };
    to_object(&record, namespace, None)
}

/// Reads a record.
pub(crate) fn from_object(object: &Value) -> Result<Record, JoinError> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let damaged = |why| JoinError::Damaged { object: format!("ConfigMap {name}"), why };
    let text = |key: &str| object.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
    let millis = |key: &str| text(key).and_then(|text| text.parse().ok()).map(WallTime);
    let node = text("node").ok_or_else(|| damaged("node"))?;
    if name != format!("{PREFIX}{node}") {
        return Err(damaged("it is named after another node"));
    }
    let revoked = if text("revoked").is_some() {
        let at = millis("revoked").ok_or_else(|| damaged("revoked"))?;
        Some((at, text("revokedReason").unwrap_or_default().to_owned()))
    } else {
        None
    };
    Ok(Record {
        node: node.to_owned(),
        spki: text("spkiSha256").and_then(|spki| spki.parse().ok()).ok_or_else(|| damaged("spkiSha256"))?,
        generation: text("generation").and_then(|g| g.parse().ok()).ok_or_else(|| damaged("generation"))?,
        bound: millis("bound").ok_or_else(|| damaged("bound"))?,
        node_uid: text("nodeUid").map(str::to_owned),
        revoked,
    })
}

#[cfg(test)]
#[path = "tests/record.rs"]
mod tests;
