//! What the cloud sends.

use edgecore_sync::Phase;
use wire::{GoAway, InSync, Kind, KindVersion, ObjectKey, SyncPoint, Upsert, WantInventory, Welcome};

use crate::cloud::{both, digest, pick, upsert, welcome};

#[tokio::test]
async fn a_broken_object_among_good_ones_is_rejected_by_name_and_the_rest_is_applied() {
    let (mut cloud, edge) = both().await;
    let (mut session, hello) = cloud.session().await;
    assert_eq!((hello.node_name.as_str(), hello.count, hello.cluster_id.as_str()), ("edge-1", 0, ""));
    edge.phase(Phase::Connected).await;
    let broken =
        Upsert { body: Some(wire::Body::pack(b"{\"x\":1}").unwrap()), ..upsert(2, "ConfigMap", "bad", "1") };
    let unknown = upsert(3, "Gadget", "odd", "1");
    let all = [
        upsert(1, "Secret", "s", "1"),
        broken,
        unknown,
        upsert(4, "ConfigMap", "c", "1"),
        upsert(5, "Pod", "p", "1"),
    ];
    for frame in all.clone() {
        session.send(frame).await;
    }
    let seen = vec![KindVersion { kind: "Pod".to_owned(), resource_version: "77".to_owned() }];
    session.send(SyncPoint { frame: 6, digest: digest(&all).to_vec(), count: 5, seen }).await;
    edge.phase(Phase::InSync).await;

    let (mut acked, mut rejected) = (0, Vec::new());
    while acked < 6 {
        let ack = session.wait_for(pick!(Ack)).await;
        acked = ack.frame;
        rejected
            .extend(ack.rejected.into_iter().map(|rejected| (rejected.kind, rejected.name, rejected.reason)));
    }
    assert_eq!(rejected.len(), 2);
    assert_eq!((rejected[0].0.as_str(), rejected[0].1.as_str()), ("ConfigMap", "bad"));
    assert!(rejected[0].2.contains("version") && rejected[1].2.contains("Gadget"));
    for (kind, name, there) in [
        (Kind::Secret, "s", true),
        (Kind::ConfigMap, "bad", false),
        (Kind::ConfigMap, "c", true),
        (Kind::Pod, "p", true),
    ] {
        let found = edge.store.object(&ObjectKey::new(kind, "default", name)).unwrap();
        assert_eq!(found.is_some(), there, "{kind} {name}");
    }
    assert_eq!(edge.store.digest(), (digest(&all), 5));
    let meta = edge.store.meta();
    assert!(meta.first_sync_done && meta.cluster_id.as_deref() == Some("cluster-1"));
    assert_eq!(meta.seen, [("Pod".to_owned(), "77".to_owned())]);
}

#[tokio::test]
async fn where_digests_differ_the_edge_says_so_and_lists_what_it_holds() {
    let (mut cloud, edge) = both().await;
    let (mut session, _) = cloud.session().await;
    let held = upsert(1, "ConfigMap", "c", "1");
    session.send(held.clone()).await;
    let other = digest(&[upsert(1, "ConfigMap", "c", "2")]);
    session.send(SyncPoint { frame: 2, digest: other.to_vec(), count: 1, seen: vec![] }).await;
    let mismatch = session.wait_for(pick!(Mismatch)).await;
    assert_eq!((mismatch.frame, mismatch.count), (2, 1));
    assert_eq!(mismatch.digest, digest(std::slice::from_ref(&held)).to_vec());
    assert!(!edge.store.meta().first_sync_done);

    session.send(WantInventory::default()).await;
    let inventory = session.wait_for(pick!(Inventory)).await;
    assert!(inventory.last);
    // This cloud is of a release that knows no groups.
    assert_eq!((inventory.items.len(), inventory.groups.len()), (1, 0));
    assert_eq!((inventory.items[0].uid.as_str(), &inventory.items[0].version), ("uid-c", &held.version));

    // The cloud finds out that it was mistaken.
    session.send(InSync { digest: digest(&[held]).to_vec(), seen: vec![] }).await;
    edge.phase(Phase::InSync).await;
    assert!(edge.store.meta().first_sync_done);
}

#[tokio::test]
async fn a_cloud_that_says_so_little_as_it_may_is_understood() {
    let (mut cloud, edge) = both().await;
    let (session, hello) = cloud.session().await;
    assert_eq!(hello.features, wire::FEATURES);
    edge.until("the cluster is known", |store| store.meta().cluster_id.is_some()).await;
    drop(session);
    let (mut session, hello) = cloud.hello().await;
    assert_eq!(hello.cluster_id, "cluster-1");
    let features = wire::FEATURES.map(str::to_owned).to_vec();
    session.send(Welcome { cluster_id: String::new(), as_said: true, features, ..welcome("") }).await;
    edge.phase(Phase::Connected).await;

    let all: Vec<_> = (1..=40).map(by_dictionary).collect();
    for frame in all.clone() {
        session.send(frame).await;
    }
    session.send(SyncPoint { frame: 41, digest: digest(&all).to_vec(), count: 40, seen: vec![] }).await;
    edge.phase(Phase::InSync).await;
    assert_eq!(
        (edge.store.digest(), edge.store.meta().cluster_id.as_deref()),
        ((digest(&all), 40), Some("cluster-1"))
    );

    session.send(WantInventory { buckets: 7, wanted: vec![] }).await;
    let answer = session.wait_for(pick!(Inventory)).await;
    let mut ours = wire::Buckets::new(7).unwrap();
    for upsert in &all {
        ours.add(&upsert.kind, &upsert.uid, wire::Version::from_slice(&upsert.version).unwrap());
    }
    assert_eq!((answer.count(), answer.last), (0, true));
    assert_eq!(answer.digests, ours.to_vec());
    session.send(WantInventory { buckets: 7, wanted: vec![2, 5] }).await;
    let answer = session.wait_for(pick!(Inventory)).await;
    assert_eq!((answer.items.len(), answer.groups.len(), answer.last), (0, 1, true));
    let mut told: Vec<_> = answer.unpack().unwrap().map(|item| (item.uid, item.version)).collect();
    let near = all.iter().filter(|upsert| [2, 5].contains(&ours.of(&upsert.kind, &upsert.uid)));
    let mut wanted: Vec<_> = near.map(|upsert| (upsert.uid.clone(), upsert.version.clone())).collect();
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);

    session.send(WantInventory { buckets: 1_000_000, wanted: vec![] }).await;
    edge.phase(Phase::Disconnected).await;
}

/// A ConfigMap as the API server would have made it, packed by the dictionary.
fn by_dictionary(frame: u64) -> Upsert {
    let uid = format!("0ac77b53-4ec5-4d8d-8c4a-dd5d049950{frame:02}");
    let metadata = serde_json::json!({"name": format!("c{frame}"), "namespace": "default", "uid": uid});
    let body = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    let text = wire::canonical(&body).unwrap();
    let body = wire::Body::pack_by_dictionary(&text).unwrap();
    assert_eq!(body.encoding(), wire::Encoding::ZstdKubernetes1);
    Upsert {
        uid,
        version: wire::Version::of(&text).to_vec(),
        body: Some(body),
        ..upsert(frame, "ConfigMap", &format!("c{frame}"), "")
    }
}

#[tokio::test]
async fn what_was_applied_before_a_cut_is_told_in_the_next_hello() {
    let (mut cloud, edge) = both().await;
    let (mut session, _) = cloud.session().await;
    let pod = upsert(1, "Pod", "p", "1");
    session.send(pod.clone()).await;
    assert_eq!(session.wait_for(pick!(Ack)).await.frame, 1);
    drop(session);
    let (mut session, hello) = cloud.session().await;
    assert_eq!((hello.digest, hello.count), (digest(std::slice::from_ref(&pod)).to_vec(), 1));
    assert_eq!((hello.last_epoch, hello.cluster_id.as_str()), (1, "cluster-1"));
    // Numbers begin anew with each session.
    session.send(wire::Delete { frame: 1, kind: "Pod".to_owned(), uid: pod.uid, seen: String::new() }).await;
    assert_eq!(session.wait_for(pick!(Ack)).await.frame, 1);
    // Marked, not gone: whoever runs it takes it away.
    let left = edge.store.objects(Kind::Pod).unwrap();
    assert!(left.len() == 1 && left[0].deleting);
    let (store, _dir) = edge.stop().await;
    assert_eq!(store.digest().1, 0);
}

#[tokio::test]
async fn a_broken_protocol_ends_that_session_and_nothing_else() {
    let (mut cloud, edge) = both().await;
    let (mut session, _) = cloud.session().await;
    session.send(upsert(1, "Pod", "p", "1")).await;
    session.wait_for(pick!(Ack)).await;
    // A frame is missing.
    session.send(upsert(3, "Pod", "q", "1")).await;
    while let Ok(Some(_)) = session.receiver.recv().await {}
    let reason = session.receiver.close_reason().unwrap_or_default();
    assert!(reason.contains("frame 3 came where 2 was due"), "{reason}");
    let (_session, hello) = cloud.session().await;
    assert_eq!(hello.count, 1);
    edge.phase(Phase::Connected).await;
}

#[tokio::test]
async fn asked_to_go_away_it_comes_back() {
    let (mut cloud, edge) = both().await;
    let (session, _) = cloud.session().await;
    edge.phase(Phase::Connected).await;
    session.send(GoAway { reason: "replica ends".to_owned(), retry_after_ms: 50 }).await;
    edge.phase(Phase::Disconnected).await;
    assert!(edge.status.get().reason.contains("replica ends"));
    let (_session, _) = cloud.session().await;
    edge.phase(Phase::Connected).await;
}
