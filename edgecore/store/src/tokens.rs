//! Service-account tokens: wanted by pods, brought by `sync`, sealed.

use std::time::Duration;

use kit::{Elapsed, Masked, WallTime};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::{Context, StoreError};
use crate::seal::Seal;
use crate::types::{Stamp, Token, TokenKey, WantedToken};
use crate::writer::{Topic, Work};

const WHERE: &str = "pod_uid = ?1 AND service_account = ?2 AND audiences = ?3 AND expiration_seconds = ?4";
const COLUMNS: &str = "pod_uid, namespace, pod_name, service_account, audiences, expiration_seconds,
    token, key_id, boot_id, elapsed_ms, wall_ms, trusted, expires_ms, life_ms";

/// Notes that a token is wanted, where the pod is here and it was not noted.
pub(crate) fn want(work: &mut Work<'_>, key: &TokenKey) -> Result<bool, StoreError> {
    let wanted = work
        .conn
        .prepare_cached(
            "INSERT INTO tokens (pod_uid, service_account, audiences, expiration_seconds, namespace, pod_name)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM objects WHERE kind = 'Pod' AND uid = ?1)
             ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| {
            insert.execute((
                &key.pod_uid,
                &key.service_account,
                audiences(key),
                key.expiration_seconds,
                &key.namespace,
                &key.pod_name,
            ))
        })
        .during("note a wanted token")?;
    work.effects.extend((wanted > 0).then_some(Topic::Tokens));
    Ok(wanted > 0)
}

/// Keeps a token, where it is still wanted.
pub(crate) fn put(
    work: &mut Work<'_>,
    key: &TokenKey,
    token: &Masked<String>,
    expires: WallTime,
    life: Duration,
) -> Result<bool, StoreError> {
    let sealed = work.seal.seal(&about(key), token.0.as_bytes())?;
    let now = work.now;
    let kept = work
        .conn
        .prepare_cached(&format!(
            "UPDATE tokens SET token = ?5, key_id = ?6, boot_id = ?7, elapsed_ms = ?8, wall_ms = ?9, trusted = ?10,
                 expires_ms = ?11, life_ms = ?12 WHERE {WHERE}"
        ))
        .and_then(|mut update| {
            update.execute((
                &key.pod_uid,
                &key.service_account,
                audiences(key),
                key.expiration_seconds,
                sealed,
                work.seal.id(),
                &now.boot_id,
                millis(now.elapsed.0),
                now.wall.0,
                now.trusted,
                expires.0,
                millis(life),
            ))
        })
        .during("write a token")?;
    work.effects.extend((kept > 0).then_some(Topic::Tokens));
    Ok(kept > 0)
}

/// The token, if there is one.
pub(crate) fn get(conn: &Connection, seal: &Seal, key: &TokenKey) -> Result<Option<Token>, StoreError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM tokens WHERE {WHERE}"))
        .and_then(|mut get| {
            get.query_row(
                (&key.pod_uid, &key.service_account, audiences(key), key.expiration_seconds),
                |row| decode(row, seal),
            )
            .optional()
        })
        .during("read a token")
        .map(|found| found.and_then(|wanted| wanted.token))
}

/// Every token wanted.
pub(crate) fn wanted(conn: &Connection, seal: &Seal) -> Result<Vec<WantedToken>, StoreError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM tokens ORDER BY id"))
        .and_then(|mut list| list.query_map([], |row| decode(row, seal))?.collect())
        .during("read tokens")
}

/// Removes the tokens of a pod.
pub(crate) fn remove_of(work: &mut Work<'_>, pod_uid: &str) -> Result<(), StoreError> {
    let removed = work
        .conn
        .prepare_cached("DELETE FROM tokens WHERE pod_uid = ?1")
        .and_then(|mut remove| remove.execute([pod_uid]))
        .during("remove tokens")?;
    work.effects.extend((removed > 0).then_some(Topic::Tokens));
    Ok(())
}

/// At a start: tokens that no key opens are wanted again. Returns how many.
pub(crate) fn drop_unreadable(conn: &Connection, seal: &Seal) -> Result<usize, StoreError> {
    let unreadable = conn
        .prepare(&format!("SELECT {COLUMNS}, id FROM tokens WHERE token IS NOT NULL"))
        .and_then(|mut list| {
            list.query_map([], |row| Ok((decode(row, seal)?.token.is_none(), row.get::<_, i64>(14)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .during("read tokens")?;
    let mut dropped = 0;
    for (_, id) in unreadable.into_iter().filter(|(unreadable, _)| *unreadable) {
        dropped += conn
            .execute("UPDATE tokens SET token = NULL, key_id = NULL WHERE id = ?1", [id])
            .during("drop a token")?;
    }
    Ok(dropped)
}

/// At a start: tokens of pods that are gone leave.
pub(crate) fn drop_orphans(conn: &Connection) -> Result<(), StoreError> {
    conn.execute(
        "DELETE FROM tokens WHERE NOT EXISTS
             (SELECT 1 FROM objects WHERE objects.kind = 'Pod' AND objects.uid = tokens.pod_uid)",
        [],
    )
    .during("drop tokens")?;
    Ok(())
}

fn decode(row: &Row<'_>, seal: &Seal) -> rusqlite::Result<WantedToken> {
    let list: String = row.get(4)?;
    let key = TokenKey {
        pod_uid: row.get(0)?,
        namespace: row.get(1)?,
        pod_name: row.get(2)?,
        service_account: row.get(3)?,
        audiences: serde_json::from_str(&list).unwrap_or_default(),
        expiration_seconds: row.get(5)?,
    };
    let sealed: Option<Vec<u8>> = row.get(6)?;
    let token = match sealed {
        None => None,
        Some(sealed) => {
            let plain = seal.open_sealed(row.get(7)?, &about(&key), &sealed);
            match plain.and_then(|plain| String::from_utf8(plain).ok()) {
                None => None,
                Some(token) => Some(Token {
                    token: Masked(token),
                    issued: stamp(row, 8)?,
                    expires: WallTime(row.get(12)?),
                    life: duration(row.get(13)?),
                }),
            }
        }
    };
    Ok(WantedToken { key, token })
}

/// Four columns from `first` on: boot, time since it, wall time, whether that was confirmed.
pub(crate) fn stamp(row: &Row<'_>, first: usize) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        boot_id: row.get(first)?,
        elapsed: Elapsed(duration(row.get(first + 1)?)),
        wall: WallTime(row.get(first + 2)?),
        trusted: row.get(first + 3)?,
    })
}

/// As a column holds it.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn audiences(key: &TokenKey) -> String {
    serde_json::Value::from(key.audiences.clone()).to_string()
}

/// What a sealed token is bound to.
fn about(key: &TokenKey) -> String {
    format!("token/{}/{}/{}/{}", key.pod_uid, key.service_account, audiences(key), key.expiration_seconds)
}
