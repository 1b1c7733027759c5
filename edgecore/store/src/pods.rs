//! The pod engine's own memory, and the end of a pod.

use rusqlite::{Connection, OptionalExtension};
use wire::{Kind, Uid};

use crate::error::{Context, StoreError};
use crate::writer::Work;
use crate::{objects, reports, tokens};

/// Nothing of the pod is left: everything of it leaves the store too, unless it is wanted.
pub(crate) fn retire(work: &mut Work<'_>, uid: &str) -> Result<bool, StoreError> {
    if !objects::remove_pod(work, uid)? {
        return Ok(false);
    }
    work.conn
        .prepare_cached("DELETE FROM pod_states WHERE uid = ?1")
        .and_then(|mut remove| remove.execute([uid]))
        .during("retire a pod")?;
    tokens::remove_of(work, uid)?;
    reports::forget_kind(work, Kind::Pod.name(), uid)?;
    Ok(true)
}

/// What is remembered, by UID.
pub(crate) fn states(conn: &Connection) -> Result<Vec<(Uid, Vec<u8>)>, StoreError> {
    conn.prepare_cached("SELECT uid, state FROM pod_states ORDER BY uid")
        .and_then(|mut list| list.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .during("read pod states")
}

/// Remembers, where it differs.
pub(crate) fn put_state(work: &mut Work<'_>, uid: &str, state: &[u8]) -> Result<bool, StoreError> {
    let known: Option<Vec<u8>> = work
        .conn
        .prepare_cached("SELECT state FROM pod_states WHERE uid = ?1")
        .and_then(|mut get| get.query_row([uid], |row| row.get(0)).optional())
        .during("read a pod state")?;
    if known.as_deref() == Some(state) {
        return Ok(false);
    }
    work.conn
        .prepare_cached("INSERT OR REPLACE INTO pod_states (uid, state) VALUES (?1, ?2)")
        .and_then(|mut put| put.execute((uid, state)))
        .during("write a pod state")?;
    Ok(true)
}
