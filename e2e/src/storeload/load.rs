//! The writes, all kinds side by side, so that they meet in one commit now and then.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use edgecore_store::{Change, JournalEntry, Store, TokenKey, Welcomed};
use kit::{Masked, WallTime};
use pki::{Authority, NodeIdentity, NodeKey};
use wire::{Kind, ObjectKey, Version};

use super::{Line, Numbers, SLOTS, Thing, say};

/// Entries of the journal that the cloud takes at once.
const DELIVERED: usize = 4;
/// The cluster that the store believes to belong to.
const CLUSTER: &str = "the-cluster";

/// The pod that reports, memory and tokens are about.
pub(super) fn holder(slot: u64) -> String {
    format!("holder-{slot}")
}

/// The token's key.
pub(super) fn token_key() -> TokenKey {
    TokenKey {
        pod_uid: holder(0),
        namespace: "default".into(),
        pod_name: holder(0),
        service_account: "default".into(),
        audiences: Vec::new(),
        expiration_seconds: 3607,
    }
}

/// Writes until something fails.
pub(super) async fn write_everything(store: &Store, pki: &Path, numbers: &Numbers) -> Result<()> {
    let next = |thing| numbers.get(&thing).map_or(1, |last| last + 1);
    for slot in 0..SLOTS {
        store.apply(vec![upsert(Kind::Pod, &holder(slot), &holder(slot), 0)]).await?;
    }
    store.want_token(token_key()).await?;
    tokio::try_join!(
        batches(store, next(Thing::Batch)),
        reports(store, next(Thing::Report)),
        tokens(store, next(Thing::Token)),
        entries(store),
        memory(store, next(Thing::Memory)),
        welcomes(store, next(Thing::Welcome)),
        files(pki.to_owned(), next(Thing::Identity), next(Thing::Bundle)),
    )?;
    Ok(())
}

/// The body of an object of this number, longer for some than for others: some rows need pages of their own.
fn body(number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(11) { 9_000 } else { 40 + number % 300 };
    let pad: String =
        (0..length).map(|n| char::from(b'a' + u8::try_from((n * 7 + number) % 26).unwrap_or(0))).collect();
    format!(r#"{{"n":{number},"pad":"{pad}"}}"#).into_bytes()
}

fn upsert(kind: Kind, name: &str, uid: &str, number: u64) -> Change {
    let body = body(number);
    Change::Upsert {
        key: ObjectKey::new(kind, "default", name),
        uid: uid.to_owned(),
        version: Version::of(&body),
        body,
    }
}

async fn batches(store: &Store, first: u64) -> Result<()> {
    for number in first.. {
        let slot = (number % SLOTS).to_string();
        let mut batch = vec![upsert(Kind::Service, "v", &number.to_string(), number)];
        if number > 1 {
            batch.push(Change::Delete {
                kind: Kind::Service.name().to_owned(),
                uid: (number - 1).to_string(),
            });
        }
        batch.extend(
            [Kind::Secret, Kind::ConfigMap, Kind::Pod].map(|kind| upsert(kind, &slot, &slot, number)),
        );
        let batch: Arc<[Change]> = batch.into();
        store.apply(batch).await?;
        say(&Line::Ack(Thing::Batch, number))?;
    }
    Ok(())
}

async fn reports(store: &Store, first: u64) -> Result<()> {
    for number in first.. {
        let pod = holder(number % SLOTS);
        let body = format!(r#"{{"status":{{"message":"{number}","phase":"Running"}}}}"#);
        store.report(ObjectKey::new(Kind::Pod, "default", &pod), &pod, body.into_bytes()).await?;
        say(&Line::Ack(Thing::Report, number))?;
        if number.is_multiple_of(7) {
            let taken = store.pending_reports(0, 2)?.into_iter().map(|row| row.id).collect();
            store.reports_acked(taken).await?;
        }
    }
    Ok(())
}

async fn tokens(store: &Store, first: u64) -> Result<()> {
    for number in first.. {
        let token = Masked(format!("token-{number}"));
        let (expires, life) = (WallTime(4_000_000_000_000), Duration::from_secs(3607));
        ensure!(store.put_token(&token_key(), token, expires, life).await?, "the token was not kept");
        say(&Line::Ack(Thing::Token, number))?;
    }
    Ok(())
}

async fn entries(store: &Store) -> Result<()> {
    loop {
        for _ in 0..2 * DELIVERED {
            let entry = JournalEntry {
                stream: "events",
                priority: 5,
                expires_after: None,
                body: br#"{"reason":"Load"}"#.to_vec(),
            };
            let seq = store.append(entry).await?;
            say(&Line::Ack(Thing::Entry, seq))?;
        }
        let taken: Vec<u64> = store.journal(0, DELIVERED)?.iter().map(|row| row.seq).collect();
        let Some(last) = taken.last().copied() else { continue };
        say(&Line::Try(Thing::Delivered, last))?;
        store.journal_acked(taken).await?;
        say(&Line::Ack(Thing::Delivered, last))?;
    }
}

async fn memory(store: &Store, first: u64) -> Result<()> {
    for number in first.. {
        store.put_pod_state(&holder(number % SLOTS), number.to_string().as_bytes()).await?;
        say(&Line::Ack(Thing::Memory, number))?;
    }
    Ok(())
}

async fn welcomes(store: &Store, first: u64) -> Result<()> {
    for number in first.. {
        store
            .set_welcome(Welcomed {
                cluster_id: CLUSTER.to_owned(),
                epoch: number,
                endpoints: vec![format!("wss://cloud.example:{}/v1/connect", 1 + number % 9)],
                trust_bundle: None,
                node_uid: None,
                projection_version: wire::PROJECTION_VERSION,
            })
            .await?;
        say(&Line::Ack(Thing::Welcome, number))?;
    }
    Ok(())
}

/// Identities and trust bundles, each as edgecore writes them; the number is in the certificate's name, and in front
/// of the bundle.
async fn files(pki: std::path::PathBuf, identity: u64, bundle: u64) -> Result<()> {
    let now = kit::Clock::system().wall();
    let authority = Authority::create(now)?;
    for step in 0.. {
        let (pki, node) = (pki.clone(), format!("edge-{}", identity + step));
        let key = NodeKey::generate()?;
        let request = Authority::check_request(&key.request(&node)?)?;
        let whole = NodeIdentity::new(&key, &authority.issue_node(&node, &request, now)?)?;
        let trusted = format!("# {}\n{}", bundle + step, authority.certificate_pem());
        // Beside the others, as they wait for the disk too.
        tokio::task::spawn_blocking(move || -> Result<()> {
            pki::io::store_identity(&pki.join("identity.pem"), &whole)?;
            say(&Line::Ack(Thing::Identity, identity + step))?;
            pki::io::store_bundle(&pki.join("ca.pem"), &trusted)?;
            say(&Line::Ack(Thing::Bundle, bundle + step))
        })
        .await??;
    }
    Ok(())
}
