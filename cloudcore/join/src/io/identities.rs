//! The records, as sessions ask for them: from a cache that a watch keeps, and from the API server before anybody is
//! turned away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use cloudcore_kube::path::CONFIG_MAPS;
use cloudcore_kube::watch::{Named, Observer, Source, Watch};
use cloudcore_kube::{Client, KubeError};
use kit::{Clock, WallTime};
use pki::Identity;
use serde_json::Value;

use super::api::{ATTEMPTS, Api, find, version};
use crate::errors::JoinError;
use crate::record::{self, Record};

/// Why a key opens no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It is not (or no longer) the one on record.
    Revoked(String),
    /// It cannot be told for the moment.
    Unavailable(String),
}

/// The identity records. Clones share the cache.
#[derive(Debug, Clone)]
pub struct Identities<A> {
    api: A,
    namespace: String,
    clock: Clock,
    cache: Arc<Cache>,
}

impl<A: Api> Identities<A> {
    /// Without a watch ([`identity_watch`]) every question is one to the API server.
    pub fn new(api: A, namespace: &str, clock: Clock) -> Self {
        Self { api, namespace: namespace.to_owned(), clock, cache: Arc::default() }
    }

    /// Whether this key is this node. A "yes" may come from the cache, a "no" is always the API server's: a node
    /// that joined a moment ago is in no cache yet.
    pub async fn check(&self, identity: &Identity) -> Result<(), Denied> {
        if self.cache.holds(identity) {
            return Ok(());
        }
        let read = self.read(&identity.node).await;
        let object = read.map_err(|error| Denied::Unavailable(kit::errors::chain(&error)))?;
        let record = object.as_ref().map(record::from_object).transpose();
        let record = record.map_err(|error| Denied::Unavailable(error.to_string()))?;
        record::check(record.as_ref(), &identity.node, identity.spki).map_err(Denied::Revoked)
    }

    /// The Node was deleted: its key is of no use any more. Where there is no record nothing is written; a record
    /// whose Node was never there must not be given here.
    pub async fn revoke(&self, node: &str, why: &str) -> Result<(), JoinError> {
        let Some(name) = record::object_name(node) else { return Ok(()) };
        let path = CONFIG_MAPS.object(&self.namespace, &name);
        self.cache.forget(node);
        for _ in 0..ATTEMPTS {
            let Some(object) = self.read(node).await? else { return Ok(()) };
            let mut held = record::from_object(&object)?;
            if held.revoked.is_some() {
                return Ok(());
            }
            held.revoked = Some((self.clock.wall(), why.to_owned()));
            let revoked = record::to_object(&held, &self.namespace, version(&object));
            match self.api.replace(&path, &revoked).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() => {}
                Err(source) => {
                    return Err(JoinError::Kube { what: format!("revoke ConfigMap {name}"), source });
                }
            }
        }
        Err(JoinError::Contended(format!("ConfigMap {name}")))
    }

    /// The UID of the Node that this node's key was last seen with; `None` where it was never seen with one.
    pub async fn node_uid(&self, node: &str) -> Result<Option<String>, JoinError> {
        let object = self.read(node).await?;
        Ok(object.as_ref().map(record::from_object).transpose()?.and_then(|held| held.node_uid))
    }

    /// When the node's record was made, by the API server's clock.
    pub async fn since(&self, node: &str) -> Result<Option<WallTime>, JoinError> {
        let object = self.read(node).await?;
        let made = object.as_ref().and_then(|object| object.pointer("/metadata/creationTimestamp"));
        Ok(made.and_then(Value::as_str).and_then(WallTime::parse))
    }

    /// The node's Node exists, with this UID. Written once for each UID; a record that is revoked, or not there, is
    /// left alone.
    pub async fn registered(&self, node: &str, uid: &str) -> Result<(), JoinError> {
        if self.cache.is_registered(node, uid) {
            return Ok(());
        }
        let Some(name) = record::object_name(node) else { return Ok(()) };
        let path = CONFIG_MAPS.object(&self.namespace, &name);
        for _ in 0..ATTEMPTS {
            let Some(object) = self.read(node).await? else { return Ok(()) };
            let mut held = record::from_object(&object)?;
            if held.revoked.is_some() || held.node_uid.as_deref() == Some(uid) {
                return Ok(());
            }
            held.node_uid = Some(uid.to_owned());
            let known = record::to_object(&held, &self.namespace, version(&object));
            match self.api.replace(&path, &known).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() => {}
                Err(source) => {
                    return Err(JoinError::Kube { what: format!("write ConfigMap {name}"), source });
                }
            }
        }
        Err(JoinError::Contended(format!("ConfigMap {name}")))
    }

    async fn read(&self, node: &str) -> Result<Option<Value>, JoinError> {
        let Some(name) = record::object_name(node) else { return Ok(None) };
        find(&self.api, &CONFIG_MAPS.object(&self.namespace, &name), &format!("ConfigMap {name}")).await
    }
}

/// The watch that keeps the cache of `identities`. The caller runs it.
pub fn identity_watch(
    identities: &Identities<Client>,
    metrics: cloudcore_kube::Metrics,
) -> Watch<impl Observer + use<>> {
    let source = Source {
        kind: "NodeIdentity",
        collection: CONFIG_MAPS,
        // Once a process: the namespace is part of the configuration.
        field_selector: String::leak(format!("metadata.namespace={}", identities.namespace)),
        page: 500,
    };
    let observer = Arc::new(Following(Arc::clone(&identities.cache)));
    Watch::new(identities.api.clone(), source, observer, metrics, identities.clock.clone())
}

#[derive(Debug, Default)]
struct Cache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A whole list was read, and nothing since then was lost.
    complete: bool,
    /// The watch runs.
    following: bool,
    by_uid: BTreeMap<String, Record>,
    /// UID of the record by node.
    by_node: BTreeMap<String, String>,
}

impl Cache {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn holds(&self, identity: &Identity) -> bool {
        self.with(|state| {
            let record = state.by_node.get(&identity.node).and_then(|uid| state.by_uid.get(uid));
            state.complete
                && state.following
                && record.is_some_and(|held| record::check(Some(held), &held.node, identity.spki).is_ok())
        })
    }

    fn is_registered(&self, node: &str, uid: &str) -> bool {
        self.with(|state| {
            let record = state.by_node.get(node).and_then(|uid| state.by_uid.get(uid));
            state.complete
                && state.following
                && record.is_some_and(|held| held.node_uid.as_deref() == Some(uid))
        })
    }

    fn forget(&self, node: &str) {
        self.with(|state| {
            if let Some(uid) = state.by_node.remove(node) {
                state.by_uid.remove(&uid);
            }
        });
    }

    fn put(&self, uid: &str, record: Record) {
        self.with(|state| {
            if let Some(old) = state.by_node.insert(record.node.clone(), uid.to_owned())
                && old != uid
            {
                state.by_uid.remove(&old);
            }
            state.by_uid.insert(uid.to_owned(), record);
        });
    }

    fn remove(&self, uid: &str) {
        self.with(|state| {
            if let Some(record) = state.by_uid.remove(uid)
                && state.by_node.get(&record.node).is_some_and(|held| held == uid)
            {
                state.by_node.remove(&record.node);
            }
        });
    }
}

/// Feeds the cache.
struct Following(Arc<Cache>);

impl Observer for Following {
    fn applied(&self, raw: &[u8]) -> Result<(), String> {
        let object: Value = serde_json::from_slice(raw).map_err(|error| error.to_string())?;
        let field = |path: &str| object.pointer(path).and_then(Value::as_str);
        if !field("/metadata/name").is_some_and(record::is_record) {
            return Ok(());
        }
        let uid = field("/metadata/uid").ok_or_else(|| "no UID".to_owned())?;
        match record::from_object(&object) {
            Ok(record) => {
                self.0.put(uid, record);
                Ok(())
            }
            Err(error) => {
                // What it said before is not what it says now.
                self.0.remove(uid);
                Err(error.to_string())
            }
        }
    }

    fn skipped(&self, named: &Named) {
        // Which record it was may be unknown: nothing is believed until the next list.
        if named.uid.is_empty() {
            self.0.with(|state| state.complete = false);
        } else {
            self.0.remove(&named.uid);
        }
    }

    fn deleted(&self, uid: &str) {
        self.0.remove(uid);
    }

    fn listed(&self, seen: Option<&BTreeSet<String>>) {
        let gone = |uid: &String| seen.is_some_and(|seen| !seen.contains(uid));
        let gone: Vec<String> =
            self.0.with(|state| state.by_uid.keys().filter(|uid| gone(uid)).cloned().collect());
        for uid in gone {
            self.0.remove(&uid);
        }
        self.0.with(|state| state.complete = seen.is_some());
    }

    fn progressed(&self, _resource_version: &str) {}

    fn broken(&self, _error: &KubeError) {
        self.0.with(|state| state.following = false);
    }

    fn healthy(&self) {
        self.0.with(|state| state.following = true);
    }
}

#[cfg(test)]
#[path = "../tests/cache.rs"]
mod tests;
