//! Reads from the API server what a session has to send and the index keeps no body of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloudcore_index::{Index, Object, source};
use cloudcore_kube::path::query_value;
use cloudcore_kube::{Client, KubeError};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use wire::Kind;

/// Requests under way, of all sessions together.
const REQUESTS: usize = 16;
/// Longest answer, in bytes: a node's pods are at most a few hundred, an object at most some MiB.
const MAX_ANSWER: usize = 64 << 20;
/// First wait before what is still missing is asked for again, and the longest: the watch is behind, or the API server is.
pub(super) const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// Reads bodies, so many at once.
#[derive(Debug)]
pub(super) struct Bodies {
    requests: Semaphore,
}

impl Bodies {
    pub(super) const fn new() -> Self {
        Self { requests: Semaphore::const_new(REQUESTS) }
    }

    /// Reads the bodies of these objects of a node and offers them to the index. What another session read meanwhile is
    /// not read again. `true` where nothing is missing any more.
    pub(super) async fn read(
        &self,
        client: &Client,
        index: &Index,
        node: &str,
        objects: &[Arc<Object>],
    ) -> bool {
        let lacks = |object: &Arc<Object>| index.lacks(object.key.kind, &object.uid, object.version);
        for (kind, path) in requests(node, objects) {
            // Closed never: this keeps it.
            let Ok(_turn) = self.requests.acquire().await else { return false };
            if !objects.iter().any(|object| object.key.kind == kind && lacks(object)) {
                continue;
            }
            if let Err(error) = offer(client, index, kind, &path).await {
                tracing::warn!(node, %kind, error = kit::errors::chain(&error), "bodies cannot be read yet");
            }
        }
        !objects.iter().any(lacks)
    }
}

/// Requests for these objects of a node: its pods together, everything else by name.
fn requests(node: &str, objects: &[Arc<Object>]) -> BTreeSet<(Kind, String)> {
    objects
        .iter()
        .map(|object| {
            let (kind, key) = (object.key.kind, &object.key);
            let (place, field, value) = if kind == Kind::Pod {
                (source(kind).collection.all(), "spec.nodeName", node)
            } else {
                (source(kind).collection.of(&key.namespace), "metadata.name", key.name.as_str())
            };
            let selector = query_value(&format!("{field}={value}"));
            // From the API server's own cache: what is too old there is of another version, and asked for again.
            (kind, format!("{place}?fieldSelector={selector}&resourceVersion=0"))
        })
        .collect()
}

async fn offer(client: &Client, index: &Index, kind: Kind, path: &str) -> Result<(), KubeError> {
    let bytes = client.get_bytes(path, MAX_ANSWER).await?;
    let list: List<'_> = serde_json::from_slice(&bytes)
        .map_err(|source| KubeError::Decode { request: format!("GET {path}"), source })?;
    for item in list.items {
        // What cannot be read here cannot be read by the watch either, which says so.
        if let Err(reason) = index.offer(kind, item.get().as_bytes()) {
            tracing::debug!(%kind, reason, "an object that was read for its body cannot be read");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wire::{ObjectKey, Version};

    use super::*;

    fn object(kind: Kind, name: &str) -> Arc<Object> {
        let namespace = if kind == Kind::Node { "" } else { "ns" };
        Arc::new(Object {
            key: ObjectKey::new(kind, namespace, name),
            uid: name.into(),
            version: Version::default(),
            body: None,
            resource_version: "1".into(),
            detail: cloudcore_index::Detail::Plain,
        })
    }

    #[test]
    fn pods_are_read_together_and_the_rest_by_name() {
        let objects = [Kind::Pod, Kind::Secret, Kind::Node].into_iter();
        let objects: Vec<_> = objects.flat_map(|kind| [object(kind, "a"), object(kind, "b.c")]).collect();
        let paths: Vec<String> = requests("edge-1", &objects).into_iter().map(|(_, path)| path).collect();
        assert_eq!(
            paths,
            [
                "/api/v1/nodes?fieldSelector=metadata.name%3Da&resourceVersion=0",
                "/api/v1/nodes?fieldSelector=metadata.name%3Db.c&resourceVersion=0",
                "/api/v1/namespaces/ns/secrets?fieldSelector=metadata.name%3Da&resourceVersion=0",
                "/api/v1/namespaces/ns/secrets?fieldSelector=metadata.name%3Db.c&resourceVersion=0",
                "/api/v1/pods?fieldSelector=spec.nodeName%3Dedge-1&resourceVersion=0",
            ]
        );
    }
}
