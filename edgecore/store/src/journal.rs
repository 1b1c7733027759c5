//! The journal: messages on disk until the cloud has them, a cap of bytes per stream, every loss counted.
//!
//! Order holds among entries of one stream and one priority: they are kept, sent and dropped oldest first. A producer
//! that needs its entries in order (the readings of one device) gives them one priority; what may overtake them (an
//! alarm) gets a higher one.

mod expiry;
mod room;

use std::time::Duration;

use kit::faults::{self, Fault};
use rusqlite::{Connection, OptionalExtension, Row};

pub(crate) use expiry::{expire, next as next_expiry};
use room::NoRoom;

use crate::error::{Context, StoreError};
use crate::ledger::{Fate, Holding, count, hold};
use crate::refusals;
use crate::tokens::{duration, millis, stamp};
use crate::types::{HIGHEST_PRIORITY, JournalEntry, JournalRow};
use crate::writer::{Topic, Work};

/// The longest life, a hundred years: the sum of it and any time must be a whole number.
const LONGEST: Duration = Duration::from_hours(24 * 36_525);

const COLUMNS: &str = "seq, stream, boot_id, elapsed_ms, wall_ms, trusted, priority, expires_after_ms, body";

/// Adds an entry and makes room for it. The outer error is the disk's; the inner one says why the entry was not taken,
/// which counts as produced and dropped: whoever tries again produces another.
pub(crate) fn append(
    work: &mut Work<'_>,
    mut entry: JournalEntry,
) -> Result<Result<u64, StoreError>, StoreError> {
    entry.priority = entry.priority.min(HIGHEST_PRIORITY);
    entry.expires_after = entry.expires_after.map(|life| life.min(LONGEST));
    count(work, entry.stream, Fate::Produced, 1)?;
    if let Some(no_room) = room::make(work, &entry)? {
        count(work, entry.stream, Fate::Dropped(no_room.reason()), 1)?;
        return Ok(Err(not_taken(work, &entry, no_room)));
    }
    let now = work.now;
    let seq: i64 = work
        .conn
        .prepare_cached(
            "INSERT INTO journal (stream, priority, boot_id, elapsed_ms, wall_ms, trusted, expires_after_ms, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING seq",
        )
        .and_then(|mut insert| {
            insert.query_row(
                (
                    entry.stream,
                    entry.priority,
                    &now.boot_id,
                    millis(now.elapsed.0),
                    now.wall.0,
                    now.trusted,
                    entry.expires_after.map(millis),
                    &entry.body,
                ),
                |row| row.get(0),
            )
        })
        .during("write a journal entry")?;
    let bytes = i64::try_from(entry.body.len()).unwrap_or(i64::MAX);
    hold(work, entry.stream, Holding { queued: 1, bytes })?;
    work.effects.insert(Topic::Journal);
    Ok(Ok(u64::try_from(seq).unwrap_or(0)))
}

fn not_taken(work: &Work<'_>, entry: &JournalEntry, no_room: NoRoom) -> StoreError {
    let (stream, max_bytes) = (entry.stream, work.limits.of(entry.stream).max_bytes);
    match no_room {
        NoRoom::TooLarge => StoreError::TooLarge { stream, bytes: entry.body.len(), max_bytes },
        NoRoom::Refused | NoRoom::Outranked => StoreError::StreamFull { stream, max_bytes },
    }
}

/// Entries, oldest first.
pub(crate) fn entries(conn: &Connection, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2"))
        .and_then(|mut list| list.query_map((to_i64(after), limit), decode)?.collect())
        .during("read the journal")
}

/// These entries, in this order; those that are gone are left out.
pub(crate) fn rows(conn: &Connection, seqs: &[u64]) -> Result<Vec<JournalRow>, StoreError> {
    let mut get = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM journal WHERE seq = ?1"))
        .during("read the journal")?;
    let rows = seqs.iter().map(|seq| get.query_row([to_i64(*seq)], decode).optional());
    rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>().during("read the journal")
}

/// Sequence numbers of a stream's entries by priority: of each the first so many above `after`.
pub(crate) fn waiting(
    conn: &Connection,
    stream: &str,
    after: &[u64],
    limit: usize,
) -> Result<Vec<Vec<u64>>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut list = conn
        .prepare_cached(
            "SELECT seq FROM journal WHERE stream = ?1 AND priority = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4",
        )
        .during("read the journal")?;
    let of_priority = |(priority, after): (usize, &u64)| {
        let priority = i64::try_from(priority).unwrap_or(i64::MAX);
        list.query_map((stream, priority, to_i64(*after), limit), |row| {
            Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()
    };
    after.iter().enumerate().map(of_priority).collect::<rusqlite::Result<_>>().during("read the journal")
}

/// The cloud has these.
pub(crate) fn acked(work: &Work<'_>, seqs: &[u64]) -> Result<(), StoreError> {
    seqs.iter().try_for_each(|seq| remove(work, to_i64(*seq), Fate::Delivered).map(drop))?;
    if faults::on(Fault::SequenceReused) {
        work.conn
            .execute_batch(
                "UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(seq), 0) FROM journal) WHERE name = 'journal'",
            )
            .during("forget numbers")?;
    }
    Ok(())
}

/// The cloud will not take this one.
pub(crate) fn refused(work: &Work<'_>, seq: u64, reason: &str) -> Result<(), StoreError> {
    if let Some((stream, _)) = remove(work, to_i64(seq), Fate::Dropped("refused"))? {
        tracing::warn!(stream, seq, reason, "the cloud refused a journal entry");
        refusals::note(work, &stream, &format!("entry {seq}"), reason)?;
    }
    Ok(())
}

/// Removes an entry, if it is still there, and counts it; answers its stream and the length of its body.
fn remove(work: &Work<'_>, seq: i64, fate: Fate) -> Result<Option<(String, usize)>, StoreError> {
    let removed: Option<(String, i64)> = work
        .conn
        .prepare_cached("DELETE FROM journal WHERE seq = ?1 RETURNING stream, length(body)")
        .and_then(|mut delete| delete.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .during("remove a journal entry")?;
    let Some((stream, bytes)) = removed else { return Ok(None) };
    count(work, &stream, fate, 1)?;
    hold(work, &stream, Holding { queued: -1, bytes: -bytes })?;
    Ok(Some((stream, usize::try_from(bytes).unwrap_or(0))))
}

fn decode(row: &Row<'_>) -> rusqlite::Result<JournalRow> {
    let seq: i64 = row.get(0)?;
    Ok(JournalRow {
        seq: u64::try_from(seq).unwrap_or(0),
        stream: row.get(1)?,
        at: stamp(row, 2)?,
        priority: row.get(6)?,
        expires_after: row.get::<_, Option<i64>>(7)?.map(duration),
        body: row.get(8)?,
    })
}

fn to_i64(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
