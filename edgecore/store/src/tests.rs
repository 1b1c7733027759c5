//! Tests of the whole store on a real file.

mod found;
mod full_disk;
mod journal;
mod migration;
mod objects;
mod reports;
mod retire;
mod tokens;
mod writes;

use std::path::Path;

use kit::{Clock, WallTime};
use wire::{Kind, ObjectKey, Version};

use crate::{Change, Opened, Store};

/// A store in a directory of its own that goes when this is dropped.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(WallTime(1_700_000_000_000));
    let opened = open(dir.path(), &clock);
    assert!(opened.fresh && opened.set_aside.is_none());
    Fixture { store: opened.store, clock, dir }
}

pub(crate) fn open(dir: &Path, clock: &Clock) -> Opened {
    Store::open_in_boot(dir, clock.clone(), "boot-1").unwrap()
}

pub(crate) fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, "default", name)
}

pub(crate) fn upsert(kind: Kind, name: &str, uid: &str, body: &str) -> Change {
    Change::Upsert {
        key: key(kind, name),
        uid: uid.to_owned(),
        version: Version::of(body.as_bytes()),
        body: body.into(),
    }
}

pub(crate) fn delete(kind: Kind, uid: &str) -> Change {
    Change::Delete { kind: kind.name().to_owned(), uid: uid.to_owned() }
}

pub(crate) fn reject(kind: &str, uid: &str, version: Version) -> Change {
    Change::Reject {
        kind: kind.to_owned(),
        namespace: "default".to_owned(),
        name: "bad".to_owned(),
        uid: uid.to_owned(),
        version,
        reason: "because".to_owned(),
    }
}

/// A pod that mounts a ConfigMap and a Secret.
pub(crate) fn pod(name: &str, uid: &str, config_map: &str, secret: &str) -> Change {
    let body = serde_json::json!({"spec": {"volumes": [
        {"name": "c", "configMap": {"name": config_map}},
        {"name": "s", "secret": {"secretName": secret}},
    ]}});
    upsert(Kind::Pod, name, uid, &body.to_string())
}
