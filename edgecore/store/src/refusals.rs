//! What the cloud refused for good: the latest few, with the reason, for people. All of them are counted in the ledger.

use rusqlite::Connection;

use crate::error::{Context, StoreError};
use crate::types::Refusal;
use crate::writer::Work;

/// Refusals kept.
const KEPT: i64 = 32;
/// Longest reason kept, in bytes.
const REASON: usize = 512;

/// Notes one.
pub(crate) fn note(work: &Work<'_>, stream: &str, about: &str, reason: &str) -> Result<(), StoreError> {
    let end = (0..=REASON.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    let reason = reason.get(..end.unwrap_or(0)).unwrap_or_default();
    let noted = |conn: &Connection| {
        conn.prepare_cached("INSERT INTO refusals (stream, about, reason, wall_ms) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut put| put.execute((stream, about, reason, work.now.wall.0)))?;
        conn.prepare_cached("DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - ?1")
            .and_then(|mut trim| trim.execute([KEPT]))
    };
    noted(work.conn).during("note a refusal").map(drop)
}

/// The latest, newest first.
pub(crate) fn list(conn: &Connection) -> Result<Vec<Refusal>, StoreError> {
    conn.prepare_cached("SELECT stream, about, reason, wall_ms FROM refusals ORDER BY id DESC")
        .and_then(|mut list| {
            list.query_map([], |row| {
                Ok(Refusal {
                    stream: row.get(0)?,
                    about: row.get(1)?,
                    reason: row.get(2)?,
                    at: kit::WallTime(row.get(3)?),
                })
            })?
            .collect()
        })
        .during("read refusals")
}
