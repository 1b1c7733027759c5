//! A reference cloud and the real store, joined by the real inbox: whatever is changed, cut, repeated or broken, both
//! are equal in the end.

use std::collections::{BTreeMap, VecDeque};

use edgecore_store::Store;
use kit::{Clock, WallTime};
use proptest::prelude::*;
use wire::{Body, Delete, Digest, DownFrame, Kind, SyncPoint, Upsert, Version};

use crate::inbox::{Batch, End, Inbox};

#[derive(Debug, Clone)]
enum Op {
    /// Object n gets value v; the last value is one whose body is damaged on the way.
    Set(u8, u8),
    Remove(u8),
    /// So many frames arrive at once.
    Deliver(u8),
    /// The cloud sends something again that it has sent.
    Repeat(u8),
    /// The connection breaks; what was under way is lost.
    Cut,
    /// The power fails: the edge begins anew from its disk.
    Power,
}

const BROKEN: u8 = 3;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0_u8..6, 0..=BROKEN).prop_map(|(n, v)| Op::Set(n, v)),
        2 => (0_u8..6).prop_map(Op::Remove),
        4 => (1_u8..5).prop_map(Op::Deliver),
        1 => (0_u8..6).prop_map(Op::Repeat),
        1 => Just(Op::Cut),
        1 => Just(Op::Power),
    ];
    prop::collection::vec(op, 1..50)
}

fn kind(n: u8) -> Kind {
    [Kind::Pod, Kind::Secret, Kind::ConfigMap, Kind::Service][usize::from(n) % 4]
}

fn body(n: u8, v: u8) -> Vec<u8> {
    let name = format!("n{n}");
    let meta = serde_json::json!({"name": name, "namespace": "default", "uid": format!("u{n}")});
    wire::canonical(&serde_json::json!({"metadata": meta, "v": v})).unwrap()
}

/// The cloud's end: what it wants, and what of it is on its way.
#[derive(Default)]
struct Cloud {
    desired: BTreeMap<u8, u8>,
    frame: u64,
    queue: VecDeque<DownFrame>,
}

impl Cloud {
    fn digest(&self) -> Digest {
        self.desired.iter().fold(Digest::EMPTY, |sum, (n, v)| {
            sum.with(kind(*n).name(), &format!("u{n}"), Version::of(&body(*n, *v)))
        })
    }

    fn number(&mut self) -> u64 {
        self.frame += 1;
        self.frame
    }

    fn upsert(&mut self, n: u8, v: u8) {
        let text = body(n, v);
        let sent = if v == BROKEN { b"{\"damaged\":true}".to_vec() } else { text.clone() };
        let frame = self.number();
        self.queue.push_back(
            Upsert {
                frame,
                kind: kind(n).name().to_owned(),
                namespace: "default".to_owned(),
                name: format!("n{n}"),
                uid: format!("u{n}"),
                version: Version::of(&text).to_vec(),
                body: Some(Body::pack(&sent).unwrap()),
                seen: String::new(),
            }
            .into(),
        );
    }

    fn delete(&mut self, kind: &str, uid: &str) {
        let frame = self.number();
        self.queue.push_back(
            Delete { frame, kind: kind.to_owned(), uid: uid.to_owned(), seen: String::new() }.into(),
        );
    }

    fn point(&mut self) {
        let point = SyncPoint {
            frame: self.number(),
            digest: self.digest().to_vec(),
            count: u32::try_from(self.desired.len()).unwrap(),
            seen: vec![],
        };
        self.queue.push_back(point.into());
    }

    /// A session opens, or a mismatch was told: the difference to what the edge holds.
    fn compare(&mut self, edge: &Store) {
        let held: BTreeMap<(String, String), Version> =
            edge.inventory().unwrap().into_iter().map(|held| ((held.kind, held.uid), held.version)).collect();
        for (n, v) in self.desired.clone() {
            let id = (kind(n).name().to_owned(), format!("u{n}"));
            if held.get(&id) != Some(&Version::of(&body(n, v))) {
                self.upsert(n, v);
            }
        }
        let wanted: Vec<_> =
            self.desired.keys().map(|n| (kind(*n).name().to_owned(), format!("u{n}"))).collect();
        for (kind, uid) in held.into_keys().filter(|id| !wanted.contains(id)) {
            self.delete(&kind, &uid);
        }
        self.point();
    }

    fn cut(&mut self) {
        self.queue.clear();
        self.frame = 0;
    }
}

/// The edge's end: as the receiving loop does, without its sockets.
async fn deliver(cloud: &mut Cloud, inbox: &mut Inbox, store: &Store, most: usize) {
    let mut batch = Batch::default();
    for _ in 0..most {
        if !batch.open() {
            break;
        }
        let Some(frame) = cloud.queue.pop_front() else { break };
        inbox.take(frame, &mut batch).unwrap();
    }
    assert_eq!(
        batch.rejected.iter().map(|rejected| rejected.reason.as_str()).collect::<Vec<_>>(),
        vec!["body does not have the version it says"; batch.rejected.len()]
    );
    store.apply(batch.changes).await.unwrap();
    if let Some(End::Point(point)) = batch.end {
        let (digest, count) = store.digest();
        if (digest.to_vec(), count) == (point.digest, point.count) {
            store.sync_point(vec![]).await.unwrap();
        } else {
            cloud.compare(store);
        }
    }
}

fn open(dir: &std::path::Path) -> Store {
    Store::open_in_boot(dir, Clock::manual(WallTime(0)), "b").unwrap().store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn both_ends_are_equal_in_the_end(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(dir.path());
            let (mut cloud, mut inbox) = (Cloud::default(), Inbox::default());
            cloud.compare(&store);
            for op in ops {
                match op {
                    Op::Set(n, v) => {
                        cloud.desired.insert(n, v);
                        cloud.upsert(n, v);
                        cloud.point();
                    }
                    Op::Remove(n) => {
                        if cloud.desired.remove(&n).is_some() {
                            cloud.delete(kind(n).name(), &format!("u{n}"));
                            cloud.point();
                        }
                    }
                    Op::Deliver(most) => deliver(&mut cloud, &mut inbox, &store, most.into()).await,
                    Op::Repeat(n) => {
                        if let Some(v) = cloud.desired.get(&n).copied() {
                            cloud.upsert(n, v);
                        }
                    }
                    Op::Cut | Op::Power => {
                        if matches!(op, Op::Power) {
                            drop(store);
                            store = open(dir.path());
                        }
                        cloud.cut();
                        inbox = Inbox::default();
                        cloud.compare(&store);
                    }
                }
            }
            while !cloud.queue.is_empty() {
                deliver(&mut cloud, &mut inbox, &store, 3).await;
            }
            // Equal by the digests, and by a look of our own at every object.
            assert_eq!(store.digest().0, cloud.digest());
            assert!(store.meta().first_sync_done);
            for (n, v) in &cloud.desired {
                let object = store.object_by_uid(kind(*n), &format!("u{n}")).unwrap();
                if *v != BROKEN {
                    assert_eq!(object.map(|object| object.body.to_vec()), Some(body(*n, *v)));
                }
            }
            let wanted = wire::KINDS
                .into_iter()
                .flat_map(|kind| store.objects(kind).unwrap())
                .filter(|object| !object.deleting)
                .all(|object| cloud.desired.contains_key(&object.uid[1..].parse::<u8>().unwrap()));
            assert!(wanted);
        });
    }
}
