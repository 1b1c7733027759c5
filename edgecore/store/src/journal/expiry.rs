//! Entries that are of no use any more. Age is elapsed time, as [`crate::Stamp::age`] has it: within a boot the time
//! since it, across boots the difference of wall times that are both trusted. Where nobody knows it, nothing expires.

use std::time::Duration;

use rusqlite::Connection;

use super::remove;
use crate::error::{Context, StoreError};
use crate::ledger::Fate;
use crate::tokens::millis;
use crate::types::Stamp;
use crate::writer::Work;

/// Removes what is past its life; answers whether anything was.
pub(crate) fn expire(work: &Work<'_>) -> Result<bool, StoreError> {
    let dead = dead(work.conn, work.now)?;
    for seq in &dead {
        remove(work, *seq, Fate::Expired)?;
    }
    Ok(!dead.is_empty())
}

fn dead(conn: &Connection, now: &Stamp) -> Result<Vec<i64>, StoreError> {
    let mut dead: Vec<i64> = conn
        .prepare_cached(
            "SELECT seq FROM journal WHERE expires_after_ms IS NOT NULL
             AND boot_id = ?1 AND elapsed_ms + expires_after_ms < ?2",
        )
        .and_then(|mut list| {
            list.query_map((&now.boot_id, millis(now.elapsed.0)), |row| row.get(0))?.collect()
        })
        .during("read the journal")?;
    if now.trusted {
        let of_other_boots: Vec<i64> = conn
            .prepare_cached(
                "SELECT seq FROM journal WHERE expires_after_ms IS NOT NULL AND (boot_id < ?1 OR boot_id > ?1)
                 AND trusted = 1 AND wall_ms + expires_after_ms < ?2",
            )
            .and_then(|mut list| list.query_map((&now.boot_id, now.wall.0), |row| row.get(0))?.collect())
            .during("read the journal")?;
        dead.extend(of_other_boots);
    }
    Ok(dead)
}

/// How long it is until something expires; `None` where nothing will, as far as is known now.
pub(crate) fn next(conn: &Connection, now: &Stamp) -> Result<Option<Duration>, StoreError> {
    let own: Option<i64> = conn
        .prepare_cached(
            "SELECT min(elapsed_ms + expires_after_ms) FROM journal
             WHERE expires_after_ms IS NOT NULL AND boot_id = ?1",
        )
        .and_then(|mut get| get.query_row([&now.boot_id], |row| row.get(0)))
        .during("read the journal")?;
    let own = own.map(|at| at.saturating_sub(millis(now.elapsed.0)));
    let others: Option<i64> = conn
        .prepare_cached(
            "SELECT min(wall_ms + expires_after_ms) FROM journal
             WHERE expires_after_ms IS NOT NULL AND (boot_id < ?1 OR boot_id > ?1) AND trusted = 1",
        )
        .and_then(|mut get| get.query_row([&now.boot_id], |row| row.get(0)))
        .during("read the journal")?;
    let others = others.filter(|_| now.trusted).map(|at| at.saturating_sub(now.wall.0));
    let soonest = own.into_iter().chain(others).min();
    // Past its life is more than at its end.
    Ok(soonest.map(|wait| Duration::from_millis(u64::try_from(wait.saturating_add(1)).unwrap_or(0))))
}
