//! A replica that is behind what an edge has seen waits; it goes back only if the cluster itself went back.

use std::time::Duration;

use cloudcore_index::{Index, source};
use cloudcore_kube::watch::WatchHandle;
use cloudcore_kube::{Client, KubeError};
use kit::faults::{self, Fault};
use serde::Deserialize;
use std::collections::BTreeMap;
use wire::{Kind, KindVersion};

use super::within;

/// A watch is given so long to catch up by itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// And so long after it was made to list again.
const RELIST: Duration = Duration::from_secs(8);
/// Longest answer to the read that confirms, in bytes: one object and its envelope.
const MAX_ANSWER: usize = 8 << 20;

#[derive(Deserialize)]
struct List {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: String,
}

/// Returns when the index is as new as what the edge saw, or is known to be the newest there is. The error says, for
/// people, which kind lags.
pub(super) async fn catch_up(
    client: &Client,
    index: &Index,
    watches: &BTreeMap<Kind, WatchHandle>,
    seen: &[KindVersion],
) -> Result<(), String> {
    let seen = if faults::on(Fault::CatchUpSkipped) { &[] } else { seen };
    for version in seen {
        let (Some(kind), Ok(wanted)) = (Kind::parse(&version.kind), version.resource_version.parse::<u128>())
        else {
            continue;
        };
        let caught_up = |index: &Index| index.seen_of(kind).is_some_and(|at| at >= wanted);
        if within(PATIENCE, index.until(caught_up)).await {
            continue;
        }
        match newest(client, kind).await {
            Ok(newest) if newest < wanted => {
                tracing::warn!(%kind, newest, wanted, "the edge saw newer state than the cluster has; following the cluster");
                continue;
            }
            Ok(_) => {}
            Err(error) => return Err(format!("{kind} cannot be read: {}", kit::errors::chain(&error))),
        }
        if let Some(watch) = watches.get(&kind) {
            watch.relist();
        }
        if !within(RELIST, index.until(caught_up)).await {
            return Err(format!("this replica's view of {kind} is older than what the edge saw"));
        }
    }
    Ok(())
}

/// The newest resourceVersion, from a read that the API server confirms with a quorum.
async fn newest(client: &Client, kind: Kind) -> Result<u128, KubeError> {
    let path = format!("{}?limit=1", source(kind).collection.all());
    let bytes = client.get_bytes(&path, MAX_ANSWER).await?;
    let list: List = serde_json::from_slice(&bytes)
        .map_err(|error| KubeError::Decode { request: format!("GET {path}"), source: error })?;
    list.metadata.resource_version.parse().map_err(|_| KubeError::Decode {
        request: format!("GET {path}"),
        source: serde::de::Error::custom("resourceVersion is no number"),
    })
}
