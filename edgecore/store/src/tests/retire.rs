//! A deletion marks; what a pod uses leaves with it.

use std::time::Duration;

use kit::{Masked, WallTime};
use wire::Kind;

use super::{Fixture, delete, fixture, key, pod, upsert};
use crate::TokenKey;

async fn two_pods_sharing() -> Fixture {
    let fixture = fixture();
    let batch = vec![
        upsert(Kind::ConfigMap, "shared", "c1", "{\"c\":1}"),
        upsert(Kind::Secret, "own", "s1", "{\"s\":1}"),
        upsert(Kind::ConfigMap, "unused", "c2", "{\"c\":2}"),
        pod("a", "p1", "shared", "own"),
        pod("b", "p2", "shared", "none"),
    ];
    fixture.store.apply(batch).await.unwrap();
    fixture
}

fn names(fixture: &Fixture, kind: Kind) -> Vec<(String, bool)> {
    let objects = fixture.store.objects(kind).unwrap();
    objects.into_iter().map(|object| (object.key.name, object.deleting)).collect()
}

#[tokio::test]
async fn what_a_deleted_pod_uses_stays_until_it_is_retired() {
    let fixture = two_pods_sharing().await;
    // The whole node is emptied in the cluster, in the order in which the cloud sends deletes.
    let all = [
        (Kind::Pod, "p1"),
        (Kind::Pod, "p2"),
        (Kind::Secret, "s1"),
        (Kind::ConfigMap, "c1"),
        (Kind::ConfigMap, "c2"),
    ];
    let applied = fixture
        .store
        .apply(all.iter().map(|(kind, uid)| delete(*kind, uid)).collect::<Vec<_>>())
        .await
        .unwrap();
    assert_eq!((applied.count, applied.digest), (0, wire::Digest::EMPTY));
    assert_eq!(names(&fixture, Kind::Pod), [("a".to_owned(), true), ("b".to_owned(), true)]);
    assert_eq!(names(&fixture, Kind::ConfigMap), [("shared".to_owned(), true)]);
    assert_eq!(names(&fixture, Kind::Secret), [("own".to_owned(), true)]);

    let mut config_maps = fixture.store.watch(Kind::ConfigMap);
    assert!(fixture.store.retire_pod("p1").await.unwrap());
    assert!(!config_maps.has_changed().unwrap());
    assert_eq!(names(&fixture, Kind::ConfigMap), [("shared".to_owned(), true)]);
    assert_eq!(names(&fixture, Kind::Secret), []);
    assert!(fixture.store.retire_pod("p2").await.unwrap());
    assert!(config_maps.has_changed().unwrap());
    config_maps.mark_unchanged();
    assert_eq!(names(&fixture, Kind::ConfigMap), []);
    assert_eq!(names(&fixture, Kind::Pod), []);
}

#[tokio::test]
async fn a_successor_of_the_same_name_replaces_what_was_kept() {
    let fixture = two_pods_sharing().await;
    fixture
        .store
        .apply(vec![upsert(Kind::ConfigMap, "shared", "c9", "{\"c\":9}"), delete(Kind::ConfigMap, "c1")])
        .await
        .unwrap();
    assert_eq!(
        names(&fixture, Kind::ConfigMap),
        [("shared".to_owned(), false), ("unused".to_owned(), false)]
    );
    assert_eq!(fixture.store.object(&key(Kind::ConfigMap, "shared")).unwrap().unwrap().uid, "c9");
}

#[tokio::test]
async fn a_deleted_object_that_comes_back_counts_again() {
    let fixture = two_pods_sharing().await;
    let whole = fixture.store.digest();
    fixture.store.apply(vec![delete(Kind::ConfigMap, "c1"), delete(Kind::Pod, "p1")]).await.unwrap();
    fixture
        .store
        .apply(vec![upsert(Kind::ConfigMap, "shared", "c1", "{\"c\":1}"), pod("a", "p1", "shared", "own")])
        .await
        .unwrap();
    assert_eq!(fixture.store.digest(), whole);
    assert!(!fixture.store.object_by_uid(Kind::Pod, "p1").unwrap().unwrap().deleting);
}

#[tokio::test]
async fn a_wanted_pod_is_not_retired_and_everything_of_a_gone_one_leaves() {
    let fixture = two_pods_sharing().await;
    let token = TokenKey {
        pod_uid: "p1".to_owned(),
        namespace: "default".to_owned(),
        pod_name: "a".to_owned(),
        service_account: "default".to_owned(),
        audiences: vec![],
        expiration_seconds: 3607,
    };
    let store = &fixture.store;
    assert!(store.want_token(token.clone()).await.unwrap());
    store.put_token(&token, Masked("t".to_owned()), WallTime(0), Duration::from_mins(1)).await.unwrap();
    assert!(store.put_pod_state("p1", b"{}").await.unwrap());
    assert!(!store.put_pod_state("p1", b"{}").await.unwrap());
    assert!(store.report(key(Kind::Pod, "a"), "p1", b"{}".to_vec()).await.unwrap());

    assert!(!store.retire_pod("p1").await.unwrap());
    assert!(store.token(&token).unwrap().is_some());
    assert_eq!(store.pod_states().unwrap(), [("p1".to_owned(), b"{}".to_vec())]);

    store.apply(vec![delete(Kind::Pod, "p1")]).await.unwrap();
    assert!(store.retire_pod("p1").await.unwrap());
    assert!(store.token(&token).unwrap().is_none() && store.wanted_tokens().unwrap().is_empty());
    assert!(store.pod_states().unwrap().is_empty());
    assert!(store.pending_reports(0, 9).unwrap().is_empty());
    assert!(store.ledger().unwrap().iter().all(crate::LedgerRow::balanced));
    // A pod that was never here (found running after the store was lost) can be retired too.
    store.put_pod_state("stray", b"{}").await.unwrap();
    assert!(store.retire_pod("stray").await.unwrap());
    assert!(store.pod_states().unwrap().is_empty());
}
