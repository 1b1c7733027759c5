//! The digest is always that of the rows, and the rows are what was wanted.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::{Digest, Kind, Version};

use super::{delete, fixture, key, open, reject, upsert};
use crate::{Change, Held, Store};

#[derive(Debug, Clone)]
enum Op {
    Change(Change),
    Retire(String),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let kind = prop::sample::select(vec![Kind::Pod, Kind::ConfigMap, Kind::Secret, Kind::Service]);
    let op = (kind, 0_u8..3, 0_u8..3, 0_u8..11).prop_map(|(kind, uid, value, what)| {
        let uid = format!("{kind}-{uid}");
        let body = format!("{{\"v\":{value}}}");
        match what {
            0..=4 => Op::Change(upsert(kind, &format!("n{value}"), &uid, &body)),
            5..=6 => Op::Change(delete(kind, &uid)),
            7 => Op::Change(reject(kind.name(), &uid, Version::of(body.as_bytes()))),
            8 => Op::Retire(uid),
            9 => {
                Op::Change(Change::Seen { kind: kind.name().to_owned(), resource_version: value.to_string() })
            }
            _ => Op::Reopen,
        }
    });
    prop::collection::vec(op, 1..40)
}

/// What should be held, and the bodies that may be acted on.
#[derive(Default)]
struct Model {
    held: BTreeMap<(String, String), (Version, bool)>,
    bodies: BTreeMap<(String, String), Vec<u8>>,
    seen: BTreeMap<String, String>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Upsert { key, uid, version, body } => {
                let id = (key.kind.name().to_owned(), uid.clone());
                self.held.insert(id.clone(), (*version, false));
                self.bodies.insert(id, body.clone());
            }
            Change::Delete { kind, uid } => {
                let id = (kind.clone(), uid.clone());
                // A deleted pod stays until it is retired; nothing here is named by a pod.
                if self.held.remove(&id).is_some() && kind != "Pod" {
                    self.bodies.remove(&id);
                }
            }
            Change::Reject { kind, uid, version, .. } => {
                self.held.insert((kind.clone(), uid.clone()), (*version, true));
            }
            Change::Seen { kind, resource_version } => {
                self.seen.insert(kind.clone(), resource_version.clone());
            }
        }
    }

    fn retire(&mut self, uid: &str) {
        let id = ("Pod".to_owned(), uid.to_owned());
        if !self.held.contains_key(&id) {
            self.bodies.remove(&id);
        }
    }

    fn check(&self, store: &Store) {
        let held: BTreeMap<_, _> = store
            .inventory()
            .unwrap()
            .into_iter()
            .map(|Held { kind, uid, version, rejected }| ((kind, uid), (version, rejected.is_some())))
            .collect();
        assert_eq!(held, self.held);
        assert_eq!(store.meta().seen.into_iter().collect::<BTreeMap<_, _>>(), self.seen);
        let digest =
            self.held.iter().fold(Digest::EMPTY, |sum, ((kind, uid), (v, _))| sum.with(kind, uid, *v));
        assert_eq!(store.digest(), (digest, u32::try_from(self.held.len()).unwrap()));
        let bodies: BTreeMap<_, _> = wire::KINDS
            .into_iter()
            .flat_map(|kind| store.objects(kind).unwrap())
            .map(|object| ((object.key.kind.name().to_owned(), object.uid), object.body.to_vec()))
            .collect();
        assert_eq!(bodies, self.bodies);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn rows_and_digest_follow_the_model(ops in ops(), batch in 1_usize..5) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = fixture();
            let mut model = Model::default();
            let mut waiting = Vec::new();
            for op in ops {
                if let Op::Change(change) = &op {
                    model.apply(change);
                    waiting.push(change.clone());
                    if waiting.len() < batch {
                        continue;
                    }
                }
                let applied = fixture.store.apply(std::mem::take(&mut waiting)).await.unwrap();
                assert_eq!((applied.digest, applied.count), fixture.store.digest());
                match op {
                    Op::Change(_) => {}
                    Op::Retire(uid) => {
                        let wanted = model.held.contains_key(&("Pod".to_owned(), uid.clone()));
                        assert_eq!(fixture.store.retire_pod(&uid).await.unwrap(), !wanted);
                        model.retire(&uid);
                    }
                    Op::Reopen => {
                        let placeholder = super::fixture();
                        drop(std::mem::replace(&mut fixture.store, placeholder.store));
                        let opened = open(fixture.dir.path(), &fixture.clock);
                        assert!(!opened.fresh);
                        fixture.store = opened.store;
                    }
                }
                model.check(&fixture.store);
            }
        });
    }
}

#[tokio::test]
async fn a_rejected_version_counts_and_the_last_good_body_stays() {
    let fixture = fixture();
    let good = "{\"v\":1}";
    fixture.store.apply(vec![upsert(Kind::ConfigMap, "c", "u1", good)]).await.unwrap();
    let (bad, other) = (Version::of(b"bad"), Version::of(b"other"));
    let applied = fixture
        .store
        .apply(vec![reject("ConfigMap", "u1", bad), reject("Gadget", "u2", other)])
        .await
        .unwrap();
    let expected = Digest::EMPTY.with("ConfigMap", "u1", bad).with("Gadget", "u2", other);
    assert_eq!((applied.digest, applied.count, applied.changed), (expected, 2, 2));
    let object = fixture.store.object(&key(Kind::ConfigMap, "c")).unwrap().unwrap();
    assert_eq!((&*object.body, object.version), (good.as_bytes(), Version::of(good.as_bytes())));

    // The same rejection again changes nothing.
    assert_eq!(fixture.store.apply(vec![reject("Gadget", "u2", other)]).await.unwrap().changed, 0);
}

#[tokio::test]
async fn a_new_agent_is_sent_what_an_older_one_rejected() {
    let fixture = fixture();
    fixture.store.set_agent("1").await.unwrap();
    let good = "{\"v\":1}";
    fixture.store.apply(vec![upsert(Kind::ConfigMap, "c", "u1", good)]).await.unwrap();
    let whole = fixture.store.digest();
    let bad = Version::of(b"bad");
    fixture.store.apply(vec![reject("ConfigMap", "u1", bad), reject("Gadget", "u2", bad)]).await.unwrap();
    let rejecting = fixture.store.digest();
    fixture.store.set_agent("1").await.unwrap();
    assert_eq!(fixture.store.digest(), rejecting);
    fixture.store.set_agent("2").await.unwrap();
    assert_eq!(fixture.store.digest(), whole);
    assert_eq!(fixture.store.inventory().unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_uids_of_a_name_the_newest_wanted_one_is_found() {
    let fixture = fixture();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "old", "{\"v\":1}")]).await.unwrap();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "new", "{\"v\":2}")]).await.unwrap();
    assert_eq!(fixture.store.object(&key(Kind::Pod, "p")).unwrap().unwrap().uid, "new");
    fixture.store.apply(vec![delete(Kind::Pod, "new")]).await.unwrap();
    assert_eq!(fixture.store.object(&key(Kind::Pod, "p")).unwrap().unwrap().uid, "old");
    let uids: Vec<_> = fixture
        .store
        .objects(Kind::Pod)
        .unwrap()
        .into_iter()
        .map(|object| (object.uid, object.deleting))
        .collect();
    assert_eq!(uids, [("old".to_owned(), false), ("new".to_owned(), true)]);
    assert_eq!(
        fixture.store.object_by_uid(Kind::Pod, "new").unwrap().map(|object| object.deleting),
        Some(true)
    );
}

#[tokio::test]
async fn watchers_of_a_kind_hear_of_that_kind_only() {
    let fixture = fixture();
    let mut pods = fixture.store.watch(Kind::Pod);
    let mut secrets = fixture.store.watch(Kind::Secret);
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "u", "{}")]).await.unwrap();
    assert!(pods.has_changed().unwrap() && !secrets.has_changed().unwrap());
    pods.mark_unchanged();
    fixture.store.apply(vec![upsert(Kind::Pod, "p", "u", "{}")]).await.unwrap();
    assert!(!pods.has_changed().unwrap());
    // The first sync point is news for everybody: from then on absence means something.
    fixture.store.sync_point(vec![]).await.unwrap();
    assert!(pods.has_changed().unwrap() && secrets.has_changed().unwrap());
    pods.mark_unchanged();
    secrets.mark_unchanged();
    fixture.store.sync_point(vec![("Pod".to_owned(), "7".to_owned())]).await.unwrap();
    assert!(!pods.has_changed().unwrap() && !secrets.has_changed().unwrap());
    assert_eq!(fixture.store.meta().seen, [("Pod".to_owned(), "7".to_owned())]);
}

#[tokio::test]
async fn how_far_a_kind_was_seen_is_kept_with_the_object_that_came() {
    let mut fixture = fixture();
    let seen = |version: &str| Change::Seen { kind: "Pod".to_owned(), resource_version: version.to_owned() };
    let applied = fixture.store.apply(vec![seen("7"), upsert(Kind::Pod, "p", "u", "{}")]).await.unwrap();
    assert_eq!((applied.count, applied.changed), (1, 1));
    assert_eq!(fixture.store.meta().seen, [("Pod".to_owned(), "7".to_owned())]);
    fixture.store.apply(vec![seen("9"), delete(Kind::Pod, "u")]).await.unwrap();
    drop(std::mem::replace(&mut fixture.store, super::fixture().store));
    fixture.store = open(fixture.dir.path(), &fixture.clock).store;
    assert_eq!(fixture.store.meta().seen, [("Pod".to_owned(), "9".to_owned())]);
}
