//! How sessions begin, and how they do not.

use edgecore_sync::Phase;
use wire::{Refused, RefusedCode};

use crate::cloud::{both, pick, upsert, welcome};

#[tokio::test]
async fn another_cluster_is_refused_and_nothing_is_adopted_or_deleted() {
    let (mut cloud, edge) = both().await;
    let (mut session, _) = cloud.session().await;
    session.send(upsert(1, "Pod", "p", "1")).await;
    session.wait_for(pick!(Ack)).await;
    drop(session);
    let before = edge.store.digest();
    let (taken, hello) = cloud.hello().await;
    assert_eq!(hello.cluster_id, "cluster-1");
    // The store was restored from a backup of another cluster, say, and this replica does not look at Hello.
    taken.send(welcome("cluster-2")).await;
    taken
        .send(wire::Delete { frame: 1, kind: "Pod".to_owned(), uid: "uid-p".to_owned(), seen: String::new() })
        .await;
    edge.phase(Phase::Refused).await;
    assert!(edge.status.get().reason.contains("cluster-2"));
    assert_eq!(edge.store.digest(), before);
    assert_eq!(edge.store.meta().cluster_id.as_deref(), Some("cluster-1"));
}

#[tokio::test]
async fn a_refusal_says_why_and_is_asked_again() {
    let (mut cloud, edge) = both().await;
    for n in 0..2 {
        let (taken, _) = cloud.hello().await;
        let reason = format!("lagging {n}");
        let refused =
            Refused { code: RefusedCode::NotReady.into(), reason: reason.clone(), retry_after_ms: 20 };
        taken.send(refused).await;
        edge.phase(Phase::Refused).await;
        edge.until("the reason is told", |_| edge.status.get().reason.contains(&reason)).await;
    }
    let (_session, _) = cloud.session().await;
    edge.phase(Phase::Connected).await;
}

#[tokio::test]
async fn an_edge_that_is_sent_away_for_long_goes_to_another_replica() {
    let (mut cloud, edge) = both().await;
    let mut other = cloud.another().await;
    let mut said = welcome("cluster-1");
    said.endpoints = vec![cloud.endpoint(), other.endpoint()];
    let away = || wire::GoAway { reason: "not here".to_owned(), retry_after_ms: 600_000 };
    let (taken, _) = cloud.hello().await;
    taken.send(said.clone()).await;
    edge.phase(Phase::Connected).await;
    taken.send(away()).await;
    let (taken, _) = other.hello().await;
    // Whatever the list looks like by now: what the first one said still counts.
    said.endpoints.reverse();
    taken.send(said).await;
    edge.phase(Phase::Connected).await;
    drop(taken);
    let (_session, _) = other.session().await;
    edge.phase(Phase::Connected).await;
}

#[tokio::test]
async fn a_node_that_has_not_joined_says_so_and_connects_when_it_has() {
    let (mut cloud, edge) = both().await;
    let (session, _) = cloud.session().await;
    edge.phase(Phase::Connected).await;
    let (from, to) = (edge.dir.path().join("identity.pem"), edge.dir.path().join("elsewhere"));
    std::fs::rename(&from, &to).unwrap();
    drop(session);
    edge.until("the missing identity is told", |_| edge.status.get().reason.contains("has not joined")).await;
    std::fs::rename(&to, &from).unwrap();
    let (_session, _) = cloud.session().await;
    edge.phase(Phase::Connected).await;
}

#[tokio::test]
async fn what_the_cloud_says_of_itself_is_kept() {
    let (mut cloud, edge) = both().await;
    let (taken, _) = cloud.hello().await;
    let endpoint = cloud.endpoint();
    let bundle = std::fs::read_to_string(edge.dir.path().join("ca.pem")).unwrap();
    let longer = format!("{bundle}{bundle}");
    let mut said = welcome("cluster-1");
    said.endpoints = vec!["wss://gone.invalid:1/v1/connect".to_owned(), endpoint];
    said.trust_bundle.clone_from(&longer);
    said.node_uid = "node-uid".to_owned();
    said.epoch = 9;
    taken.send(said.clone()).await;
    edge.phase(Phase::Connected).await;
    let meta = edge.store.meta();
    assert_eq!((meta.last_epoch, meta.node_uid.as_deref()), (9, Some("node-uid")));
    assert_eq!((&meta.endpoints, meta.trust_bundle.as_ref()), (&said.endpoints, Some(&longer)));
    assert_eq!(std::fs::read_to_string(edge.dir.path().join("ca.pem")).unwrap(), longer);
    drop(taken);
    // An endpoint that does not exist does not keep it from the one that does; a bundle of garbage is not taken.
    let (taken, hello) = cloud.hello().await;
    assert_eq!(hello.node_uid, "node-uid");
    said.trust_bundle = "garbage".to_owned();
    taken.send(said).await;
    edge.phase(Phase::Connected).await;
    assert_eq!(std::fs::read_to_string(edge.dir.path().join("ca.pem")).unwrap(), longer);
}
