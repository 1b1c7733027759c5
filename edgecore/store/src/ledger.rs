//! What became of everything taken in: counters that change in the transaction of the rows they count.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::error::{Context, StoreError};
use crate::types::LedgerRow;
use crate::writer::Work;

/// The stream that reports are counted under.
pub(crate) const REPORTS: &str = "reports";

/// What may become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Produced,
    Delivered,
    Superseded,
    Expired,
    Dropped(&'static str),
}

/// Counts.
pub(crate) fn count(work: &Work<'_>, stream: &str, fate: Fate, n: usize) -> Result<(), StoreError> {
    if n == 0 {
        return Ok(());
    }
    let (state, reason) = match fate {
        Fate::Produced => ("produced", ""),
        Fate::Delivered => ("delivered", ""),
        Fate::Superseded => ("superseded", ""),
        Fate::Expired => ("expired", ""),
        Fate::Dropped(reason) => ("dropped", reason),
    };
    let n = i64::try_from(n).unwrap_or(i64::MAX);
    work.conn
        .prepare_cached(
            "INSERT INTO ledger (stream, state, reason, n) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (stream, state, reason) DO UPDATE SET n = n + ?4",
        )
        .and_then(|mut put| put.execute((stream, state, reason, n)))
        .during("keep its accounts")?;
    Ok(())
}

/// The accounts, by stream.
pub(crate) fn rows(conn: &Connection) -> Result<Vec<LedgerRow>, StoreError> {
    let counted = conn
        .prepare_cached(
            "SELECT stream, state, reason, n FROM ledger
             UNION ALL SELECT 'reports', 'queued', '', count(*) FROM reports WHERE pending = 1
             UNION ALL SELECT stream, 'queued', '', count(*) FROM journal GROUP BY stream
             ORDER BY 1, 2, 3",
        )
        .and_then(|mut list| {
            list.query_map([], |row| {
                let n: i64 = row.get(3)?;
                let key: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((key, u64::try_from(n).unwrap_or(0)))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read its accounts")?;
    let mut rows: BTreeMap<String, LedgerRow> = BTreeMap::new();
    for ((stream, state, reason), n) in counted {
        let row = rows.entry(stream.clone()).or_insert_with(|| LedgerRow { stream, ..LedgerRow::default() });
        match state.as_str() {
            "produced" => row.produced = n,
            "delivered" => row.delivered = n,
            "superseded" => row.superseded = n,
            "expired" => row.expired = n,
            "queued" => row.queued = n,
            _ => row.dropped.push((reason, n)),
        }
    }
    Ok(rows.into_values().collect())
}
