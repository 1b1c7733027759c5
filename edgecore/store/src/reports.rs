//! The outbox of reports: the last value per object, kept after the cloud took it, because it may ask again.

use kit::faults::{self, Fault};
use rusqlite::{Connection, OptionalExtension};
use wire::{Kind, ObjectKey, Uid, Version};

use crate::error::{Context, StoreError};
use crate::ledger::{Fate, Holding, count, hold, holding};
use crate::limits::REPORTS;
use crate::refusals;
use crate::types::{Held, ReportRow};
use crate::writer::{Topic, Work};

/// Keeps the latest value, where it differs from the last. One that would take the outbox over its cap is dropped, and
/// what was reported before stays; nobody need try it again, since the next change is reported anyway.
pub(crate) fn put(work: &mut Work<'_>, key: &ObjectKey, uid: &str, body: &[u8]) -> Result<bool, StoreError> {
    let kind = key.kind.name();
    let last = work
        .conn
        .prepare_cached("SELECT body, name FROM reports WHERE kind = ?1 AND uid = ?2")
        .and_then(|mut get| {
            get.query_row((kind, uid), |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))
                .optional()
        })
        .during("read a report")?;
    if last.as_ref().is_some_and(|(known, name)| known == body && *name == key.name) {
        return Ok(false);
    }
    if !fits(work, last.map_or(0, |(known, _)| known.len()), body.len())? {
        tracing::warn!(%key, bytes = body.len(), "a report was dropped: reports hold as much as they may");
        count(work, REPORTS, Fate::Produced, 1)?;
        count(work, REPORTS, Fate::Dropped("full"), 1)?;
        return Ok(false);
    }
    // What counts between the two sides is less than the whole text: only what both are sure to spell alike.
    let value = serde_json::from_slice(body)
        .map_err(|error| StoreError::Value { what: "a report", reason: error.to_string() })?;
    let hash = wire::owned::report_hash(key.kind, &value);
    let kept = if faults::on(Fault::ReportIdKept) { id(work.conn, kind, uid)? } else { None };
    remove(work, kind, uid, Fate::Superseded)?;
    if key.kind == Kind::Node {
        // A Node is reported without a UID until it has one, and has another when it was made again.
        remove_other_nodes(work, uid)?;
    }
    // A new row, so that it gets a new id: an acknowledgement of the old one must not count for it.
    work.conn
        .prepare_cached(
            "INSERT INTO reports (kind, uid, namespace, name, hash, pending, body, id)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7)",
        )
        .and_then(|mut insert| insert.execute((kind, uid, &key.namespace, &key.name, hash.0, body, kept)))
        .during("write a report")?;
    count(work, REPORTS, Fate::Produced, 1)?;
    hold(work, REPORTS, Holding { queued: 1, bytes: to_i64(body.len() as u64) })?;
    work.effects.insert(Topic::Reports);
    Ok(true)
}

/// Whether a report of so many bytes may take the place of one of `before`.
fn fits(work: &Work<'_>, before: usize, bytes: usize) -> Result<bool, StoreError> {
    let held = u64::try_from(holding(work.conn, REPORTS)?.bytes).unwrap_or(0);
    let after = held.saturating_sub(before as u64).saturating_add(bytes as u64);
    Ok(bytes <= before || after <= work.limits.reports_max_bytes)
}

fn remove_other_nodes(work: &mut Work<'_>, uid: &str) -> Result<(), StoreError> {
    let kind = Kind::Node.name();
    let others: Vec<Uid> = work
        .conn
        .prepare_cached("SELECT uid FROM reports WHERE kind = ?1 AND uid <> ?2")
        .and_then(|mut list| list.query_map((kind, uid), |row| row.get(0))?.collect())
        .during("read reports")?;
    others.into_iter().try_for_each(|other| remove(work, kind, &other, Fate::Superseded))
}

/// Removes a report; where the cloud has not taken it, that is its fate.
fn remove(work: &mut Work<'_>, kind: &str, uid: &str, fate: Fate) -> Result<(), StoreError> {
    let removed: Option<(bool, i64)> = work
        .conn
        .prepare_cached("DELETE FROM reports WHERE kind = ?1 AND uid = ?2 RETURNING pending, length(body)")
        .and_then(|mut delete| delete.query_row((kind, uid), |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .during("remove a report")?;
    let Some((pending, bytes)) = removed else { return Ok(()) };
    let twice = fate == Fate::Superseded && faults::on(Fault::SupersededTwice);
    count(work, REPORTS, fate, usize::from(pending) * (1 + usize::from(twice)))?;
    hold(work, REPORTS, Holding { queued: -i64::from(pending), bytes: -bytes })
}

/// Id of the last report of an object.
fn id(conn: &Connection, kind: &str, uid: &str) -> Result<Option<i64>, StoreError> {
    conn.prepare_cached("SELECT id FROM reports WHERE kind = ?1 AND uid = ?2")
        .and_then(|mut get| get.query_row((kind, uid), |row| row.get(0)).optional())
        .during("read a report")
}

/// Drops the report of an object of any kind.
pub(crate) fn forget(work: &mut Work<'_>, uid: &str) -> Result<(), StoreError> {
    wire::KINDS.into_iter().try_for_each(|kind| forget_kind(work, kind.name(), uid))
}

/// Drops the report of an object.
pub(crate) fn forget_kind(work: &mut Work<'_>, kind: &str, uid: &str) -> Result<(), StoreError> {
    remove(work, kind, uid, Fate::Dropped("object_gone"))
}

/// The cloud took these.
pub(crate) fn acked(work: &mut Work<'_>, ids: &[u64]) -> Result<(), StoreError> {
    let mut delivered = 0;
    for id in ids {
        delivered += work
            .conn
            .prepare_cached("UPDATE reports SET pending = 0 WHERE id = ?1 AND pending = 1")
            .and_then(|mut mark| mark.execute([to_i64(*id)]))
            .during("note a delivery")?;
    }
    count(work, REPORTS, Fate::Delivered, delivered)?;
    hold(work, REPORTS, Holding { queued: -to_i64(delivered as u64), bytes: 0 })
}

/// The cloud will never take this one.
pub(crate) fn refused(work: &mut Work<'_>, id: u64, reason: &str) -> Result<(), StoreError> {
    let about: Option<String> = work
        .conn
        .prepare_cached(
            "UPDATE reports SET pending = 0, refused = ?2 WHERE id = ?1 AND pending = 1
             RETURNING kind || ' ' || ltrim(namespace || '/' || name, '/')",
        )
        .and_then(|mut mark| mark.query_row((to_i64(id), reason), |row| row.get(0)).optional())
        .during("note a refusal")?;
    let Some(about) = about else { return Ok(()) };
    count(work, REPORTS, Fate::Dropped("refused"), 1)?;
    hold(work, REPORTS, Holding { queued: -1, bytes: 0 })?;
    refusals::note(work, REPORTS, &about, reason)
}

/// The last reports of these objects go out again.
pub(crate) fn resend(work: &mut Work<'_>, uids: &[Uid]) -> Result<(), StoreError> {
    let mut again = 0;
    for uid in uids {
        again += work
            .conn
            .prepare_cached("UPDATE reports SET pending = 1, refused = NULL WHERE uid = ?1 AND pending = 0")
            .and_then(|mut mark| mark.execute([uid]))
            .during("send a report again")?;
    }
    if again > 0 {
        work.effects.insert(Topic::Reports);
    }
    // Wanted once more is produced once more, or the accounts would not balance.
    if !faults::on(Fault::ResendUncounted) {
        count(work, REPORTS, Fate::Produced, again)?;
    }
    hold(work, REPORTS, Holding { queued: to_i64(again as u64), bytes: 0 })
}

/// Reports the cloud has not taken.
pub(crate) fn pending(conn: &Connection, after: u64, limit: usize) -> Result<Vec<ReportRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = conn
        .prepare_cached(
            "SELECT id, kind, namespace, name, uid, hash, body FROM reports
             WHERE pending = 1 AND id > ?1 ORDER BY id LIMIT ?2",
        )
        .and_then(|mut list| {
            list.query_map((to_i64(after), limit), row)?.collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read reports")?;
    Ok(rows.into_iter().flatten().collect())
}

/// The last report of the object of that name; the latest where several UIDs bore it.
pub(crate) fn last(conn: &Connection, key: &ObjectKey) -> Result<Option<ReportRow>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT id, kind, namespace, name, uid, hash, body FROM reports
             WHERE kind = ?1 AND namespace = ?2 AND name = ?3 ORDER BY id DESC LIMIT 1",
        )
        .and_then(|mut get| get.query_row((key.kind.name(), &key.namespace, &key.name), row).optional())
        .during("read a report")?;
    Ok(found.flatten())
}

/// A row; `None` where its kind is of another release.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<ReportRow>> {
    let Some(kind) = Kind::parse(&row.get::<_, String>(1)?) else { return Ok(None) };
    Ok(Some(ReportRow {
        id: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
        key: ObjectKey::new(kind, row.get::<_, String>(2)?, row.get::<_, String>(3)?),
        uid: row.get(4)?,
        hash: Version(row.get(5)?),
        body: row.get(6)?,
    }))
}

/// Kind, UID and hash of all.
pub(crate) fn inventory(conn: &Connection) -> Result<Vec<Held>, StoreError> {
    conn.prepare_cached("SELECT kind, uid, hash, refused FROM reports ORDER BY kind, uid")
        .and_then(|mut list| {
            list.query_map([], |row| {
                Ok(Held {
                    kind: row.get(0)?,
                    uid: row.get(1)?,
                    version: Version(row.get(2)?),
                    rejected: row.get(3)?,
                })
            })?
            .collect()
        })
        .during("read reports")
}

fn to_i64(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
