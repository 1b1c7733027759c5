//! What became of everything taken in, and what is held: counters that change in the transaction of the rows they
//! count.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Context, StoreError};
use crate::limits::{Limits, REPORTS};
use crate::types::LedgerRow;
use crate::writer::Work;

/// What may become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Produced,
    Delivered,
    Superseded,
    Expired,
    Dropped(&'static str),
}

/// What a stream holds, or by how much that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Holding {
    /// Rows that are not delivered.
    pub(crate) queued: i64,
    /// Bytes of bodies on the disk.
    pub(crate) bytes: i64,
}

/// Counts.
pub(crate) fn count(work: &Work<'_>, stream: &str, fate: Fate, n: usize) -> Result<(), StoreError> {
    let (state, reason) = match fate {
        Fate::Produced => ("produced", ""),
        Fate::Delivered => ("delivered", ""),
        Fate::Superseded => ("superseded", ""),
        Fate::Expired => ("expired", ""),
        Fate::Dropped(reason) => ("dropped", reason),
    };
    add(work, stream, state, reason, i64::try_from(n).unwrap_or(i64::MAX))
}

/// What the stream holds changes by so much.
pub(crate) fn hold(work: &Work<'_>, stream: &str, change: Holding) -> Result<(), StoreError> {
    add(work, stream, "queued", "", change.queued)?;
    add(work, stream, "bytes", "", change.bytes)
}

fn add(work: &Work<'_>, stream: &str, state: &str, reason: &str, n: i64) -> Result<(), StoreError> {
    if n == 0 {
        return Ok(());
    }
    work.conn
        .prepare_cached(
            "INSERT INTO ledger (stream, state, reason, n) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (stream, state, reason) DO UPDATE SET n = n + ?4",
        )
        .and_then(|mut put| put.execute((stream, state, reason, n)))
        .during("keep its accounts")?;
    Ok(())
}

/// What a stream holds.
pub(crate) fn holding(conn: &Connection, stream: &str) -> Result<Holding, StoreError> {
    let of = |state: &str| -> Result<i64, StoreError> {
        conn.prepare_cached("SELECT n FROM ledger WHERE stream = ?1 AND state = ?2 AND reason = ''")
            .and_then(|mut get| get.query_row((stream, state), |row| row.get(0)).optional())
            .during("read its accounts")
            .map(Option::unwrap_or_default)
    };
    Ok(Holding { queued: of("queued")?, bytes: of("bytes")? })
}

/// Streams of the journal that hold something.
pub(crate) fn queued(conn: &Connection) -> Result<Vec<String>, StoreError> {
    conn.prepare_cached("SELECT stream FROM ledger WHERE state = 'queued' AND n > 0 AND stream <> 'reports'")
        .and_then(|mut list| list.query_map([], |row| row.get(0))?.collect())
        .during("read its accounts")
}

/// The accounts by stream, also of those streams that nothing came by yet.
pub(crate) fn rows(conn: &Connection, limits: &Limits) -> Result<Vec<LedgerRow>, StoreError> {
    let counted = conn
        .prepare_cached("SELECT stream, state, reason, n FROM ledger ORDER BY 1, 2, 3")
        .and_then(|mut list| {
            list.query_map([], |row| {
                let n: i64 = row.get(3)?;
                let key: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((key, u64::try_from(n).unwrap_or(0)))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read its accounts")?;
    let empty = |stream: &str| LedgerRow { stream: stream.to_owned(), ..LedgerRow::default() };
    let known = limits.streams.keys().copied().chain([REPORTS]);
    let mut rows: BTreeMap<String, LedgerRow> =
        known.map(|stream| (stream.to_owned(), empty(stream))).collect();
    for ((stream, state, reason), n) in counted {
        let row = rows.entry(stream).or_insert_with_key(|stream| empty(stream));
        match state.as_str() {
            "produced" => row.produced = n,
            "delivered" => row.delivered = n,
            "superseded" => row.superseded = n,
            "expired" => row.expired = n,
            "queued" => row.queued = n,
            "bytes" => row.bytes = n,
            _ => row.dropped.push((reason, n)),
        }
    }
    Ok(rows.into_values().collect())
}
