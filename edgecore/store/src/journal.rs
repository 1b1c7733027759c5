//! The journal: messages on disk until the cloud has them, a cap of bytes per stream, every loss counted.

use std::collections::BTreeMap;

use kit::faults::{self, Fault};
use rusqlite::{Connection, Row};

use crate::error::{Context, StoreError};
use crate::ledger::{Fate, count};
use crate::tokens::{duration, millis, stamp};
use crate::types::{JournalEntry, JournalRow, Stamp};
use crate::writer::{Topic, Work};

/// Bytes of bodies that one stream may hold. An event is about half a kilobyte, so this is some two thousand of them.
pub(crate) const STREAM_CAP: i64 = 1 << 20;

const COLUMNS: &str = "seq, stream, boot_id, elapsed_ms, wall_ms, trusted, priority, expires_after_ms, body";

/// Adds an entry and makes room for it.
pub(crate) fn append(work: &mut Work<'_>, entry: &JournalEntry) -> Result<u64, StoreError> {
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
    count(work, entry.stream, Fate::Produced, 1)?;
    if held(work.conn, entry.stream)? > STREAM_CAP {
        expire(work)?;
        drop_oldest(work, entry.stream)?;
    }
    work.effects.insert(Topic::Journal);
    Ok(u64::try_from(seq).unwrap_or(0))
}

/// Bytes a stream holds.
fn held(conn: &Connection, stream: &str) -> Result<i64, StoreError> {
    conn.prepare_cached("SELECT coalesce(sum(length(body)), 0) FROM journal WHERE stream = ?1")
        .and_then(|mut sum| sum.query_row([stream], |row| row.get(0)))
        .during("measure the journal")
}

/// Drops the oldest entries of a stream until it fits its cap.
fn drop_oldest(work: &mut Work<'_>, stream: &str) -> Result<(), StoreError> {
    let mut over = held(work.conn, stream)? - STREAM_CAP;
    let mut dropped = 0;
    while over > 0 {
        let bytes: i64 = work
            .conn
            .prepare_cached(
                "DELETE FROM journal WHERE seq = (SELECT min(seq) FROM journal WHERE stream = ?1)
                 RETURNING length(body)",
            )
            .and_then(|mut delete| delete.query_row([stream], |row| row.get(0)))
            .during("drop a journal entry")?;
        over -= bytes;
        dropped += 1;
    }
    count(work, stream, Fate::Dropped("full"), dropped)
}

/// Entries, oldest first.
pub(crate) fn entries(conn: &Connection, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2"))
        .and_then(|mut list| list.query_map((after, limit), decode)?.collect())
        .during("read the journal")
}

/// The cloud has these.
pub(crate) fn acked(work: &mut Work<'_>, seqs: &[u64]) -> Result<(), StoreError> {
    seqs.iter().try_for_each(|seq| remove(work, *seq, Fate::Delivered))?;
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
pub(crate) fn refused(work: &mut Work<'_>, seq: u64, reason: &str) -> Result<(), StoreError> {
    tracing::warn!(seq, reason, "the cloud refused a journal entry");
    remove(work, seq, Fate::Dropped("refused"))
}

/// Removes what is of no use any more. Age is elapsed time; where nobody knows it, nothing expires.
pub(crate) fn expire(work: &mut Work<'_>) -> Result<(), StoreError> {
    let mortal = work
        .conn
        .prepare_cached(
            "SELECT seq, boot_id, elapsed_ms, wall_ms, trusted, expires_after_ms FROM journal
             WHERE expires_after_ms IS NOT NULL",
        )
        .and_then(|mut list| {
            list.query_map([], |row| {
                let seq: i64 = row.get(0)?;
                Ok((u64::try_from(seq).unwrap_or(0), stamp(row, 1)?, duration(row.get(5)?)))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read the journal")?;
    let now: &Stamp = work.now;
    for (seq, at, life) in mortal {
        if at.age(now).is_some_and(|age| age > life) {
            remove(work, seq, Fate::Expired)?;
        }
    }
    Ok(())
}

/// Removes an entry, if it is still there, and counts it under its stream.
fn remove(work: &mut Work<'_>, seq: u64, fate: Fate) -> Result<(), StoreError> {
    let mut streams: BTreeMap<String, usize> = BTreeMap::new();
    work.conn
        .prepare_cached("DELETE FROM journal WHERE seq = ?1 RETURNING stream")
        .and_then(|mut delete| {
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            for stream in delete.query_map([seq], |row| row.get::<_, String>(0))? {
                *streams.entry(stream?).or_default() += 1;
            }
            Ok(())
        })
        .during("remove a journal entry")?;
    streams.into_iter().try_for_each(|(stream, n)| count(work, &stream, fate, n))
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
