//! Group commit, readers beside the writer, and that nothing is written where nothing changes.

use std::collections::BTreeMap;
use std::path::Path;

use wire::Kind;

use super::{fixture, key, upsert};
use crate::{StoreError, Welcomed};

/// Length and modification of every file.
fn files(dir: &Path) -> BTreeMap<String, (u64, std::time::SystemTime)> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let meta = file.metadata().unwrap();
            (file.file_name().to_string_lossy().into_owned(), (meta.len(), meta.modified().unwrap()))
        })
        .collect()
}

#[tokio::test]
async fn what_is_the_same_is_not_written() {
    let fixture = fixture();
    let store = &fixture.store;
    let welcomed = Welcomed {
        cluster_id: "c".to_owned(),
        epoch: 1,
        endpoints: vec!["wss://a".to_owned()],
        trust_bundle: Some("pem".to_owned()),
        node_uid: Some("n".to_owned()),
        projection_version: 1,
    };
    let seen = vec![("Pod".to_owned(), "5".to_owned())];
    let mut before = None;
    for _ in 0..2 {
        store.set_agent("1").await.unwrap();
        store.set_welcome(welcomed.clone()).await.unwrap();
        store
            .apply(vec![upsert(Kind::Pod, "p", "u", "{}"), upsert(Kind::Secret, "s", "v", "{}")])
            .await
            .unwrap();
        store.sync_point(seen.clone()).await.unwrap();
        store.put_pod_state("u", b"{}").await.unwrap();
        store.report(key(Kind::Pod, "p"), "u", b"{}".to_vec()).await.unwrap();
        let acked = store.pending_reports(0, 9).unwrap().iter().map(|row| row.id).collect();
        store.reports_acked(acked).await.unwrap();
        store.set_node_uid("n").await.unwrap();
        store.expire_journal().await.unwrap();
        // The second round says all of it again.
        if let Some(before) = before.replace(files(fixture.dir.path())) {
            assert_eq!(files(fixture.dir.path()), before);
        }
    }
}

#[tokio::test]
async fn a_failed_caller_fails_alone() {
    let fixture = fixture();
    let store = &fixture.store;
    let failing = store.inner().write(|work| {
        work.conn.execute_batch("INSERT INTO pod_states VALUES ('half', x'00')").unwrap();
        work.state.count = 99;
        Err::<(), _>(StoreError::Value { what: "a test", reason: "it fails".to_owned() })
    });
    let (first, failed, last) =
        tokio::join!(store.put_pod_state("a", b"1"), failing, store.put_pod_state("b", b"2"));
    assert!(first.unwrap() && failed.is_err() && last.unwrap());
    let states: Vec<_> = store.pod_states().unwrap().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!((states, store.digest().1), (vec!["a".to_owned(), "b".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_whole_batches_while_others_write() {
    let fixture = fixture();
    let store = fixture.store.clone();
    let batch = |v: u32| {
        let body = format!("{{\"v\":{v}}}");
        (0..20).map(move |n| upsert(Kind::Pod, &format!("p{n}"), &format!("u{n}"), &body)).collect::<Vec<_>>()
    };
    store.apply(batch(0)).await.unwrap();
    let writer = store.clone();
    let mut writing = tokio::task::JoinSet::new();
    writing.spawn(async move {
        for v in 1..60 {
            writer.apply(batch(v)).await.unwrap();
        }
    });
    let others = store.clone();
    writing.spawn(async move {
        for n in 0_u32..60 {
            others.put_pod_state("u0", &n.to_be_bytes()).await.unwrap();
        }
    });
    while !writing.is_empty() {
        let pods = store.objects(Kind::Pod).unwrap();
        assert_eq!(pods.len(), 20);
        assert!(pods.iter().all(|pod| pod.body == pods[0].body));
        tokio::task::yield_now().await;
        while let Some(done) = writing.try_join_next() {
            done.unwrap();
        }
    }
    assert_eq!(store.objects(Kind::Pod).unwrap()[0].body.as_ref(), b"{\"v\":59}");
    assert_eq!(store.pod_states().unwrap()[0].1, 59_u32.to_be_bytes());
}
