//! The outbox: last value wins, nothing is lost, the accounts balance.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::{Digest, Kind, Version};

use super::{fixture, key, open};
use crate::LedgerRow;

#[derive(Debug, Clone)]
enum Op {
    Report(u8, u8),
    /// Acknowledge the nth report ever sent.
    Ack(usize),
    Refuse(usize),
    Resend(u8),
    Forget(u8),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0_u8..4, 0_u8..3).prop_map(|(uid, value)| Op::Report(uid, value)),
        3 => (0_usize..40).prop_map(Op::Ack),
        1 => (0_usize..40).prop_map(Op::Refuse),
        1 => (0_u8..4).prop_map(Op::Resend),
        1 => (0_u8..4).prop_map(Op::Forget),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..40)
}

fn hash(body: &[u8]) -> Version {
    wire::owned::report_hash(Kind::Pod, &serde_json::from_slice(body).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_outbox_follows_the_model(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = fixture();
            // uid -> (value, pending)
            let mut model: BTreeMap<String, (Vec<u8>, bool)> = BTreeMap::new();
            // every id ever seen pending -> (uid, value)
            let mut sent: BTreeMap<u64, (String, Vec<u8>)> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Report(uid, value) => {
                        let (uid, body) = (format!("u{uid}"), format!("{{\"status\":{{\"phase\":\"v{value}\"}}}}").into_bytes());
                        let changed = model.get(&uid).is_none_or(|(known, _)| *known != body);
                        let answer = fixture.store.report(key(Kind::Pod, &uid), &uid, body.clone()).await.unwrap();
                        assert_eq!(answer, changed);
                        if changed {
                            model.insert(uid, (body, true));
                        }
                    }
                    Op::Ack(nth) | Op::Refuse(nth) => {
                        let Some((id, (uid, body))) = sent.iter().nth(nth) else { continue };
                        if matches!(op, Op::Ack(_)) {
                            fixture.store.reports_acked(vec![*id]).await.unwrap();
                        } else {
                            fixture.store.report_refused(*id, "no").await.unwrap();
                        }
                        // Only the row with that id is meant: a later value has another.
                        let rows = fixture.store.pending_reports(0, 99).unwrap();
                        assert!(rows.iter().all(|row| row.id != *id));
                        if let Some((known, pending)) = model.get_mut(uid)
                            && known == body && rows.iter().all(|row| row.uid != *uid)
                        {
                            *pending = false;
                        }
                    }
                    Op::Resend(uid) => {
                        let uid = format!("u{uid}");
                        fixture.store.resend(vec![uid.clone()]).await.unwrap();
                        if let Some((_, pending)) = model.get_mut(&uid) {
                            *pending = true;
                        }
                    }
                    Op::Forget(uid) => {
                        let uid = format!("u{uid}");
                        fixture.store.forget_report(&uid).await.unwrap();
                        model.remove(&uid);
                    }
                    Op::Reopen => {
                        drop(std::mem::replace(&mut fixture.store, super::fixture().store));
                        fixture.store = open(fixture.dir.path(), &fixture.clock).store;
                    }
                }
                let rows = fixture.store.pending_reports(0, 99).unwrap();
                assert!(rows.windows(2).all(|pair| pair[0].id < pair[1].id));
                let pending: BTreeMap<_, _> =
                    rows.iter().map(|row| (row.uid.clone(), row.body.clone())).collect();
                let expected: BTreeMap<_, _> = model
                    .iter()
                    .filter(|(_, (_, pending))| *pending)
                    .map(|(uid, (body, _))| (uid.clone(), body.clone()))
                    .collect();
                assert_eq!(pending, expected);
                sent.extend(rows.into_iter().map(|row| (row.id, (row.uid, row.body))));
                let digest = model
                    .iter()
                    .fold(Digest::EMPTY, |sum, (uid, (body, _))| sum.with("Pod", uid, hash(body)));
                assert_eq!(
                    fixture.store.reports_digest().unwrap(),
                    (digest, u32::try_from(model.len()).unwrap())
                );
                let ledger = fixture.store.ledger().unwrap();
                assert!(ledger.iter().all(LedgerRow::balanced), "{ledger:?}");
            }
        });
    }
}

#[tokio::test]
async fn of_the_node_there_is_one_report_whatever_its_uid() {
    let fixture = fixture();
    let node = wire::ObjectKey::new(Kind::Node, "", "edge-1");
    fixture.store.report(node.clone(), "", b"{\"v\":1}".to_vec()).await.unwrap();
    fixture.store.report(node.clone(), "uid-1", b"{\"v\":1}".to_vec()).await.unwrap();
    fixture.store.report(node, "uid-2", b"{\"v\":1}".to_vec()).await.unwrap();
    let rows = fixture.store.pending_reports(0, 9).unwrap();
    assert_eq!(rows.iter().map(|row| row.uid.as_str()).collect::<Vec<_>>(), ["uid-2"]);
    assert_eq!(fixture.store.reports_digest().unwrap().1, 1);
}

#[tokio::test]
async fn a_late_acknowledgement_does_not_take_the_newer_value() {
    let fixture = fixture();
    let mut news = fixture.store.watch_reports();
    fixture.store.report(key(Kind::Pod, "p"), "u", b"{\"v\":1}".to_vec()).await.unwrap();
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    let first = fixture.store.pending_reports(0, 9).unwrap().remove(0);
    fixture.store.report(key(Kind::Pod, "p"), "u", b"{\"v\":2}".to_vec()).await.unwrap();
    fixture.store.reports_acked(vec![first.id]).await.unwrap();
    let left = fixture.store.pending_reports(0, 9).unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].id > first.id && left[0].body == b"{\"v\":2}");
    assert_eq!(fixture.store.pending_reports(left[0].id, 9).unwrap(), []);
}

#[tokio::test]
async fn a_report_is_compared_as_a_whole_and_hashed_by_what_both_sides_spell_alike() {
    let fixture = fixture();
    let body = |time: &str| {
        let condition = serde_json::json!({"type": "Ready", "status": "True", "lastTransitionTime": time});
        serde_json::json!({"status": {"conditions": [condition]}}).to_string().into_bytes()
    };
    assert!(fixture.store.report(key(Kind::Pod, "p"), "u", body("1")).await.unwrap());
    let first = fixture.store.reports_digest().unwrap();
    assert!(fixture.store.report(key(Kind::Pod, "p"), "u", body("2")).await.unwrap());
    assert_eq!(fixture.store.reports_digest().unwrap(), first);
    let error = fixture.store.report(key(Kind::Pod, "p"), "u", b"no json".to_vec()).await.unwrap_err();
    assert!(error.to_string().contains("a report"));
}
