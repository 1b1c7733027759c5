//! Lives of sessions.

use std::time::Duration;

use cloudcore_hub::{Identities, ReasonLabel};
use cloudcore_index::Index;
use cloudcore_kube::watch::Observer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::down_frame::Content;
use wire::{Ack, Digest, Encoding, Heartbeat, Hello, Inventory, Kind, RefusedCode, Rejected, Report};

use crate::rig::{Edge, Rig, hello, pod, until};

macro_rules! hears {
    ($edge:expr, $content:ident) => {
        match $edge.hears().await {
            Content::$content(content) => content,
            other => panic!("expected {}, got {other:?}", stringify!($content)),
        }
    };
}

async fn open(rig: &Rig) -> Edge {
    let mut edge = rig.greeted(hello()).await;
    hears!(edge, Welcome);
    edge
}

#[tokio::test]
async fn a_session_opens_and_brings_the_difference() {
    let rig = Rig::start().await;
    let mut edge = rig.greeted(hello()).await;
    let welcome = hears!(edge, Welcome);
    assert_eq!((welcome.epoch, welcome.protocol, welcome.trust_bundle.as_str()), (1, 1, "bundle"));
    assert_eq!((welcome.cluster_id.as_str(), welcome.kinds.len()), ("cluster", 6));
    hears!(edge, InSync);
    let lease = rig.leases.lease("edge-1");
    assert_eq!(lease["spec"]["holderIdentity"], "edge-1");
    assert_eq!(lease["metadata"]["annotations"], json!({"skerry.io/epoch": "1", "skerry.io/replica": "r1"}));
    assert!(rig.leases.users().iter().all(|user| user == "system:node:edge-1"));

    rig.apply(Kind::Pod, &pod("a", 1));
    let upsert = hears!(edge, Upsert);
    let point = hears!(edge, SyncPoint);
    let version = wire::Version::from_slice(&upsert.version).unwrap();
    let digest = Digest::EMPTY.with("Pod", "u-a", version);
    assert_eq!((upsert.frame, point.frame, point.digest), (1, 2, digest.to_vec()));
    edge.say(Ack { frame: 2, rejected: Vec::new() }).await;
    edge.say(Report { id: 7, kind: "Pod".into(), ..Report::default() }).await;
    assert_eq!(hears!(edge, ReportAck).ids, [7]);

    // The same edge again, which holds it all: nothing is sent.
    let mut again = rig.greeted(Hello { digest: digest.to_vec(), count: 1, last_epoch: 1, ..hello() }).await;
    assert_eq!(hears!(again, Welcome).epoch, 2);
    hears!(again, InSync);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge-1";
    assert_eq!(rig.leases.reads(lease), 1, "an edge that knows its last session opens the next by one write");
    let goodbye = hears!(edge, GoAway);
    assert!(goodbye.reason.contains("newer session") && goodbye.retry_after_ms >= 60_000, "{goodbye:?}");
    until("the older session is closed", || rig.told().contains(&"closed edge-1 1".to_owned())).await;
    let sent = |op| {
        rig.metrics.objects_sent.get_or_create(&cloudcore_hub::SentLabel { kind: "Pod".into(), op }).get()
    };
    assert_eq!((sent("upsert"), sent("delete")), (1, 0));
    assert_eq!(rig.metrics.sessions.get(), 1);
}

#[tokio::test]
async fn an_edge_that_differs_is_compared() {
    let rig = Rig::start().await;
    rig.apply(Kind::Pod, &pod("a", 1));
    let mut edge = rig.greeted(Hello { digest: vec![9; 16], count: 1, ..hello() }).await;
    hears!(edge, Welcome);
    assert_eq!(hears!(edge, WantInventory), wire::WantInventory::default());
    let item = wire::InventoryItem { kind: "Pod".into(), uid: "u-gone".into(), version: vec![1; 16] };
    edge.say(Inventory { items: vec![item], last: true, ..Inventory::default() }).await;
    assert_eq!(hears!(edge, Upsert).uid, "u-a");
    assert_eq!(hears!(edge, Delete).uid, "u-gone");
    hears!(edge, SyncPoint);
    let rejected = Rejected {
        kind: "Pod".into(),
        namespace: "ns".into(),
        name: "a".into(),
        uid: "u-a".into(),
        reason: "no".into(),
    };
    edge.say(Ack { frame: 3, rejected: vec![rejected] }).await;
    until("the rejection is told", || rig.told().contains(&"rejected Pod a".to_owned())).await;
}

#[tokio::test]
async fn an_edge_hears_as_little_as_it_understands() {
    let rig = Rig::start().await;
    rig.apply(Kind::Pod, &pod("a", 1));
    let features = |some: &[&str]| some.iter().map(|feature| (*feature).to_owned()).collect::<Vec<_>>();
    let older = Hello { cluster_id: "cluster".into(), digest: vec![9; 16], count: 40, ..hello() };
    let newer = Hello { features: features(&wire::FEATURES), ..older.clone() };

    let mut edge = rig.greeted(newer).await;
    let welcome = hears!(edge, Welcome);
    assert!(welcome.as_said && welcome.kinds.is_empty() && welcome.cluster_id.is_empty(), "{welcome:?}");
    assert_eq!(welcome.features, wire::FEATURES);
    let want = hears!(edge, WantInventory);
    let buckets = want.buckets;
    assert!(buckets > 0 && want.wanted.is_empty());
    edge.say(Inventory { digests: vec![0; 4 * buckets as usize], last: true, ..Inventory::default() }).await;
    let want = hears!(edge, WantInventory);
    assert_eq!((want.buckets, want.wanted.len()), (buckets, 1));
    edge.say(Inventory { last: true, ..Inventory::default() }).await;
    let short = hears!(edge, Upsert).body.unwrap();
    hears!(edge, SyncPoint);

    let mut edge = rig.greeted(older).await;
    let welcome = hears!(edge, Welcome);
    assert_eq!((welcome.as_said, welcome.kinds.len(), welcome.cluster_id.as_str()), (false, 6, "cluster"));
    assert_eq!(hears!(edge, WantInventory), wire::WantInventory::default());
    edge.say(Inventory { last: true, ..Inventory::default() }).await;
    let long = hears!(edge, Upsert).body.unwrap();
    assert_eq!((short.encoding(), long.encoding()), (Encoding::ZstdKubernetes1, Encoding::Zstd));
    assert!(short.data.len() < long.data.len());
    assert_eq!(short.unpack().unwrap(), long.unpack().unwrap());
}

#[tokio::test]
async fn what_the_index_keeps_no_body_of_is_read_and_sent() {
    let rig = Rig::with(Index::with_own_bodies()).await;
    rig.apply(Kind::Pod, &pod("a", 1));
    let mut edge = rig.greeted(hello()).await;
    hears!(edge, Welcome);
    hears!(edge, WantInventory);
    edge.say(Inventory { last: true, ..Inventory::default() }).await;
    // The API server does not have it in this version yet, and is asked again.
    let path = "/api/v1/pods?fieldSelector=spec.nodeName%3Dedge-1&resourceVersion=0";
    until("it was asked", || rig.leases.reads(path) == 1).await;
    rig.leases.put(path, json!({"items": [pod("a", 0), pod("b", 1)]}));
    rig.clock.advance(Duration::from_secs(10));
    until("it was asked again", || rig.leases.reads(path) == 2).await;
    rig.leases.put(path, json!({"items": [pod("a", 1)]}));
    let mut waited = 0;
    let upsert = loop {
        rig.clock.advance(Duration::from_secs(10));
        let heard = tokio::time::timeout(Duration::from_millis(50), edge.receiver.recv()).await;
        if let Ok(frame) = heard {
            match wire::decode_down(&frame.unwrap().unwrap()).unwrap().content {
                Some(Content::Upsert(upsert)) => break upsert,
                other => panic!("{other:?}"),
            }
        }
        waited += 1;
        assert!(waited < 200, "never sent");
    };
    let body: serde_json::Value = serde_json::from_slice(&upsert.body.unwrap().unpack().unwrap()).unwrap();
    assert_eq!((upsert.uid.as_str(), &body["spec"]), ("u-a", &pod("a", 1)["spec"]));
    hears!(edge, SyncPoint);
    // A session that holds it already needs no body.
    let reads = rig.leases.reads(path);
    let digest = Digest::EMPTY.with("Pod", "u-a", wire::Version::from_slice(&upsert.version).unwrap());
    let mut again = rig.greeted(Hello { digest: digest.to_vec(), count: 1, ..hello() }).await;
    hears!(again, Welcome);
    hears!(again, InSync);
    assert_eq!(rig.leases.reads(path), reads);
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let rig = Rig::start().await;
    let code = |hello: Hello| async {
        let mut edge = rig.greeted(hello).await;
        hears!(edge, Refused).code
    };
    assert_eq!(code(Hello { node_name: "edge-2".into(), ..hello() }).await, RefusedCode::WrongName as i32);
    assert_eq!(code(Hello { cluster_id: "other".into(), ..hello() }).await, RefusedCode::WrongCluster as i32);
    assert_eq!(
        code(Hello { protocol_min: 5, protocol_max: 9, ..hello() }).await,
        RefusedCode::Protocol as i32
    );
    // Its Node was there once, and is not any more.
    rig.identities.registered("edge-1", "u-old").await.unwrap();
    assert_eq!(code(hello()).await, RefusedCode::Revoked as i32);
    assert!(rig.told().is_empty());
}

#[tokio::test]
async fn a_node_that_cannot_be_read_is_not_taken_for_deleted() {
    let rig = Rig::start().await;
    rig.identities.registered("edge-1", "u-n").await.unwrap();
    let code = || async {
        let mut edge = rig.greeted(hello()).await;
        hears!(edge, Refused).code
    };
    rig.leases.forbid("/api/v1/nodes/edge-1", true);
    assert_eq!(code().await, RefusedCode::NotReady as i32);
    // It is there, and not in the index.
    rig.leases.forbid("/api/v1/nodes/edge-1", false);
    rig.leases.put_node("edge-1", json!({"metadata": {"name": "edge-1", "uid": "u-n"}}));
    assert_eq!(code().await, RefusedCode::NotReady as i32);
    rig.apply(Kind::Node, &json!({"metadata": {"name": "edge-1", "uid": "u-n", "resourceVersion": "1"}}));
    open(&rig).await;
}

#[tokio::test]
async fn a_node_of_another_machine_is_no_edges() {
    let rig = Rig::start().await;
    let node = |uid: &str, created: &str| {
        let metadata =
            json!({"name": "edge-1", "uid": uid, "resourceVersion": "1", "creationTimestamp": created});
        json!({ "metadata": metadata })
    };
    let old = node("u-old", "2025-01-01T00:00:00Z");
    rig.leases.put_node("edge-1", old.clone());
    rig.apply(Kind::Node, &old);
    let mut edge = rig.greeted(hello()).await;
    let refused = hears!(edge, Refused);
    assert_eq!(refused.code, RefusedCode::Other as i32);
    assert!(refused.reason.contains("not this edge's"), "{}", refused.reason);
    assert!(rig.leases.users().is_empty(), "nothing was asked as that node");
    // One that was made since the edge joined is its own.
    rig.leases.put_node("edge-1", node("u-old", "2026-01-01T00:00:00Z"));
    open(&rig).await;
}

#[tokio::test]
async fn a_node_that_joined_again_may_remember_another_life() {
    let rig = Rig::start().await;
    let mut edge = rig.greeted(Hello { node_uid: "u-old".into(), ..hello() }).await;
    assert_eq!(hears!(edge, Welcome).node_uid, "");
    hears!(edge, InSync);
    rig.apply(Kind::Node, &json!({"metadata": {"name": "edge-1", "uid": "u-new", "resourceVersion": "1"}}));
    hears!(edge, Upsert);
    hears!(edge, SyncPoint);
    rig.clock.advance(Duration::from_secs(10));
    edge.say(Heartbeat { seq: 1, engine_alive: true, ..Heartbeat::default() }).await;
    hears!(edge, HeartbeatAck);
    for _ in 0..1000 {
        if rig.identities.node_uid("edge-1").await.unwrap().as_deref() == Some("u-new") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the Node's UID was never recorded");
}

#[tokio::test]
async fn an_edge_for_which_there_is_no_room_is_sent_on_and_comes_when_there_is() {
    let rig = Rig::of(Index::new(), 1).await;
    let edge = open(&rig).await;
    let mut other = rig.edge("edge-2").await;
    let refused = hears!(other, Refused);
    assert_eq!(refused.code(), RefusedCode::NotReady);
    assert_eq!(refused.reason, "this replica has 1 nodes, as many as it can take");
    assert!(refused.retry_after_ms >= 20_000, "{refused:?}");
    assert_eq!(rig.metrics.refused.get_or_create(&ReasonLabel { reason: "full" }).get(), 1);
    drop((edge, other));
    until("the session ends", || rig.told().contains(&"closed edge-1 1".to_owned())).await;
    // Its task ends a moment after it was told.
    let welcomed =
        async { while !matches!(rig.greeted(hello()).await.hears().await, Content::Welcome(_)) {} };
    tokio::time::timeout(Duration::from_secs(20), welcomed)
        .await
        .expect("there is room, and nobody is let in");
}

#[tokio::test]
async fn a_deleted_node_ends_its_session() {
    let rig = Rig::start().await;
    rig.apply(Kind::Node, &json!({"metadata": {"name": "edge-1", "uid": "u-n", "resourceVersion": "1"}}));
    let mut edge = open(&rig).await;
    rig.index.observer(Kind::Node).deleted("u-n");
    loop {
        if let Content::GoAway(goodbye) = edge.hears().await {
            assert_eq!(goodbye.reason, "the Node was deleted");
            break;
        }
    }
    let mut again = rig.greeted(hello()).await;
    assert_eq!(hears!(again, Refused).code, RefusedCode::Revoked as i32);
}

#[tokio::test]
async fn a_revocation_while_the_session_opens_ends_it() {
    let rig = Rig::start().await;
    *rig.identities.late.lock().unwrap() = Some("edge-1".to_owned());
    let mut edge = rig.greeted(hello()).await;
    assert_eq!(hears!(edge, GoAway).reason, "revoked");
    assert!(rig.told().is_empty(), "no session was open");
    let mut again = rig.greeted(hello()).await;
    assert_eq!(hears!(again, Refused).code, RefusedCode::Revoked as i32);
}

#[tokio::test]
async fn a_key_that_lost_its_name_ends_its_session_at_the_next_renewal() {
    let rig = Rig::start().await;
    let mut edge = open(&rig).await;
    hears!(edge, InSync);
    let before = rig.leases.lease("edge-1");
    rig.identities.revoke("edge-1").await.unwrap();
    rig.clock.advance(Duration::from_secs(10));
    edge.say(Heartbeat { seq: 1, engine_alive: true, ..Heartbeat::default() }).await;
    hears!(edge, HeartbeatAck);
    assert_eq!(hears!(edge, GoAway).reason, "revoked");
    assert_eq!(rig.leases.lease("edge-1"), before, "nothing is written for it any more");
    until("the session is closed", || rig.told().contains(&"closed edge-1 1".to_owned())).await;
}

#[tokio::test]
async fn a_session_whose_lease_ran_out_ends() {
    let rig = Rig::start().await;
    let mut edge = open(&rig).await;
    hears!(edge, InSync);
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge-1";
    rig.leases.forbid(path, true);
    let failed = || {
        let label = cloudcore_hub::ResultLabel { result: "failed" };
        rig.metrics.lease_writes.get_or_create(&label).get()
    };
    // An engine that stands still asks for no renewal, and so none fails.
    for seq in 1..7 {
        rig.clock.advance(Duration::from_secs(10));
        edge.say(Heartbeat { seq, ..Heartbeat::default() }).await;
        hears!(edge, HeartbeatAck);
    }
    for seq in 7..10 {
        rig.clock.advance(Duration::from_secs(10));
        edge.say(Heartbeat { seq, engine_alive: true, ..Heartbeat::default() }).await;
        hears!(edge, HeartbeatAck);
        until("a renewal has failed", || failed() == seq - 6).await;
    }
    assert_eq!(rig.metrics.sessions.get(), 1, "three that failed are no reason yet");
    rig.clock.advance(Duration::from_secs(10));
    edge.say(Heartbeat { seq: 10, engine_alive: true, ..Heartbeat::default() }).await;
    hears!(edge, HeartbeatAck);
    assert!(hears!(edge, GoAway).reason.contains("not be renewed in time"));
    until("the session is closed", || rig.told().contains(&"closed edge-1 1".to_owned())).await;
}

#[tokio::test]
async fn an_edge_that_gave_up_waiting_ends_no_session() {
    let rig = Rig::start().await;
    let mut edge = open(&rig).await;
    hears!(edge, InSync);
    rig.leases.hold_back(true);
    let impatient = rig.greeted(hello()).await;
    until("the second one waits", || rig.leases.held_back() == 1).await;
    impatient.sender.close("no answer").await;
    let label = ReasonLabel { reason: "gone" };
    until("it is let go", || rig.metrics.refused.get_or_create(&label).get() == 1).await;
    rig.leases.hold_back(false);
    // The first one is alive, and so is its Lease.
    rig.clock.advance(Duration::from_secs(10));
    edge.say(Heartbeat { seq: 1, engine_alive: true, ..Heartbeat::default() }).await;
    assert_eq!(hears!(edge, HeartbeatAck).seq, 1);
    assert_eq!(rig.leases.lease("edge-1")["metadata"]["annotations"]["skerry.io/epoch"], "1");
    assert_eq!(rig.metrics.sessions.get(), 1);
}

#[tokio::test]
async fn a_lease_that_another_replica_took_ends_the_session() {
    let rig = Rig::start().await;
    let mut edge = open(&rig).await;
    hears!(edge, InSync);
    let beat = |seq| Heartbeat { seq, engine_alive: true, ..Heartbeat::default() };
    let renewed = || rig.leases.lease("edge-1")["spec"]["renewTime"].as_str().unwrap().to_owned();
    let before = renewed();
    rig.clock.advance(Duration::from_secs(10));
    edge.say(Heartbeat { seq: 1, ..Heartbeat::default() }).await;
    assert_eq!(hears!(edge, HeartbeatAck).seq, 1);
    edge.say(beat(2)).await;
    hears!(edge, HeartbeatAck);
    until("the Lease is renewed", || renewed() != before).await;
    // Somebody touched the Lease, which is no reason to end.
    rig.leases.change("edge-1", |lease| lease["metadata"]["labels"] = json!({"x": "y"}));
    rig.clock.advance(Duration::from_secs(10));
    edge.say(beat(3)).await;
    hears!(edge, HeartbeatAck);
    // Another replica holds it, which is.
    rig.leases.change("edge-1", |lease| lease["metadata"]["annotations"]["skerry.io/replica"] = json!("r2"));
    let mut seq = 4;
    let goodbye = loop {
        rig.clock.advance(Duration::from_secs(10));
        // Fails where the session has ended already; what was said before that is still to be heard.
        let _ = edge.sender.send(wire::encode(&wire::UpFrame::from(beat(seq)))).await;
        seq += 1;
        if let Content::GoAway(goodbye) = edge.hears().await {
            break goodbye;
        }
    };
    assert!(goodbye.reason.contains("r2"), "{}", goodbye.reason);
}

#[tokio::test]
async fn nonsense_ends_that_session_alone() {
    let rig = Rig::start().await;
    let mut edge = open(&rig).await;
    hears!(edge, InSync);
    let mut other = rig.edge("edge-2").await;
    other.say(Hello { node_name: "edge-2".into(), ..hello() }).await;
    hears!(other, Welcome);
    hears!(other, InSync);
    other.sender.send(vec![0xff; 40]).await.unwrap();
    assert!(hears!(other, GoAway).reason.contains("malformed"));
    edge.say(Ack { frame: 99, rejected: Vec::new() }).await;
    assert!(hears!(edge, GoAway).reason.contains("frame 99"));
    let mut fine = open(&rig).await;
    hears!(fine, InSync);
}

#[tokio::test]
async fn an_edge_answers_over_a_stream() {
    let rig = Rig::start().await;
    assert!(rig.hub.healthz("edge-1").await.is_err());
    let mut edge = open(&rig).await;
    let answered = async {
        let mut stream = edge.streams.accept().await.unwrap().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"GET /healthz HTTP/1.1\r\n"));
        let answer = b"HTTP/1.1 500 x\r\nconnection: close\r\ncontent-length: 4\r\n\r\npods";
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let (health, ()) = tokio::join!(rig.hub.healthz("edge-1"), answered);
    let health = health.unwrap();
    assert_eq!((health.code, health.text.as_str()), (500, "pods"));
}

#[tokio::test]
async fn who_comes_while_many_sessions_open_waits_for_its_turn() {
    let rig = Rig::start().await;
    rig.leases.hold_back(true);
    let comes = async |name: String| {
        let edge = rig.edge(&name).await;
        edge.say(Hello { node_name: name, ..hello() }).await;
        edge
    };
    let mut first = Vec::new();
    for n in 0..64 {
        first.push(comes(format!("edge-{n}")).await);
    }
    until("all of them are being opened", || rig.metrics.opening.get() == 64).await;
    let mut late = comes("late".to_owned()).await;
    // One that gives up leaves its place to the next.
    drop(comes("impatient".to_owned()).await);
    let gone = ReasonLabel { reason: "gone" };
    until("it is known to be gone", || rig.metrics.refused.get_or_create(&gone).get() == 1).await;
    let mut last = comes("last".to_owned()).await;
    rig.leases.hold_back(false);
    for edge in first.iter_mut().chain([&mut late, &mut last]) {
        hears!(edge, Welcome);
    }
    until("nobody is being let in", || rig.metrics.opening.get() == 0).await;
    let busy = ReasonLabel { reason: "busy" };
    assert_eq!(rig.metrics.refused.get_or_create(&busy).get(), 0);
}

#[tokio::test]
async fn at_the_end_edges_are_sent_away_and_told_when_to_come_elsewhere() {
    let rig = Rig::start().await;
    let mut edges = Vec::new();
    for n in 0..25 {
        let name = format!("edge-{n}");
        let mut edge = rig.edge(&name).await;
        edge.say(Hello { node_name: name, ..hello() }).await;
        hears!(edge, Welcome);
        hears!(edge, InSync);
        edges.push(edge);
    }
    rig.shutdown.request("test");
    for edge in &mut edges {
        let goodbye = hears!(edge, GoAway);
        assert!((1..=1_000).contains(&goodbye.retry_after_ms), "{goodbye:?}");
    }
    until("the hub has ended", || rig.running.is_empty()).await;
    assert_eq!((rig.metrics.drained.get(), rig.metrics.sessions.get()), (25, 0));
}

#[tokio::test]
async fn at_the_end_every_edge_hears_of_it() {
    let rig = Rig::start().await;
    let mut edge = open(&rig).await;
    hears!(edge, InSync);
    rig.shutdown.request("test");
    assert_eq!(hears!(edge, GoAway).reason, "cloudcore shuts down");
    until("the hub has ended", || rig.running.is_empty()).await;
    assert_eq!(rig.told(), ["opened edge-1 1", "closed edge-1 1"]);
}
