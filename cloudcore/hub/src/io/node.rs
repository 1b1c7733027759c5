//! Whether a node's Node is its own: there, never there yet, deleted, or somebody else's.

use std::sync::Arc;

use cloudcore_index::Object;
use cloudcore_kube::path::NODES;
use kit::WallTime;
use kit::errors::chain;
use serde_json::Value;
use wire::{Kind, Refused, RefusedCode};

use super::Inner;
use super::open::{not_ready, revoked};
use crate::identity::Identities;
use crate::upstream::Upstream;

/// By what an edge's Node is told from others; no node may set it on itself.
const EDGE_LABEL: &str = "node-role.kubernetes.io/edge";
/// A person has to rename one of the two.
const TAKEN_RETRY_MS: u32 = 60_000;

/// What becomes of a session by the Node that the cluster shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The session opens.
    Own,
    /// The Node this key had is deleted.
    Deleted,
    /// It is there, and the index does not have it.
    Unseen,
    /// It is another machine's.
    Foreign,
}

/// Finds the node's Node. What the index lacks is only taken for deleted where the API server says so itself: it may
/// have been unreadable.
pub(super) async fn own<I: Identities, U: Upstream>(
    inner: &Inner<I, U>,
    name: &str,
) -> Result<Option<Arc<Object>>, Refused> {
    let parts = &inner.parts;
    let indexed = parts.index.named(Kind::Node, "", name);
    if indexed.as_ref().is_some_and(|node| node.node().is_some_and(|node| node.edge)) {
        return Ok(indexed);
    }
    let known = parts.identities.node_uid(name).await.map_err(not_ready)?;
    if let (Some(node), Some(known)) = (&indexed, &known)
        && *node.uid == **known
    {
        return Ok(indexed);
    }
    let actual = match parts.client.get(&NODES.object("", name)).await {
        Ok(node) => Some(node),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(not_ready(format!("the Node {name} cannot be read: {}", chain(&error)))),
    };
    let since = parts.identities.since(name).await.map_err(not_ready)?;
    match judge(actual.as_ref(), indexed.is_some(), known.as_deref(), since) {
        Verdict::Own => Ok(indexed),
        // Deleted while nobody was looking: the same as if somebody had. What the edge itself remembers does not
        // count: it may have joined again since.
        Verdict::Deleted => {
            inner.revoke(name).await;
            Err(revoked(format!("the Node {name} was deleted from the cluster")))
        }
        Verdict::Unseen => {
            Err(not_ready(format!("the Node {name} exists, but this replica could not read it yet")))
        }
        Verdict::Foreign => Err(Refused {
            code: RefusedCode::Other.into(),
            reason: format!(
                "the Node {name} is not this edge's: it has no label {EDGE_LABEL} and was not made by it"
            ),
            retry_after_ms: TAKEN_RETRY_MS,
        }),
    }
}

/// `known` is the UID of the Node that the key had, `since` when the key's record was made. A Node without the label
/// that is younger than the record may be the edge's: it is labelled after it is made.
fn judge(actual: Option<&Value>, indexed: bool, known: Option<&str>, since: Option<WallTime>) -> Verdict {
    let Some(node) = actual else {
        return if known.is_some() { Verdict::Deleted } else { Verdict::Own };
    };
    if !indexed && known.is_some() {
        return Verdict::Unseen;
    }
    if node.pointer("/metadata/labels").is_some_and(|labels| labels.get(EDGE_LABEL).is_some()) {
        return Verdict::Own;
    }
    let text = |pointer: &str| node.pointer(pointer).and_then(Value::as_str);
    if let Some(known) = known {
        return if text("/metadata/uid") == Some(known) { Verdict::Own } else { Verdict::Foreign };
    }
    let created = text("/metadata/creationTimestamp").and_then(WallTime::parse);
    match (created, since) {
        (Some(created), Some(since)) if created >= since => Verdict::Own,
        _ => Verdict::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_an_edges_or_was_made_by_it_is_its_own() {
        let plain = json!({"metadata": {"uid": "u", "creationTimestamp": "1970-01-01T00:01:40Z"}});
        let mut edge = plain.clone();
        edge["metadata"]["labels"] = json!({(EDGE_LABEL): ""});
        let at = |second: i64| Some(WallTime(second * 1000));
        assert_eq!(judge(None, false, None, at(1)), Verdict::Own);
        assert_eq!(judge(None, false, Some("u"), at(1)), Verdict::Deleted);
        assert_eq!(judge(Some(&edge), false, Some("u"), at(1)), Verdict::Unseen);
        assert_eq!(judge(Some(&edge), true, None, at(200)), Verdict::Own);
        // Without the label it must be the one that was known, or made since the key joined.
        assert_eq!(judge(Some(&plain), true, Some("u"), at(200)), Verdict::Own);
        assert_eq!(judge(Some(&plain), true, Some("other"), at(1)), Verdict::Foreign);
        assert_eq!(judge(Some(&plain), true, None, at(100)), Verdict::Own);
        assert_eq!(judge(Some(&plain), false, None, at(101)), Verdict::Foreign);
        assert_eq!(judge(Some(&plain), true, None, None), Verdict::Foreign);
    }
}
