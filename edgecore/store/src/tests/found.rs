//! Every state in which a database may be found at a start.

use rusqlite::Connection;
use wire::{Digest, Kind};

use super::{fixture, key, open, upsert};
use crate::{Store, StoreError, TokenKey, Welcomed};

#[tokio::test]
async fn what_was_written_is_there_again() {
    let fixture = fixture();
    let welcomed = Welcomed {
        cluster_id: "c".to_owned(),
        epoch: 7,
        endpoints: vec!["wss://a".to_owned()],
        trust_bundle: Some("pem".to_owned()),
        node_uid: Some("n".to_owned()),
        projection_version: 3,
    };
    fixture.clock.learn(kit::WallTime(1_800_000_000_000));
    fixture.store.set_welcome(welcomed.clone()).await.unwrap();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "u", "{}")]).await.unwrap();
    fixture.store.sync_point(vec![("Pod".to_owned(), "12".to_owned())]).await.unwrap();
    let (meta, digest) = (fixture.store.meta(), fixture.store.digest());
    assert_eq!((meta.last_epoch, meta.first_sync_done, meta.last_trusted_ms), (7, true, 1_800_000_000_000));
    // What a Welcome leaves out is unchanged.
    let less = Welcomed { endpoints: vec![], trust_bundle: None, ..welcomed };
    fixture.store.set_welcome(less.clone()).await.unwrap();
    assert_eq!(fixture.store.meta(), meta);
    // But for the Node: where there is none any more, it registers anew.
    let mut watch = fixture.store.watch(Kind::Node);
    watch.borrow_and_update();
    fixture.store.set_welcome(Welcomed { node_uid: None, ..less.clone() }).await.unwrap();
    assert!(watch.has_changed().unwrap(), "who reports on it hears of it");
    assert_eq!(fixture.store.meta().node_uid, None);
    fixture.store.set_welcome(less).await.unwrap();
    drop(fixture.store);
    let clock = kit::Clock::manual(kit::WallTime(0));
    let opened = open(fixture.dir.path(), &clock);
    assert!(!opened.fresh);
    assert_eq!((opened.store.meta(), opened.store.digest()), (meta, digest));
    // The clock cannot be before what was confirmed once.
    assert_eq!(clock.wall(), kit::WallTime(1_800_000_000_000));
}

#[tokio::test]
async fn another_cluster_is_not_adopted() {
    let fixture = fixture();
    let welcomed = |cluster: &str| Welcomed {
        cluster_id: cluster.to_owned(),
        epoch: 1,
        endpoints: vec![],
        trust_bundle: None,
        node_uid: None,
        projection_version: 1,
    };
    fixture.store.set_welcome(welcomed("ours")).await.unwrap();
    let error = fixture.store.set_welcome(welcomed("theirs")).await.unwrap_err();
    assert!(error.to_string().contains("ours") && error.to_string().contains("theirs"));
    assert_eq!(fixture.store.meta().cluster_id.as_deref(), Some("ours"));
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let fixture = fixture();
    drop(fixture.store);
    let path = fixture.dir.path().join("store.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open_in_boot(fixture.dir.path(), fixture.clock.clone(), "b").unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn an_empty_file_is_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store.db"), b"").unwrap();
    let opened = open(dir.path(), &kit::Clock::system());
    assert!(opened.fresh && opened.set_aside.is_none());
    assert_eq!(opened.store.meta().store_id.len(), 36);
}

#[tokio::test]
async fn a_corrupt_file_is_set_aside_again_and_again() {
    let fixture = fixture();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "u", "{}")]).await.unwrap();
    let mut id = fixture.store.meta().store_id;
    drop(fixture.store);
    let path = fixture.dir.path().join("store.db");
    for round in 1..=5_u32 {
        // Sometimes no database at all, sometimes one with a page of garbage in it.
        let mut content = std::fs::read(&path).unwrap();
        let from = if round % 2 == 0 { 0 } else { 4096 };
        content[from..from + 4096].fill(0xa5);
        std::fs::write(&path, &content).unwrap();
        let opened = open(fixture.dir.path(), &fixture.clock);
        let aside = opened.set_aside.unwrap();
        assert!(opened.fresh && aside.exists());
        assert_eq!(std::fs::read(&aside).unwrap(), content);
        assert_eq!(opened.store.digest(), (Digest::EMPTY, 0));
        let now = opened.store.meta().store_id;
        assert_ne!(now, id);
        id = now;
        // And it works.
        opened.store.apply(vec![upsert(Kind::Pod, "p", "u", "{}")]).await.unwrap();
        let kept = std::fs::read_dir(fixture.dir.path())
            .unwrap()
            .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt"));
        assert!(kept.count() <= 3);
    }
}

#[tokio::test]
async fn a_missing_table_counts_as_corrupt() {
    let fixture = fixture();
    drop(fixture.store);
    let path = fixture.dir.path().join("store.db");
    Connection::open(&path).unwrap().execute_batch("DROP TABLE tokens").unwrap();
    assert!(open(fixture.dir.path(), &fixture.clock).set_aside.is_some());
}

#[tokio::test]
async fn damage_found_while_running_is_told() {
    let fixture = fixture();
    let many = (0..400).map(|n| upsert(Kind::Pod, &format!("p{n}"), &format!("u{n}"), "{\"some\":\"body\"}"));
    fixture.store.apply(many.collect::<Vec<_>>()).await.unwrap();
    drop(fixture.store);
    let store = open(fixture.dir.path(), &fixture.clock).store;
    let path = fixture.dir.path().join("store.db");
    let mut content = std::fs::read(&path).unwrap();
    content[4096..].fill(0xa5);
    std::fs::write(&path, &content).unwrap();
    assert!(matches!(store.objects(Kind::Pod), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.damaged().await, StoreError::Damaged { .. }));
}

#[tokio::test]
async fn under_a_lost_key_secrets_are_absent_and_wanted_again() {
    let fixture = fixture();
    let store = &fixture.store;
    store
        .apply(vec![upsert(Kind::Pod, "p", "u1", "{}"), upsert(Kind::Secret, "s", "u2", "{}")])
        .await
        .unwrap();
    let token = TokenKey {
        pod_uid: "u1".to_owned(),
        namespace: "default".to_owned(),
        pod_name: "p".to_owned(),
        service_account: "sa".to_owned(),
        audiences: vec![],
        expiration_seconds: 600,
    };
    store.want_token(token.clone()).await.unwrap();
    let life = std::time::Duration::from_mins(10);
    store.put_token(&token, kit::Masked("t".to_owned()), kit::WallTime(0), life).await.unwrap();
    drop(fixture.store);
    std::fs::remove_file(fixture.dir.path().join("seal.key")).unwrap();
    let opened = open(fixture.dir.path(), &fixture.clock);
    assert!(!opened.fresh);
    let store = opened.store;
    assert_eq!(store.object(&key(Kind::Secret, "s")).unwrap(), None);
    assert_eq!(store.object(&key(Kind::Pod, "p")).unwrap().unwrap().uid, "u1");
    // The digest says so too, and so the cloud sends the Secret again.
    let pod_only = Digest::EMPTY.with("Pod", "u1", wire::Version::of(b"{}"));
    assert_eq!(store.digest(), (pod_only, 1));
    assert_eq!(store.token(&token).unwrap(), None);
    assert_eq!(store.wanted_tokens().unwrap().len(), 1);
}

#[tokio::test]
async fn a_digest_that_is_not_that_of_the_rows_is_corrected() {
    let fixture = fixture();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "u", "{}")]).await.unwrap();
    let right = fixture.store.digest();
    drop(fixture.store);
    let path = fixture.dir.path().join("store.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE meta SET value = '5' WHERE key = 'digest'")
        .unwrap();
    assert_eq!(open(fixture.dir.path(), &fixture.clock).store.digest(), right);
}
