//! What `edgecore status` tells: the node, its link, what it holds for the cloud and what became of the rest.
//!
//! A running agent answers over its local socket; of one that does not run the store is read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use edgecore_store::{LedgerRow, Peek, Refusal, Store, StoreError};
use edgecore_sync::LinkState;
use kit::Clock;
use serde::{Deserialize, Serialize};
use wire::Digest;

/// State of a link whose agent does not run.
const STOPPED: &str = "stopped";

/// What `edgecore status --json` prints. Fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the node.
    pub node: String,
    /// How the link fares.
    pub link: Link,
    /// What the cloud wants, as far as it is here.
    pub desired: Desired,
    /// The accounts, by stream.
    pub streams: Vec<Stream>,
}

/// How the link fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `disconnected`, `connected`, `in_sync`, `refused`, or `stopped` where the agent does not run.
    pub state: String,
    /// Since when, RFC 3339; nobody knows since when an agent does not run.
    pub since: Option<String>,
    /// Why; while connected, to whom.
    pub reason: String,
}

/// What the cloud wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Objects held.
    pub count: u32,
    /// Digest over them, hexadecimal.
    pub digest: String,
}

/// Accounts of a stream: `produced = delivered + superseded + expired + dropped + queued`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// `reports`, or a stream of the journal.
    pub name: String,
    /// Taken in.
    pub produced: u64,
    /// Taken by the cloud.
    pub delivered: u64,
    /// Replaced by a later value before delivery.
    pub superseded: u64,
    /// Of no use any more before delivery.
    pub expired: u64,
    /// Given up, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Still here.
    pub queued: u64,
}

/// All there is to see: the status, and what people want to know beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Version of the agent that answers; empty where none does.
    pub agent: String,
    /// Id of the store: it names the accounts, which a new store begins anew.
    pub ledger: String,
    /// The status.
    pub status: Status,
    /// What the cloud refused for good: the latest, newest first.
    pub refused: Vec<Refused>,
}

/// Something refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When, RFC 3339.
    pub at: String,
    /// `reports`, or a stream of the journal.
    pub stream: String,
    /// The object, or the entry.
    pub about: String,
    /// Why.
    pub reason: String,
}

/// Of the agent that runs here.
pub(crate) fn running(
    node: &str,
    store: &Store,
    link: &LinkState,
    clock: &Clock,
) -> Result<View, StoreError> {
    let (digest, count) = store.digest();
    let ago = i64::try_from(clock.elapsed().since(link.since).as_millis()).unwrap_or(i64::MAX);
    let link = Link {
        state: link.phase.name().to_owned(),
        since: Some(clock.wall().plus_millis(ago.saturating_neg()).rfc3339()),
        reason: link.reason.clone(),
    };
    let view = View {
        agent: crate::app::VERSION.to_owned(),
        ledger: store.meta().store_id,
        status: status(node, link, (digest, count), store.ledger()?),
        refused: refused(store.refusals()?),
    };
    Ok(view)
}

/// Of an agent that does not run.
pub(crate) fn stopped(node: &str, peek: Peek) -> View {
    let link = Link { state: STOPPED.to_owned(), since: None, reason: "edgecore does not run".to_owned() };
    View {
        agent: String::new(),
        ledger: peek.store_id,
        status: status(node, link, (peek.digest, peek.count), peek.ledger),
        refused: refused(peek.refusals),
    }
}

fn status(node: &str, link: Link, (digest, count): (Digest, u32), ledger: Vec<LedgerRow>) -> Status {
    let desired = Desired { count, digest: digest.to_string() };
    let streams = ledger.into_iter().map(|row| Stream {
        name: row.stream,
        produced: row.produced,
        delivered: row.delivered,
        superseded: row.superseded,
        expired: row.expired,
        dropped: row.dropped.into_iter().collect(),
        queued: row.queued,
    });
    Status { node: node.to_owned(), link, desired, streams: streams.collect() }
}

fn refused(refusals: Vec<Refusal>) -> Vec<Refused> {
    let refused = refusals.into_iter();
    refused
        .map(|Refusal { stream, about, reason, at }| Refused { at: at.rfc3339(), stream, about, reason })
        .collect()
}

/// For people.
pub(crate) fn text(view: &View) -> String {
    let View { agent, ledger, status, refused } = view;
    let Status { node, link, desired, streams } = status;
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key:<9}{value}");
    };
    let agent = if agent.is_empty() { String::new() } else { format!(" (edgecore {agent})") };
    line("node", format!("{node}{agent}"));
    let since = link.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    line("link", format!("{}{since}: {}", link.state, link.reason));
    line("desired", format!("{} objects, digest {}", desired.count, desired.digest));
    line("ledger", ledger.clone());
    let row = |cells: [&str; 6]| cells.map(|cell| format!("{cell:>11}")).concat();
    line("", row(["produced", "delivered", "superseded", "expired", "dropped", "queued"]));
    for stream in streams {
        let dropped: u64 = stream.dropped.values().sum();
        let counts =
            [stream.produced, stream.delivered, stream.superseded, stream.expired, dropped, stream.queued];
        let counts = counts.map(|count| count.to_string());
        let mut cells = row(counts.each_ref().map(String::as_str));
        for (reason, n) in &stream.dropped {
            let _ = write!(cells, " {reason} {n}");
        }
        line(&stream.name, cells);
    }
    for Refused { at, stream, about, reason } in refused {
        line("refused", format!("{at} {stream}: {about}: {reason}"));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit::WallTime;

    fn view() -> View {
        let row = LedgerRow {
            stream: "events".to_owned(),
            produced: 9,
            delivered: 4,
            expired: 1,
            dropped: vec![("full".to_owned(), 1), ("refused".to_owned(), 1)],
            queued: 2,
            ..LedgerRow::default()
        };
        let peek = Peek {
            store_id: "the-id".to_owned(),
            digest: Digest(255),
            count: 3,
            ledger: vec![row],
            refusals: vec![Refusal {
                stream: "events".to_owned(),
                about: "entry 7".to_owned(),
                reason: "no".to_owned(),
                at: WallTime(0),
            }],
        };
        stopped("edge-1", peek)
    }

    #[test]
    fn the_json_is_as_documented() {
        assert_eq!(
            serde_json::to_string(&view().status).unwrap(),
            r#"{"node":"edge-1","link":{"state":"stopped","since":null,"reason":"edgecore does not run"},"desired":{"count":3,"digest":"000000000000000000000000000000ff"},"streams":[{"name":"events","produced":9,"delivered":4,"superseded":0,"expired":1,"dropped":{"full":1,"refused":1},"queued":2}]}"#
        );
    }

    #[test]
    fn people_see_the_accounts_and_why_something_was_refused() {
        let text = text(&view());
        for expected in [
            "node     edge-1\n",
            "link     stopped: edgecore does not run\n",
            "ledger   the-id\n",
            "events             9          4          0          1          2          2 full 1 refused 1\n",
            "refused  1970-01-01T00:00:00Z events: entry 7: no",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
    }
}
