//! What the cloud wants: rows, and the digest that changes with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use kit::faults::{self, Fault};
use rusqlite::{Connection, OptionalExtension, Row};
use wire::{Digest, Kind, ObjectKey, Version};

use crate::error::{Context, StoreError};
use crate::names::named;
use crate::seal::Seal;
use crate::types::{Applied, Change, Held, Object};
use crate::writer::{Topic, Work};

/// Wanted, and counted in the digest.
const WANTED: i64 = 0;
/// A pod no longer wanted that may still run.
const DELETING: i64 = 1;
/// No longer wanted, kept because a pod here names it.
const KEPT: i64 = 2;

const COLUMNS: &str = "kind, uid, namespace, name, state, body_version, body, key_id";

// === writing ===

/// Applies a batch.
pub(crate) fn apply(work: &mut Work<'_>, batch: &[Change]) -> Result<Applied, StoreError> {
    let mut changed = 0;
    let mut sweep = false;
    for change in batch {
        let hit = match change {
            Change::Upsert { key, uid, version, body } => upsert(work, key, uid, *version, body)?,
            Change::Delete { kind, uid } => {
                sweep = true;
                delete(work, kind, uid)?
            }
            Change::Reject { .. } => {
                // What was deleted a moment ago must not come back as what a rejected object goes on with.
                if std::mem::take(&mut sweep) {
                    sweep_kept(work)?;
                }
                reject(work, change)?
            }
            Change::Seen { kind, resource_version } => {
                work.note_seen(kind, resource_version);
                false
            }
        };
        changed += usize::from(hit);
    }
    if sweep {
        sweep_kept(work)?;
    }
    Ok(Applied { digest: work.state.digest, count: work.state.count, changed })
}

/// What a change must know of the row it meets.
struct Known {
    state: i64,
    version: Version,
    body_version: Option<Version>,
    has_body: bool,
    rejected: bool,
}

fn known(conn: &Connection, kind: &str, uid: &str) -> Result<Option<Known>, StoreError> {
    conn.prepare_cached(
        "SELECT state, version, body_version, body IS NOT NULL, rejected IS NOT NULL
         FROM objects WHERE kind = ?1 AND uid = ?2",
    )
    .and_then(|mut get| {
        get.query_row((kind, uid), |row| {
            Ok(Known {
                state: row.get(0)?,
                version: version(row, 1)?.unwrap_or_default(),
                body_version: version(row, 2)?,
                has_body: row.get(3)?,
                rejected: row.get(4)?,
            })
        })
        .optional()
    })
    .during("read an object")
}

fn upsert(
    work: &mut Work<'_>,
    key: &ObjectKey,
    uid: &str,
    version: Version,
    body: &[u8],
) -> Result<bool, StoreError> {
    let kind = key.kind.name();
    let known = known(work.conn, kind, uid)?;
    if let Some(known) = &known {
        let wanted = known.state == WANTED && !known.rejected;
        if wanted && known.version == version && known.body_version == Some(version) {
            return Ok(false);
        }
        count_out(work, kind, uid, known);
    }
    let (body, key_id) = if key.kind == Kind::Secret {
        (work.seal.seal(&about(kind, uid), body)?, Some(work.seal.id()))
    } else {
        (body.to_vec(), None)
    };
    work.conn
        .prepare_cached(
            "INSERT INTO objects (kind, uid, namespace, name, state, version, rejected, body_version, body, key_id)
             VALUES (?1, ?2, ?3, ?4, 0, ?5, NULL, ?5, ?6, ?7)
             ON CONFLICT (kind, uid) DO UPDATE SET namespace = ?3, name = ?4, state = 0, version = ?5,
                 rejected = NULL, body_version = ?5, body = ?6, key_id = ?7",
        )
        .and_then(|mut put| put.execute((kind, uid, &key.namespace, &key.name, version.0, body, key_id)))
        .during("write an object")?;
    count_in(work, kind, uid, version);
    Ok(true)
}

fn delete(work: &mut Work<'_>, kind: &str, uid: &str) -> Result<bool, StoreError> {
    let Some(known) = known(work.conn, kind, uid)? else { return Ok(false) };
    if known.state != WANTED {
        return Ok(false);
    }
    count_out(work, kind, uid, &known);
    let stays = match Kind::parse(kind) {
        Some(Kind::Pod) => Some(DELETING),
        Some(Kind::ConfigMap | Kind::Secret | Kind::ServiceAccount) => Some(KEPT),
        Some(Kind::Node | Kind::Service) | None => None,
    };
    match stays.filter(|_| known.has_body) {
        Some(state) => work
            .conn
            .prepare_cached("UPDATE objects SET state = ?3, rejected = NULL WHERE kind = ?1 AND uid = ?2")
            .and_then(|mut mark| mark.execute((kind, uid, state))),
        None => work
            .conn
            .prepare_cached("DELETE FROM objects WHERE kind = ?1 AND uid = ?2")
            .and_then(|mut remove| remove.execute((kind, uid))),
    }
    .during("delete an object")?;
    touch(work, kind);
    Ok(true)
}

fn reject(work: &mut Work<'_>, change: &Change) -> Result<bool, StoreError> {
    let Change::Reject { kind, namespace, name, uid, version, reason } = change else { return Ok(false) };
    let known = known(work.conn, kind, uid)?;
    if let Some(known) = &known {
        if known.state == WANTED && known.rejected && known.version == *version {
            return Ok(false);
        }
        count_out(work, kind, uid, known);
    }
    work.conn
        .prepare_cached(
            "INSERT INTO objects (kind, uid, namespace, name, state, version, rejected)
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)
             ON CONFLICT (kind, uid) DO UPDATE SET state = 0, version = ?5, rejected = ?6",
        )
        .and_then(|mut put| put.execute((kind, uid, namespace, name, version.0, reason)))
        .during("write a rejection")?;
    if !faults::on(Fault::RejectedForgotten) {
        count_in(work, kind, uid, *version);
    }
    Ok(true)
}

/// Removes the row of a pod that is gone from the machine; `false` where it is wanted.
pub(crate) fn remove_pod(work: &mut Work<'_>, uid: &str) -> Result<bool, StoreError> {
    let kind = Kind::Pod.name();
    match known(work.conn, kind, uid)? {
        Some(known) if known.state == WANTED => return Ok(false),
        Some(_) => {
            work.conn
                .prepare_cached("DELETE FROM objects WHERE kind = ?1 AND uid = ?2")
                .and_then(|mut remove| remove.execute((kind, uid)))
                .during("retire a pod")?;
            touch(work, kind);
            sweep_kept(work)?;
        }
        None => {}
    }
    Ok(true)
}

/// Removes what was kept for pods and is named by none any more, or has a successor of the same name.
fn sweep_kept(work: &mut Work<'_>) -> Result<(), StoreError> {
    let kept = work
        .conn
        .prepare_cached(
            "SELECT o.id, o.kind, o.namespace, o.name, EXISTS (SELECT 1 FROM objects s WHERE s.kind = o.kind
                 AND s.namespace = o.namespace AND s.name = o.name AND s.state = 0 AND s.body IS NOT NULL)
             FROM objects o WHERE o.state = ?1",
        )
        .and_then(|mut list| {
            list.query_map([KEPT], |row| {
                let key = (row.get::<_, String>(2)?, row.get::<_, String>(1)?, row.get::<_, String>(3)?);
                Ok((row.get::<_, i64>(0)?, key, row.get::<_, bool>(4)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read what is kept")?;
    if kept.is_empty() {
        return Ok(());
    }
    let used = used_by_pods(work.conn)?;
    for (id, key, succeeded) in kept {
        if succeeded || !used.contains(&key) {
            work.conn
                .prepare_cached("DELETE FROM objects WHERE id = ?1")
                .and_then(|mut remove| remove.execute([id]))
                .during("remove what was kept")?;
            touch(work, &key.1);
        }
    }
    Ok(())
}

/// (namespace, kind, name) of everything that a pod here names, whether it is wanted or deleting.
fn used_by_pods(conn: &Connection) -> Result<BTreeSet<(String, String, String)>, StoreError> {
    let pods = conn
        .prepare_cached("SELECT namespace, body FROM objects WHERE kind = 'Pod' AND body IS NOT NULL")
        .and_then(|mut list| {
            list.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read pods")?;
    let mut used = BTreeSet::new();
    for (namespace, body) in pods {
        for (kind, name) in named(&body) {
            used.insert((namespace.clone(), kind.name().to_owned(), name));
        }
    }
    Ok(used)
}

/// Where another agent runs than the one that wrote last: rejected versions count no more, so the cloud sends them again.
pub(crate) fn set_agent(work: &mut Work<'_>, agent: &str) -> Result<(), StoreError> {
    if work.state.meta.agent_version == agent {
        return Ok(());
    }
    agent.clone_into(&mut work.state.meta.agent_version);
    work.conn
        .execute_batch(
            "DELETE FROM objects WHERE rejected IS NOT NULL AND body IS NULL;
             UPDATE objects SET version = body_version, rejected = NULL WHERE rejected IS NOT NULL;",
        )
        .during("forget rejections")?;
    (work.state.digest, work.state.count) = sum(work.conn)?;
    Ok(())
}

fn count_in(work: &mut Work<'_>, kind: &str, uid: &str, version: Version) {
    let uid = if faults::on(Fault::DigestWithoutUid) { "" } else { uid };
    work.state.digest = work.state.digest.with(kind, uid, version);
    work.state.count = work.state.count.saturating_add(1);
    touch(work, kind);
}

fn count_out(work: &mut Work<'_>, kind: &str, uid: &str, known: &Known) {
    if known.state == WANTED {
        work.state.digest = work.state.digest.without(kind, uid, known.version);
        work.state.count = work.state.count.saturating_sub(1);
    }
}

fn touch(work: &mut Work<'_>, kind: &str) {
    work.effects.extend(Kind::parse(kind).map(Topic::Kind));
}

// === at a start ===

/// Removes rows that no key opens; returns how many.
pub(crate) fn drop_unreadable(conn: &Connection, seal: &Seal) -> Result<usize, StoreError> {
    let sealed = conn
        .prepare("SELECT id, kind, uid, key_id, body FROM objects WHERE key_id IS NOT NULL")
        .and_then(|mut list| {
            list.query_map([], |row| {
                let (kind, uid): (String, String) = (row.get(1)?, row.get(2)?);
                let open = seal.open_sealed(row.get(3)?, &about(&kind, &uid), &row.get::<_, Vec<u8>>(4)?);
                Ok((row.get::<_, i64>(0)?, open.is_some()))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read sealed rows")?;
    let mut dropped = 0;
    for (id, _) in sealed.into_iter().filter(|(_, readable)| !readable) {
        dropped += conn.execute("DELETE FROM objects WHERE id = ?1", [id]).during("drop a sealed row")?;
    }
    Ok(dropped)
}

/// Digest and number of the rows that count.
pub(crate) fn sum(conn: &Connection) -> Result<(Digest, u32), StoreError> {
    let held = inventory(conn)?;
    let digest = held.iter().fold(Digest::EMPTY, |sum, item| sum.with(&item.kind, &item.uid, item.version));
    Ok((digest, u32::try_from(held.len()).unwrap_or(u32::MAX)))
}

// === reading ===

/// What counts in the digest.
pub(crate) fn inventory(conn: &Connection) -> Result<Vec<Held>, StoreError> {
    conn.prepare_cached(
        "SELECT kind, uid, version, rejected FROM objects WHERE state = ?1 ORDER BY kind, uid",
    )
    .and_then(|mut list| {
        list.query_map([WANTED], |row| {
            Ok(Held {
                kind: row.get(0)?,
                uid: row.get(1)?,
                version: version(row, 2)?.unwrap_or_default(),
                rejected: row.get(3)?,
            })
        })?
        .collect()
    })
    .during("read its inventory")
}

/// Every object of a kind.
pub(crate) fn list(conn: &Connection, seal: &Seal, kind: Kind) -> Result<Vec<Object>, StoreError> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM objects WHERE kind = ?1 AND body IS NOT NULL ORDER BY namespace, name, id"
    ))
    .and_then(|mut list| {
        list.query_map([kind.name()], |row| object(row, seal, kind))?.filter_map(Result::transpose).collect()
    })
    .during("read objects")
}

/// The object of that name.
pub(crate) fn by_name(conn: &Connection, seal: &Seal, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM objects WHERE kind = ?1 AND namespace = ?2 AND name = ?3 AND body IS NOT NULL
         ORDER BY state <> 0, id DESC LIMIT 1"
    ))
    .and_then(|mut get| {
        get.query_row((key.kind.name(), &key.namespace, &key.name), |row| object(row, seal, key.kind))
            .optional()
    })
    .during("read an object")
    .map(Option::flatten)
}

/// The object of that UID.
pub(crate) fn by_uid(
    conn: &Connection,
    seal: &Seal,
    kind: Kind,
    uid: &str,
) -> Result<Option<Object>, StoreError> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM objects WHERE kind = ?1 AND uid = ?2 AND body IS NOT NULL"
    ))
    .and_then(|mut get| get.query_row((kind.name(), uid), |row| object(row, seal, kind)).optional())
    .during("read an object")
    .map(Option::flatten)
}

/// One row; `None` where it is sealed and does not open.
fn object(row: &Row<'_>, seal: &Seal, kind: Kind) -> rusqlite::Result<Option<Object>> {
    let uid: String = row.get(1)?;
    let body: Vec<u8> = row.get(6)?;
    let body = match row.get::<_, Option<i64>>(7)? {
        None => Some(body),
        Some(key_id) => seal.open_sealed(key_id, &about(kind.name(), &uid), &body),
    };
    let Some(body) = body else {
        tracing::error!(%kind, uid, "a sealed row does not open: it counts as absent");
        return Ok(None);
    };
    Ok(Some(Object {
        key: ObjectKey::new(kind, row.get::<_, String>(2)?, row.get::<_, String>(3)?),
        uid,
        version: version(row, 5)?.unwrap_or_default(),
        body: Arc::from(body),
        deleting: row.get::<_, i64>(4)? != WANTED,
    }))
}

fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Version>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Version))
}

/// What a sealed body is bound to.
fn about(kind: &str, uid: &str) -> String {
    format!("object/{kind}/{uid}")
}
