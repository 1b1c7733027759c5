//! Who the store is: kept in memory, written row by row where it differs.

use rusqlite::{Connection, OptionalExtension};
use wire::Digest;

use crate::error::{Context, StoreError};
use crate::types::{Meta, Stamp, Welcomed};
use crate::writer::{Topic, Work};

/// How much newer a confirmed wall time must be before it is written along with something else.
const TRUSTED_STEP_MS: i64 = 3_600_000;

/// What is kept in memory beside the file: always equal to the last commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) meta: Meta,
    pub(crate) digest: Digest,
    pub(crate) count: u32,
}

/// Reads what the meta table says; what is missing has its default.
pub(crate) fn load(conn: &Connection) -> Result<State, StoreError> {
    let text = |key: &str| -> Result<Option<String>, StoreError> {
        conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .during("read who it is")
    };
    let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    // A list that does not parse is as good as none: both come again with the next session.
    Ok(State {
        meta: Meta {
            store_id: text("store_id")?.unwrap_or_default(),
            cluster_id: text("cluster_id")?,
            node_uid: text("node_uid")?,
            last_epoch: u64::try_from(number(text("last_epoch")?)).unwrap_or(0),
            first_sync_done: text("first_sync_done")?.is_some(),
            endpoints: text("endpoints")?.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default(),
            seen: text("seen")?.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default(),
            trust_bundle: text("trust_bundle")?,
            last_trusted_ms: number(text("last_trusted_ms")?),
            projection_version: u32::try_from(number(text("projection_version")?)).unwrap_or(0),
            agent_version: text("agent_version")?.unwrap_or_default(),
        },
        digest: text("digest")?
            .and_then(|text| u128::from_str_radix(&text, 16).ok())
            .map(Digest)
            .unwrap_or_default(),
        count: u32::try_from(number(text("count")?)).unwrap_or(0),
    })
}

/// Writes what differs.
pub(crate) fn save(conn: &Connection, before: &State, now: &State) -> Result<(), StoreError> {
    let (old, new) = (rows(before)?, rows(now)?);
    for ((key, old), (_, new)) in old.into_iter().zip(new) {
        if old == new {
            continue;
        }
        match new {
            Some(value) => conn
                .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")
                .and_then(|mut put| put.execute((key, value))),
            None => conn
                .prepare_cached("DELETE FROM meta WHERE key = ?1")
                .and_then(|mut delete| delete.execute([key])),
        }
        .during("write who it is")?;
    }
    Ok(())
}

/// The state as rows; `None` for one that is not there.
fn rows(state: &State) -> Result<[(&'static str, Option<String>); 13], StoreError> {
    let meta = &state.meta;
    let list = |json: serde_json::Result<String>| {
        json.map_err(|error| StoreError::Value { what: "a list", reason: error.to_string() })
    };
    Ok([
        ("store_id", Some(meta.store_id.clone())),
        ("cluster_id", meta.cluster_id.clone()),
        ("node_uid", meta.node_uid.clone()),
        ("last_epoch", Some(meta.last_epoch.to_string())),
        ("first_sync_done", meta.first_sync_done.then(String::new)),
        ("endpoints", Some(list(serde_json::to_string(&meta.endpoints))?)),
        ("seen", Some(list(serde_json::to_string(&meta.seen))?)),
        ("trust_bundle", meta.trust_bundle.clone()),
        ("last_trusted_ms", Some(meta.last_trusted_ms.to_string())),
        ("projection_version", Some(meta.projection_version.to_string())),
        ("agent_version", Some(meta.agent_version.clone())),
        ("digest", Some(state.digest.to_string())),
        ("count", Some(state.count.to_string())),
    ])
}

impl State {
    /// Takes a confirmed wall time along when something else is written anyway.
    pub(crate) fn note_trusted(&mut self, now: &Stamp) {
        if now.trusted && now.wall.0 >= self.meta.last_trusted_ms.saturating_add(TRUSTED_STEP_MS) {
            self.meta.last_trusted_ms = now.wall.0;
        }
    }
}

impl Work<'_> {
    /// Keeps what a `Welcome` said.
    pub(crate) fn welcome(&mut self, welcomed: &Welcomed) -> Result<(), StoreError> {
        let meta = &mut self.state.meta;
        if let Some(known) = meta.cluster_id.as_deref().filter(|known| *known != welcomed.cluster_id) {
            let reason = format!("the store belongs to cluster {known}, not to {}", welcomed.cluster_id);
            return Err(StoreError::Value { what: "the welcome", reason });
        }
        meta.cluster_id = Some(welcomed.cluster_id.clone());
        meta.last_epoch = welcomed.epoch;
        meta.projection_version = welcomed.projection_version;
        if !welcomed.endpoints.is_empty() {
            meta.endpoints.clone_from(&welcomed.endpoints);
        }
        if welcomed.trust_bundle.is_some() {
            meta.trust_bundle.clone_from(&welcomed.trust_bundle);
        }
        // Also where there is none any more: a node that joins again registers anew, and those who report on it must
        // hear of that although no row changed.
        if meta.node_uid != welcomed.node_uid {
            meta.node_uid.clone_from(&welcomed.node_uid);
            self.effects.insert(Topic::Kind(wire::Kind::Node));
        }
        let meta = &mut self.state.meta;
        if self.now.trusted {
            // Also backwards: a cloud whose clock was wrong once must not be believed for ever.
            meta.last_trusted_ms = self.now.wall.0;
        }
        Ok(())
    }

    /// The digests agreed: what is held is whole.
    pub(crate) fn sync_point(&mut self, seen: Vec<(String, String)>) {
        if !self.state.meta.first_sync_done {
            self.state.meta.first_sync_done = true;
            self.effects.extend(wire::KINDS.map(Topic::Kind));
        }
        for (kind, version) in seen {
            self.note_seen(&kind, &version);
        }
    }

    /// How far the cloud has seen a kind. Also backwards: a session opens only in a replica that has seen what the edge
    /// has, or knows that the cluster itself went back.
    pub(crate) fn note_seen(&mut self, kind: &str, version: &str) {
        let seen = &mut self.state.meta.seen;
        if let Some((_, known)) = seen.iter_mut().find(|(known, _)| known == kind) {
            version.clone_into(known);
        } else {
            seen.push((kind.to_owned(), version.to_owned()));
            seen.sort();
        }
    }
}
