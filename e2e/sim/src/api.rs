//! An API server in memory: objects with resourceVersions, compare-and-swap, merge patches, pages of lists, watches.
//! It answers late, not at all, or after the effect took place, as its [`Regime`] says.

mod requests;
mod service;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::rng::Rng;
use crate::trace::{Trace, say};

pub(crate) use service::Way;
pub(crate) use watch::Break;

/// Plural, namespace, name.
pub(crate) type Key = (String, String, String);

/// How requests of one replica fare; times a thousand where nothing else is said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Regime {
    /// Refused before anything happened.
    pub(crate) fails: u64,
    /// Of those, with 429 and a time to come back.
    pub(crate) throttles: u64,
    /// The effect took place, and the answer is lost.
    pub(crate) loses: u64,
    /// Longest time to the effect, and again to the answer, in milliseconds.
    pub(crate) slow_ms: u64,
    /// Longest time that a watch is behind, in milliseconds.
    pub(crate) lag_ms: u64,
    /// Nothing gets through.
    pub(crate) cut: bool,
}

/// The API server. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
}

/// One change, as watches tell of it.
pub(crate) struct Change {
    pub(crate) rv: u64,
    pub(crate) plural: String,
    pub(crate) uid: String,
    pub(crate) at: Instant,
    pub(crate) event: &'static str,
    pub(crate) object: Arc<str>,
}

pub(crate) struct State {
    pub(crate) rv: u64,
    pub(crate) objects: BTreeMap<Key, Value>,
    pub(crate) log: Vec<Change>,
    /// Watches from before this resourceVersion are too old, by plural.
    pub(crate) floor: BTreeMap<String, u64>,
    /// What is left of lists under way, by token.
    pub(crate) lists: BTreeMap<String, (Vec<String>, u64)>,
    pub(crate) regimes: [Regime; 2],
    /// How often, and how, the watches of a replica were broken.
    pub(crate) breaks: [(u64, Break); 2],
    pub(crate) history: History,
    uids: u64,
}

/// What the judge wants to know later.
#[derive(Default)]
pub(crate) struct History {
    /// UIDs that were deleted.
    pub(crate) deleted: BTreeSet<String>,
    /// UID of everything that there ever was, with its key and when it was made.
    pub(crate) made: BTreeMap<String, (Key, Instant)>,
    /// Marks of reports that a status showed, by UID, in order.
    pub(crate) shown: BTreeMap<String, Vec<u64>>,
    /// Events by what they say, and how many there are of each.
    pub(crate) events: BTreeMap<String, usize>,
    /// When a replica's watch had an object first, by UID.
    pub(crate) told: [BTreeMap<String, Instant>; 2],
    /// What must never happen, and did.
    pub(crate) wrong: Vec<String>,
}

impl Api {
    pub(crate) fn new(rng: Rng, trace: Trace) -> Self {
        let state = State {
            rv: 1,
            objects: BTreeMap::new(),
            log: Vec::new(),
            floor: BTreeMap::new(),
            lists: BTreeMap::new(),
            regimes: [Regime::default(); 2],
            breaks: [(0, Break::End); 2],
            history: History::default(),
            uids: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default(), rng, trace }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks every watch of a replica.
    pub(crate) fn break_watches(&self, replica: usize, how: Break) {
        if let Some(known) = self.state().breaks.get_mut(replica) {
            *known = (known.0 + 1, how);
        }
        self.changed.notify_waiters();
    }

    /// A replica starts, and knows nothing.
    pub(crate) fn forget_replica(&self, replica: usize) {
        if let Some(told) = self.state().history.told.get_mut(replica) {
            told.clear();
        }
    }

    /// Sets how requests of a replica fare.
    pub(crate) fn set_regime(&self, replica: usize, regime: Regime) {
        if let Some(known) = self.state().regimes.get_mut(replica) {
            *known = regime;
        }
    }

    /// Makes an object, or leaves the one that bears the name.
    pub(crate) fn make(&self, key: &Key, object: Value) {
        let made = self.state().create(key, object);
        if made.is_some() {
            self.tell(&format!("makes {} {}", key.0, key.2));
        }
    }

    /// Changes an object, where it is there.
    pub(crate) fn edit(&self, key: &Key, edit: impl FnOnce(&mut Value)) {
        let edited = {
            let mut state = self.state();
            let object = state.objects.get(key).cloned();
            object.map(|mut object| {
                edit(&mut object);
                state.put(key, object);
            })
        };
        if edited.is_some() {
            self.tell(&format!("changes {} {}", key.0, key.2));
        }
    }

    /// Deletes an object at once.
    pub(crate) fn remove(&self, key: &Key) {
        if self.state().remove(key) {
            self.tell(&format!("deletes {} {}", key.0, key.2));
        }
    }

    fn tell(&self, what: &str) {
        say!(self.trace, "people", "{what}");
        self.changed.notify_waiters();
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.rv += 1;
        self.rv
    }

    fn log(&mut self, key: &Key, event: &'static str, object: &Value) {
        let change = Change {
            rv: self.rv,
            plural: key.0.clone(),
            uid: uid(object).to_owned(),
            at: Instant::now(),
            event,
            object: object.to_string().into(),
        };
        self.log.push(change);
    }

    /// Makes an object; `None` where the name is taken.
    pub(crate) fn create(&mut self, key: &Key, mut object: Value) -> Option<Value> {
        if self.objects.contains_key(key) {
            return None;
        }
        self.uids += 1;
        let uid = format!("{}-{:04}", key.2, self.uids);
        let rv = self.next();
        let metadata = object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
        metadata["uid"] = uid.clone().into();
        metadata["resourceVersion"] = rv.to_string().into();
        metadata["name"] = key.2.clone().into();
        if !key.1.is_empty() {
            metadata["namespace"] = key.1.clone().into();
        }
        if key.0 == "events" {
            let note = object["message"].as_str().unwrap_or_default().to_owned();
            *self.history.events.entry(note).or_default() += 1;
        }
        self.history.made.insert(uid, (key.clone(), Instant::now()));
        self.objects.insert(key.clone(), object.clone());
        self.log(key, "ADDED", &object);
        Some(object)
    }

    /// Writes an object that is there; one that does not differ stays as it is.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Value {
        let rv = self.objects.get(key).and_then(|old| old.pointer("/metadata/resourceVersion")).cloned();
        object["metadata"]["resourceVersion"] = rv.unwrap_or_default();
        if self.objects.get(key) == Some(&object) {
            return object;
        }
        object["metadata"]["resourceVersion"] = self.next().to_string().into();
        if let Some(mark) = mark(&key.0, &object) {
            self.show(uid(&object), mark);
        }
        self.objects.insert(key.clone(), object.clone());
        self.log(key, "MODIFIED", &object);
        object
    }

    /// Notes which report a status shows. An older one never comes after a newer one.
    fn show(&mut self, uid: &str, mark: u64) {
        let shown = self.history.shown.entry(uid.to_owned()).or_default();
        if shown.last().is_some_and(|last| *last > mark) {
            self.history.wrong.push(format!("{uid} shows report {mark} after {:?}", shown.last()));
        }
        if shown.last() != Some(&mark) {
            shown.push(mark);
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        let Some(mut object) = self.objects.remove(key) else { return false };
        object["metadata"]["resourceVersion"] = self.next().to_string().into();
        self.history.deleted.insert(uid(&object).to_owned());
        self.log(key, "DELETED", &object);
        true
    }
}

/// UID of an object.
pub(crate) fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

/// Number of the report that a status shows: the edge's model writes it into the pod's message, and into the message of
/// the node's condition `Ready`.
pub(crate) fn mark(plural: &str, object: &Value) -> Option<u64> {
    let status = object.get("status")?;
    let text = match plural {
        "pods" => status.get("message")?.as_str()?,
        "nodes" => {
            let conditions = status.get("conditions")?.as_array()?;
            conditions.iter().find(|condition| condition["type"] == "Ready")?.get("message")?.as_str()?
        }
        _ => return None,
    };
    text.split(' ').next()?.strip_prefix('r')?.parse().ok()
}
