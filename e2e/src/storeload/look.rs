//! The look: what is in the store, and whether it fits together.

use std::path::Path;

use anyhow::{Context, Result};
use edgecore_store::{LedgerRow, Object, Opened, Store};
use serde_json::Value;
use wire::{Digest, Kind, ObjectKey, Version};

use super::load::{holder, token_key};
use super::{SLOTS, Seen};

pub(super) fn look(dir: &Path, opened: &Opened) -> Result<Seen> {
    let store = &opened.store;
    let mut seen = Seen {
        store_id: store.meta().store_id,
        fresh: opened.fresh,
        set_aside: opened.set_aside.as_ref().map(|path| path.display().to_string()),
        epoch: store.meta().last_epoch,
        ..Seen::default()
    };
    objects(store, &mut seen)?;
    for slot in 0..SLOTS {
        let key = ObjectKey::new(Kind::Pod, "default", holder(slot));
        if let Some(row) = store.last_report(&key)? {
            let body: Value = serde_json::from_slice(&row.body).context("a report is no JSON")?;
            let number = body.pointer("/status/message").and_then(Value::as_str);
            seen.reports.insert(slot, number.context("a report without a number")?.parse()?);
        }
    }
    for (uid, state) in store.pod_states()? {
        let slot = uid.trim_start_matches("holder-").parse()?;
        seen.memory.insert(slot, std::str::from_utf8(&state)?.parse()?);
    }
    if let Some(token) = store.token(&token_key())? {
        seen.token = Some(token.token.0.trim_start_matches("token-").parse()?);
    }
    seen.entries = store.journal(0, 1_000_000)?.iter().map(|row| row.seq).collect();
    let ledger = store.ledger()?;
    seen.wrong.extend(
        ledger
            .iter()
            .filter(|row| !LedgerRow::balanced(row))
            .map(|row| format!("accounts out of balance: {row:?}")),
    );
    // What is counted as queued is what is there.
    let pending = store.pending_reports(0, 1_000_000)?.len();
    for (stream, there) in [("events", seen.entries.len()), ("reports", pending)] {
        let row = ledger.iter().find(|row| row.stream == stream);
        if row.is_none_or(|row| row.queued != there as u64) {
            seen.wrong.push(format!("{there} of {stream} are there, and the accounts say {row:?}"));
        }
    }
    files(dir, &mut seen)?;
    Ok(seen)
}

fn objects(store: &Store, seen: &mut Seen) -> Result<()> {
    let mut digest = Digest::EMPTY;
    let mut count = 0;
    for held in store.inventory()? {
        digest = digest.with(&held.kind, &held.uid, held.version);
        count += 1;
    }
    if store.digest() != (digest, count) {
        seen.wrong.push(format!(
            "the digest is {:?}, and the rows make {:?}",
            store.digest(),
            (digest, count)
        ));
    }
    for kind in [Kind::Service, Kind::Secret, Kind::ConfigMap, Kind::Pod] {
        for object in store.objects(kind)? {
            let number = number(&object, &mut seen.wrong)?;
            if kind == Kind::Service {
                seen.services.push(number);
            } else if !object.uid.starts_with("holder-") {
                seen.objects.insert(format!("{kind} {}", object.uid), number);
            }
        }
    }
    Ok(())
}

fn number(object: &Object, wrong: &mut Vec<String>) -> Result<u64> {
    if Version::of(&object.body) != object.version {
        wrong.push(format!("{}: its version is not that of its body", object.key));
    }
    let body: Value =
        serde_json::from_slice(&object.body).with_context(|| format!("{} is no JSON", object.key))?;
    body["n"].as_u64().with_context(|| format!("{} has no number", object.key))
}

/// Reading an identity checks that the key is the certificate's.
fn files(dir: &Path, seen: &mut Seen) -> Result<()> {
    if let Some(identity) = pki::io::load_identity(&dir.join("pki/identity.pem"))? {
        let name = &identity.identity().node;
        seen.identity = Some(name.trim_start_matches("edge-").parse()?);
    }
    if let Some(bundle) = pki::io::load_bundle(&dir.join("pki/ca.pem"))? {
        let first = bundle.lines().next().unwrap_or_default();
        seen.bundle = Some(first.trim_start_matches("# ").parse()?);
    }
    Ok(())
}
