//! What the edge sends.

use std::sync::atomic::Ordering;

use edgecore_store::{JournalEntry, LedgerRow, TokenKey};
use edgecore_sync::Phase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{CallReply, EntryAck, Kind, ObjectKey, ReportAck, ReportRefused, WantReports, call, call_reply};

use crate::cloud::{both, pick, upsert};

fn pod(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::Pod, "default", name)
}

#[tokio::test]
async fn reports_go_out_until_they_are_acknowledged() {
    let (mut cloud, edge) = both().await;
    edge.store.report(pod("p"), "u1", b"{\"status\":1}".to_vec()).await.unwrap();
    let (mut session, hello) = cloud.session().await;
    assert_eq!(hello.reports_count, 1);
    let first = session.wait_for(pick!(Report)).await;
    assert_eq!((first.uid.as_str(), first.name.as_str()), ("u1", "p"));
    // Not acknowledged: it comes again with the next session.
    drop(session);
    let (mut session, _) = cloud.session().await;
    let again = session.wait_for(pick!(Report)).await;
    assert_eq!((again.id, again.body.unwrap().unpack().unwrap()), (first.id, b"{\"status\":1}".to_vec()));
    // A newer value while the older one is under way.
    edge.store.report(pod("p"), "u1", b"{\"status\":2}".to_vec()).await.unwrap();
    let newer = session.wait_for(pick!(Report)).await;
    assert!(newer.id > first.id);
    session.send(ReportAck { ids: vec![first.id, newer.id] }).await;
    edge.until("nothing is pending", |store| store.pending_reports(0, 9).unwrap().is_empty()).await;

    // The cluster shows something else: the cloud asks, first what there is, then for the report.
    session.send(WantReports { inventory: true, uids: vec![] }).await;
    let inventory = session.wait_for(pick!(ReportInventory)).await;
    assert!(inventory.last && inventory.items.len() == 1);
    assert_eq!(
        inventory.items[0].hash,
        wire::owned::report_hash(Kind::Pod, &serde_json::json!({"status": 2})).to_vec()
    );
    session.send(WantReports { inventory: false, uids: vec!["u1".to_owned()] }).await;
    let resent = session.wait_for(pick!(Report)).await;
    assert_eq!(resent.id, newer.id);
    session.send(ReportRefused { id: resent.id, reason: "no such pod".to_owned() }).await;
    edge.until("nothing is pending", |store| store.pending_reports(0, 9).unwrap().is_empty()).await;
    assert!(edge.store.ledger().unwrap().iter().all(LedgerRow::balanced));
}

#[tokio::test]
async fn many_reports_pass_through_a_bounded_window() {
    let (mut cloud, edge) = both().await;
    for n in 0..150 {
        edge.store.report(pod(&format!("p{n}")), &format!("u{n}"), b"{}".to_vec()).await.unwrap();
    }
    let (mut session, _) = cloud.session().await;
    let (mut ids, mut total) = (Vec::new(), 0);
    while total < 150 {
        // Acknowledge only when the window is full, or all are there.
        ids.push(session.wait_for(pick!(Report)).await.id);
        total += 1;
        if ids.len() == 64 || total == 150 {
            session.send(ReportAck { ids: std::mem::take(&mut ids) }).await;
        }
    }
    edge.until("nothing is pending", |store| store.pending_reports(0, 9).unwrap().is_empty()).await;
}

#[tokio::test]
async fn journal_entries_are_kept_until_they_arrived() {
    let (mut cloud, edge) = both().await;
    let entry = |text: &str| JournalEntry {
        stream: "events",
        priority: 5,
        expires_after: None,
        body: text.as_bytes().to_vec(),
    };
    let first = edge.store.append(entry("{\"n\":1}")).await.unwrap();
    let second = edge.store.append(entry("{\"n\":2}")).await.unwrap();
    let (mut session, _) = cloud.session().await;
    assert_eq!(session.wait_for(pick!(Entry)).await.seq, first);
    drop(session);
    let (mut session, _) = cloud.session().await;
    assert_eq!(session.wait_for(pick!(Entry)).await.seq, first);
    let entry = session.wait_for(pick!(Entry)).await;
    assert_eq!((entry.seq, entry.stream.as_str(), entry.priority), (second, "events", 5));
    let ack = EntryAck { seqs: vec![first, second], refused: vec![second], reasons: vec!["no".to_owned()] };
    session.send(ack).await;
    edge.until("the journal is empty", |store| store.journal(0, 9).unwrap().is_empty()).await;
    let ledger = edge.store.ledger().unwrap().remove(0);
    assert!(ledger.balanced());
    assert_eq!((ledger.delivered, ledger.dropped), (1, vec![("refused".to_owned(), 1)]));
}

#[tokio::test]
async fn what_matters_more_is_sent_first_and_a_stream_that_is_not_taken_holds_up_no_other() {
    let (mut cloud, edge) = both().await;
    let entry =
        |stream, priority| JournalEntry { stream, priority, expires_after: None, body: b"{}".to_vec() };
    for _ in 0..100 {
        edge.store.append(entry("messages", 1)).await.unwrap();
    }
    let alarm = edge.store.append(entry("messages", 9)).await.unwrap();
    let event = edge.store.append(entry("events", 0)).await.unwrap();
    let (mut session, _) = cloud.session().await;
    let (mut messages, mut seen) = (Vec::new(), None);
    // The cloud acknowledges none: the window of one stream is full, and the other's entry came all the same.
    while messages.len() < 64 || seen.is_none() {
        let entry = session.wait_for(pick!(Entry)).await;
        match entry.stream.as_str() {
            "events" => seen = Some(entry.seq),
            _ => messages.push(entry.seq),
        }
    }
    assert_eq!((messages.len(), messages[0], seen), (64, alarm, Some(event)));
    assert_eq!(messages[1..], (1..64).collect::<Vec<u64>>());
}

#[tokio::test]
async fn what_expires_leaves_without_a_link_and_without_another_entry() {
    let (_cloud, edge) = both().await;
    let entry = JournalEntry {
        stream: "readings",
        priority: 0,
        expires_after: Some(std::time::Duration::from_millis(1)),
        body: b"{}".to_vec(),
    };
    edge.store.append(entry).await.unwrap();
    edge.until("it left", |store| store.journal(0, 9).unwrap().is_empty()).await;
    let ledger = edge.store.ledger().unwrap();
    let readings = ledger.iter().find(|row| row.stream == "readings").unwrap();
    assert!(readings.balanced() && readings.expired == 1, "{readings:?}");
}

#[tokio::test]
async fn tokens_are_asked_for_until_they_come() {
    let (mut cloud, edge) = both().await;
    let (mut session, _) = cloud.session().await;
    session.send(upsert(1, "Pod", "p", "1")).await;
    session.wait_for(pick!(Ack)).await;
    let key = TokenKey {
        pod_uid: "uid-p".to_owned(),
        namespace: "default".to_owned(),
        pod_name: "p".to_owned(),
        service_account: "default".to_owned(),
        audiences: vec!["vault".to_owned()],
        expiration_seconds: 3607,
    };
    edge.store.want_token(key.clone()).await.unwrap();
    let call = session.wait_for(pick!(Call)).await;
    let Some(call::Request::Token(request)) = call.request else { panic!("no token request") };
    assert_eq!(
        (request.pod_uid.as_str(), request.audiences.as_slice()),
        ("uid-p", ["vault".to_owned()].as_slice())
    );
    assert_eq!(request.expiration_seconds, 3607);
    let failure = call_reply::Failure { status: 403, reason: "not yours".to_owned() };
    session.send(CallReply { id: call.id, result: Some(call_reply::Result::Err(failure)) }).await;
    let again = session.wait_for(pick!(Call)).await;
    assert!(edge.store.token_refusal(&key).is_some_and(|reason| reason.contains("not yours (403)")));
    assert!(edge.store.token(&key).unwrap().is_none());
    let expires = kit::Clock::system().wall().plus_millis(3_607_000);
    let answer = serde_json::json!({"status": {"token": "tok", "expirationTimestamp": expires.rfc3339()}});
    let answer = Some(call_reply::Result::Ok(answer.to_string().into_bytes()));
    session.send(CallReply { id: again.id, result: answer }).await;
    edge.until("the token is there", |store| store.token(&key).unwrap().is_some()).await;
    let token = edge.store.token(&key).unwrap().unwrap();
    assert_eq!(token.token.0, "tok");
    assert!((3590..=3607).contains(&token.life.as_secs()), "{:?}", token.life);
    assert_eq!(edge.store.token_refusal(&key), None);
}

#[tokio::test]
async fn heartbeats_say_whether_the_engine_is_alive() {
    let (mut cloud, edge) = both().await;
    let (mut session, _) = cloud.session().await;
    let first = session.wait_for(pick!(Heartbeat)).await;
    assert!(first.engine_alive && first.seq == 1 && first.digest.is_empty());
    edge.engine_alive.store(false, Ordering::SeqCst);
    let mut last = first.seq;
    session
        .wait_for(|content| {
            let beat = pick!(Heartbeat)(content)?;
            (!beat.engine_alive).then_some(())
        })
        .await;
    // The cloud believes something else of the edge: the next beat tells what is there.
    let ack = wire::HeartbeatAck { seq: 2, digest: vec![9; 16] };
    session.sender.send_urgent(wire::encode(&wire::DownFrame::from(ack))).await.unwrap();
    let told =
        session.wait_for(|content| pick!(Heartbeat)(content).filter(|beat| !beat.digest.is_empty())).await;
    last = last.max(told.seq);
    assert!(last > 1);
    assert_eq!(told.digest, edge.store.digest().0.to_vec());
}

#[tokio::test]
async fn streams_are_handed_on() {
    let (mut cloud, edge) = both().await;
    let (session, _) = cloud.session().await;
    edge.phase(Phase::Connected).await;
    let mut stream = session.streams.open().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"x");
}
