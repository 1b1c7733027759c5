//! The index against a recomputation from nothing.

use std::collections::{BTreeMap, BTreeSet};

use cloudcore_kube::watch::Observer;
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{Digest, KINDS, Kind};

use super::{apply, node, plain, pod};
use crate::{Index, Subscription};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pod { n: u8, on: u8, config: u8, secret: u8, links: bool },
    Map { n: u8, life: u8, data: u8 },
    Secret { n: u8, data: u8 },
    Service { n: u8, namespace: u8 },
    Node { n: u8 },
    Delete { kind: u8, uid: u8 },
    Relist { kind: u8, keep: u8 },
    Connect { n: u8 },
    Disconnect { n: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, 0..3_u8, 0..3_u8, 0..3_u8, any::<bool>())
            .prop_map(|(n, on, config, secret, links)| Step::Pod { n, on, config, secret, links }),
        2 => (0..3_u8, 0..2_u8, 0..3_u8).prop_map(|(n, life, data)| Step::Map { n, life, data }),
        2 => (0..3_u8, 0..3_u8).prop_map(|(n, data)| Step::Secret { n, data }),
        1 => (0..3_u8, 0..2_u8).prop_map(|(n, namespace)| Step::Service { n, namespace }),
        1 => (0..3_u8).prop_map(|n| Step::Node { n }),
        3 => (0..6_u8, 0..6_u8).prop_map(|(kind, uid)| Step::Delete { kind, uid }),
        1 => (0..6_u8, any::<u8>()).prop_map(|(kind, keep)| Step::Relist { kind, keep }),
        2 => (0..3_u8).prop_map(|n| Step::Connect { n }),
        1 => (0..3_u8).prop_map(|n| Step::Disconnect { n }),
    ]
}

/// All objects, by kind and UID.
type World = BTreeMap<(Kind, String), Value>;

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What a node should have, worked out the long way. `newest` is the UID that holds a name.
fn desired(world: &World, newest: &BTreeMap<(Kind, String), String>, name: &str) -> BTreeSet<(Kind, String)> {
    let mut wanted =
        BTreeSet::from([(Kind::Node, format!("/{name}")), (Kind::Service, "default/kubernetes".into())]);
    let mut set = BTreeSet::new();
    let mut namespaces = BTreeSet::new();
    for ((kind, uid), object) in world {
        if *kind == Kind::Pod && text(object, "/spec/nodeName") == name {
            set.insert((Kind::Pod, uid.clone()));
            wanted.insert((Kind::ServiceAccount, "ns/default".into()));
            wanted
                .insert((Kind::ConfigMap, format!("ns/{}", text(object, "/spec/volumes/0/configMap/name"))));
            let secret = text(object, "/spec/containers/0/env/0/valueFrom/secretKeyRef/name");
            wanted.insert((Kind::Secret, format!("ns/{secret}")));
            if object["spec"]["enableServiceLinks"] != json!(false) {
                namespaces.insert("ns");
            }
        }
    }
    for ((kind, uid), object) in world {
        let namespace = text(object, "/metadata/namespace");
        let key = (*kind, format!("{namespace}/{}", text(object, "/metadata/name")));
        let linked = *kind == Kind::Service && namespaces.contains(namespace);
        if *kind != Kind::Pod && (wanted.contains(&key) || linked) && newest.get(&key) == Some(uid) {
            set.insert((*kind, uid.clone()));
        }
    }
    set
}

/// What a follower of a node believes.
type Held = BTreeMap<(Kind, String), wire::Version>;

struct Test {
    index: Index,
    world: World,
    newest: BTreeMap<(Kind, String), String>,
    connected: BTreeMap<String, (Subscription, Held)>,
}

impl Test {
    fn new(index: Index) -> Self {
        let (world, newest, connected) = (World::new(), BTreeMap::new(), BTreeMap::new());
        Self { index, world, newest, connected }
    }

    fn put(&mut self, kind: Kind, object: Value) {
        let uid = text(&object, "/metadata/uid").to_owned();
        // A pod is never bound to another node, and no object changes its name.
        if let Some(old) = self.world.get(&(kind, uid.clone()))
            && old.pointer("/spec/nodeName") != object.pointer("/spec/nodeName")
        {
            return;
        }
        apply(&self.index, kind, &object);
        let key = format!("{}/{}", text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
        self.newest.insert((kind, key), uid.clone());
        self.world.insert((kind, uid), object);
    }

    fn forget(&mut self, kind: Kind, uid: &str) {
        self.world.remove(&(kind, uid.to_owned()));
        self.newest.retain(|(of, _), newest| *of != kind || newest != uid);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pod { n, on, config, secret, links } => {
                let node = if on == 0 { String::new() } else { format!("n{on}") };
                let mut pod = pod(
                    &format!("p{n}"),
                    &format!("u{n}"),
                    &node,
                    &format!("c{config}"),
                    &format!("s{secret}"),
                );
                pod["spec"]["enableServiceLinks"] = json!(links);
                self.put(Kind::Pod, pod);
            }
            Step::Map { n, life, data } => {
                self.put(
                    Kind::ConfigMap,
                    plain(&format!("c{n}"), &format!("u{}", n * 2 + life), &data.to_string()),
                );
            }
            Step::Secret { n, data } => {
                self.put(Kind::Secret, plain(&format!("s{n}"), &format!("u{n}"), &data.to_string()));
            }
            Step::Service { n, namespace } => {
                let (name, namespace) = if n == 0 {
                    ("kubernetes", "default")
                } else {
                    ("x", ["ns", "other"][usize::from(namespace)])
                };
                let uid = format!("u{name}{namespace}");
                self.put(Kind::Service, json!({
                    "metadata": {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": "1"}, "spec": {}}));
            }
            Step::Node { n } => self.put(Kind::Node, node(&format!("n{n}"), &format!("u{n}"))),
            Step::Delete { kind, uid } => {
                let (kind, uid) = (KINDS[usize::from(kind)], format!("u{uid}"));
                self.index.observer(kind).deleted(&uid);
                self.forget(kind, &uid);
            }
            Step::Relist { kind, keep } => {
                let kind = KINDS[usize::from(kind)];
                let uids = self.world.keys().filter(|(of, _)| *of == kind).map(|(_, uid)| uid.clone());
                let (kept, gone): (BTreeSet<_>, BTreeSet<_>) =
                    uids.partition(|uid| uid.bytes().map(u32::from).sum::<u32>() & u32::from(keep) != 0);
                self.index.observer(kind).listed(Some(&kept));
                for uid in &gone {
                    self.forget(kind, uid);
                }
            }
            Step::Connect { n } => {
                let name = format!("n{n}");
                let subscription = self.index.subscribe(&name);
                self.connected.insert(name, (subscription, BTreeMap::new()));
            }
            Step::Disconnect { n } => {
                self.connected.remove(&format!("n{n}"));
            }
        }
    }

    /// Bodies are there for nothing but what a connected node wants, and, where they are `read`, for all of it.
    fn check_bodies(&self, read: bool) {
        let wanted: BTreeSet<_> = self
            .connected
            .values()
            .flat_map(|(subscription, _)| subscription.snapshot())
            .map(|(kind, uid, _)| (kind, uid.to_string()))
            .collect();
        assert!(self.index.bodies() <= wanted.len());
        if read {
            for (kind, uid) in &wanted {
                let object = &self.world[&(*kind, uid.clone())];
                self.index.offer(*kind, object.to_string().as_bytes()).unwrap();
            }
            assert_eq!(self.index.bodies(), wanted.len());
        }
    }

    /// Every connected node's set, its digest, and a follower who takes what is dirty.
    fn check(&mut self) {
        for (name, (subscription, held)) in &mut self.connected {
            let snapshot = subscription.snapshot();
            let found: BTreeSet<_> = snapshot.iter().map(|(kind, uid, _)| (*kind, uid.to_string())).collect();
            assert_eq!(found, desired(&self.world, &self.newest, name), "set of {name}");
            let digest = snapshot
                .iter()
                .fold(Digest::EMPTY, |sum, (kind, uid, version)| sum.with(kind.name(), uid, *version));
            assert_eq!(subscription.digest(), (digest, snapshot.len()));
            for (kind, uid) in subscription.take().unwrap().objects {
                match subscription.get(kind, &uid) {
                    Some(object) => held.insert((kind, uid.to_string()), object.version),
                    None => held.remove(&(kind, uid.to_string())),
                };
            }
            let followed: Vec<_> =
                held.iter().map(|((kind, uid), version)| (*kind, uid.clone(), *version)).collect();
            let now: Vec<_> =
                snapshot.iter().map(|(kind, uid, version)| (*kind, uid.to_string(), *version)).collect();
            assert_eq!(followed, now, "follower of {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_set_is_what_a_recomputation_says(steps in proptest::collection::vec(step(), 1..60)) {
        let mut test = Test::new(Index::new());
        for step in &steps {
            test.take(*step);
            test.check();
        }
        test.connected.clear();
        prop_assert!(test.index.is_unwatched());
        // The same where bodies are kept of what is wanted alone; those that are missing are read now and then.
        let mut test = Test::new(Index::with_own_bodies());
        for (n, step) in steps.into_iter().enumerate() {
            test.take(step);
            test.check();
            test.check_bodies(n % 3 == 0);
        }
        test.connected.clear();
        prop_assert_eq!(test.index.bodies(), 0);
    }
}
