//! A replica that is behind what an edge has seen waits; it goes back only if the cluster itself went back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cloudcore_index::{Index, source};
use cloudcore_kube::{Client, KubeError};
use kit::faults::{self, Fault};
use kit::{Clock, Elapsed};
use serde::Deserialize;
use wire::{Kind, KindVersion};

use super::{Parts, within};

/// What a quorum read said is believed for so long.
const FRESH: Duration = Duration::from_secs(10);
/// All watches together are given so long to catch up by themselves.
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

/// What quorum reads said lately of how far the cluster is. After etcd was restored every edge has seen newer state than
/// there is; one read answers for all of them.
#[derive(Debug, Default)]
pub(super) struct Newest {
    read: Mutex<BTreeMap<Kind, (u128, Elapsed)>>,
}

impl Newest {
    fn recall(&self, kind: Kind, now: Elapsed) -> Option<u128> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(&kind).filter(|(_, at)| now.since(*at) < FRESH).map(|(newest, _)| *newest)
    }

    async fn ask(&self, client: &Client, kind: Kind, clock: &Clock) -> Result<u128, KubeError> {
        let now = clock.elapsed();
        let newest = newest(client, kind).await?;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, (newest, now));
        Ok(newest)
    }
}

/// Returns when the index is as new as what the edge saw, or is known to be the newest there is. The error says, for
/// people, which kind lags.
pub(super) async fn catch_up<I, U>(
    parts: &Parts<I, U>,
    known: &Newest,
    seen: &[KindVersion],
) -> Result<(), String> {
    let seen = if faults::on(Fault::CatchUpSkipped) { &[] } else { seen };
    let wanted: Vec<(Kind, u128)> = seen
        .iter()
        .filter_map(|seen| Some((Kind::parse(&seen.kind)?, seen.resource_version.parse().ok()?)))
        .collect();
    let index = &parts.index;
    let reached =
        |index: &Index, kind: Kind, version: u128| index.seen_of(kind).is_some_and(|at| at >= version);
    let lags = |index: &Index| {
        let now = parts.clock.elapsed();
        let ahead = wanted.iter().filter(|(kind, wanted)| !reached(index, *kind, *wanted));
        let mut unknown = ahead.filter(|(kind, wanted)| {
            let newest = known.recall(*kind, now);
            !newest.is_some_and(|newest| newest < *wanted && reached(index, *kind, newest))
        });
        unknown.next().is_some()
    };
    if within(PATIENCE, index.until(|index| !lags(index))).await {
        return Ok(());
    }
    for (kind, wanted) in wanted.iter().copied().filter(|(kind, wanted)| !reached(index, *kind, *wanted)) {
        let newest = known.ask(&parts.client, kind, &parts.clock).await;
        let newest =
            newest.map_err(|error| format!("{kind} cannot be read: {}", kit::errors::chain(&error)))?;
        if newest < wanted {
            tracing::warn!(%kind, newest, wanted, "the edge saw newer state than the cluster has; following the cluster");
        }
        let there_is = newest.min(wanted);
        if reached(index, kind, there_is) {
            continue;
        }
        if let Some(watch) = parts.watches.get(&kind) {
            watch.relist();
        }
        if !within(RELIST, index.until(|index| reached(index, kind, there_is))).await {
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
