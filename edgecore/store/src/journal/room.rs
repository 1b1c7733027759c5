//! Making room in a stream that is full, by its policy.

use rusqlite::{Connection, OptionalExtension};

use super::{expiry, remove};
use crate::error::{Context, StoreError};
use crate::ledger::{Fate, holding};
use crate::limits::{OVERHEAD, StreamLimit, WhenFull, cost};
use crate::types::JournalEntry;
use crate::writer::Work;

/// Why an entry is not taken: the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// It alone is larger than the cap.
    TooLarge,
    /// The stream is full and refuses.
    Refused,
    /// The stream is full of entries that are worth more.
    Outranked,
}

impl NoRoom {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Refused => "refused_full",
            Self::Outranked => "full",
        }
    }
}

/// Makes room for an entry, or says why there is none; then nothing but what is expired has left.
pub(super) fn make(work: &mut Work<'_>, entry: &JournalEntry) -> Result<Option<NoRoom>, StoreError> {
    let limit = work.limits.of(entry.stream);
    if cost(entry.body.len()) > limit.max_bytes {
        return Ok(Some(NoRoom::TooLarge));
    }
    if over(work.conn, limit, entry)? == 0 {
        return Ok(None);
    }
    expiry::expire(work)?;
    let over = over(work.conn, limit, entry)?;
    if over == 0 {
        return Ok(None);
    }
    match limit.when_full {
        WhenFull::Refuse => return Ok(Some(NoRoom::Refused)),
        WhenFull::DropOldest => drop_oldest(work, entry.stream, over)?,
        WhenFull::DropLowestPriority => match lowest(work.conn, entry, over)? {
            Some(seqs) => seqs.into_iter().try_for_each(|seq| drop_one(work, seq).map(drop))?,
            None => return Ok(Some(NoRoom::Outranked)),
        },
    }
    Ok(None)
}

/// By how many bytes the stream would be over its cap with the entry.
fn over(conn: &Connection, limit: StreamLimit, entry: &JournalEntry) -> Result<u64, StoreError> {
    let holding = holding(conn, entry.stream)?;
    let [queued, bytes] = [holding.queued, holding.bytes].map(|n| u64::try_from(n).unwrap_or(0));
    let held = bytes.saturating_add(queued.saturating_mul(OVERHEAD));
    Ok(held.saturating_add(cost(entry.body.len())).saturating_sub(limit.max_bytes))
}

fn drop_oldest(work: &Work<'_>, stream: &str, mut over: u64) -> Result<(), StoreError> {
    while over > 0 {
        let Some(oldest) = oldest(work.conn, stream)? else { return Ok(()) };
        over = over.saturating_sub(drop_one(work, oldest)?);
    }
    Ok(())
}

/// The oldest entry of a stream: that of the ten priorities.
fn oldest(conn: &Connection, stream: &str) -> Result<Option<i64>, StoreError> {
    conn.prepare_cached(
        "WITH priorities (p) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))
         SELECT min((SELECT min(seq) FROM journal WHERE stream = ?1 AND priority = p)) FROM priorities",
    )
    .and_then(|mut get| get.query_row([stream], |row| row.get(0)).optional())
    .during("read the journal")
    .map(Option::flatten)
}

/// Entries of the entry's priority or lower, lowest and oldest first, that make up for so many bytes; `None` where all
/// of them would not.
fn lowest(conn: &Connection, entry: &JournalEntry, over: u64) -> Result<Option<Vec<i64>>, StoreError> {
    let mut statement = conn
        .prepare_cached(
            "SELECT seq, length(body) FROM journal WHERE stream = ?1 AND priority <= ?2 ORDER BY priority, seq",
        )
        .during("read the journal")?;
    let mut rows = statement.query((entry.stream, entry.priority)).during("read the journal")?;
    let (mut seqs, mut freed) = (Vec::new(), 0);
    while freed < over {
        let Some(row) = rows.next().during("read the journal")? else { return Ok(None) };
        seqs.push(row.get(0).during("read the journal")?);
        let bytes: i64 = row.get(1).during("read the journal")?;
        freed += cost(usize::try_from(bytes).unwrap_or(0));
    }
    Ok(Some(seqs))
}

/// Drops an entry; answers what it cost.
fn drop_one(work: &Work<'_>, seq: i64) -> Result<u64, StoreError> {
    let removed = remove(work, seq, Fate::Dropped("full"))?;
    Ok(removed.map_or(0, |(_, bytes)| cost(bytes)))
}
