//! Judges a run by what the API server and the store's rows show, never by the product's own digests: after every
//! commit, when something is acknowledged, after every restart, and when all has come to rest.

mod rest;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgecore_store::{REPORTS, Store, StoreError};
use serde_json::Value;
use wire::{Kind, Version};

use crate::api::{Api, uid};
use crate::told::Told;

pub(crate) use wanted::NODE;

/// Stream of the journal that the model writes.
pub(crate) const STREAM: &str = "events";
/// More rows than there ever are.
const ALL: usize = 100_000;

type Held = BTreeMap<(String, String), Version>;

/// The judge. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Judge {
    state: Arc<Mutex<State>>,
    pub(crate) api: Api,
}

struct State {
    store: Option<Store>,
    told: Told,
    held: Held,
    /// The replica whose frames brought an object last, by UID.
    brought: BTreeMap<String, usize>,
    /// Delivered reports that the cluster did show, by UID, with their hash.
    shown: BTreeSet<(String, Version)>,
    /// Journal entries that the cluster has.
    arrived: BTreeSet<String>,
    wrong: Option<String>,
    /// Nothing new shall happen.
    quiet: bool,
}

impl Judge {
    pub(crate) fn new(api: Api) -> Self {
        let state = State {
            store: None,
            told: Told::default(),
            held: Held::new(),
            brought: BTreeMap::new(),
            shown: BTreeSet::new(),
            arrived: BTreeSet::new(),
            wrong: None,
            quiet: false,
        };
        Self { state: Arc::new(Mutex::new(state)), api }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What must not be and is, if anything was found.
    pub(crate) fn wrong(&self) -> Option<String> {
        let wrong = self.state().wrong.clone();
        wrong.or_else(|| self.api.state().history.wrong.first().cloned())
    }

    fn complain(&self, wrong: String) {
        self.state().wrong.get_or_insert(wrong);
    }

    /// Nothing new shall happen on the edge.
    pub(crate) fn be_quiet(&self) {
        self.state().quiet = true;
    }

    /// Whether nothing new shall happen.
    pub(crate) fn is_quiet(&self) -> bool {
        self.state().quiet
    }

    /// Does something with what was told.
    pub(crate) fn told<T>(&self, with: impl FnOnce(&mut Told) -> T) -> T {
        with(&mut self.state().told)
    }

    /// The edge's process ended; or started, with this store. What it holds is compared across the restart.
    pub(crate) fn set_store(&self, store: Option<Store>) {
        let started = store.is_some();
        let former = std::mem::replace(&mut self.state().store, store);
        drop(former);
        if started {
            self.look();
            self.check(|state, _, store| state.nothing_accepted_is_lost(store));
        }
    }

    /// An object arrives at the edge from a replica.
    pub(crate) fn sent(&self, uid: &str, replica: usize) {
        self.state().brought.insert(uid.to_owned(), replica);
    }

    /// The edge says that a frame is on its disk.
    pub(crate) fn acknowledged(&self, frame: u64, kind: &str, uid: &str, may_be: &[Option<Version>]) {
        self.check(|_, _, store| {
            let held = held(store)?;
            let found = held.get(&(kind.to_owned(), uid.to_owned())).copied();
            if may_be.contains(&found) {
                return Ok(());
            }
            Err(Wrong(format!("frame {frame} ({kind} {uid}) is acknowledged, and the disk has {found:?}")))
        });
    }

    /// Something was committed.
    pub(crate) fn look(&self) {
        self.check(|state, api, store| {
            let held = held(store)?;
            state.nothing_is_deleted_unasked(api, &held)?;
            state.pods_come_after_what_they_name(api, &held)?;
            state.held = held;
            state.the_ledger_balances(store)?;
            state.delivered_reports_were_shown(api, store)?;
            state.gone_entries_arrived_or_are_counted(api, store)
        });
    }

    fn check(&self, check: impl FnOnce(&mut State, &Api, &Store) -> Result<(), Wrong>) {
        let checked = {
            let mut state = self.state();
            let Some(store) = state.store.clone() else { return };
            check(&mut state, &self.api, &store)
        };
        if let Err(Wrong(wrong)) = checked {
            self.complain(wrong);
        }
    }
}

/// What is wrong.
struct Wrong(String);

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self(format!("the store cannot be read: {}", kit::errors::chain(&error)))
    }
}

/// The rows that count.
fn held(store: &Store) -> Result<Held, StoreError> {
    Ok(store.inventory()?.into_iter().map(|held| ((held.kind, held.uid), held.version)).collect())
}

impl State {
    /// What was held and is not any more was deleted in the cluster, or nothing the edge holds names it.
    fn nothing_is_deleted_unasked(&self, api: &Api, held: &Held) -> Result<(), Wrong> {
        let gone = self.held.keys().filter(|key| !held.contains_key(*key));
        for (kind, uid_gone) in gone {
            let state = api.state();
            if state.history.deleted.contains(uid_gone) {
                continue;
            }
            let Some(((_, namespace, name), _)) = state.history.made.get(uid_gone).cloned() else { continue };
            if matches!(kind.as_str(), "Pod" | "Node") {
                return Err(Wrong(format!("{kind} {uid_gone} left the store and exists in the cluster")));
            }
            let named_by = state.objects.iter().find(|((plural, of, _), pod)| {
                plural == "pods"
                    && *of == namespace
                    && held.contains_key(&("Pod".to_owned(), uid(pod).to_owned()))
                    && wanted::names(pod).iter().any(|(named, by)| named.name() == kind && *by == name)
            });
            if let Some((_, pod)) = named_by {
                let pod = uid(pod);
                return Err(Wrong(format!(
                    "{kind} {uid_gone} left the store, exists, and pod {pod} names it"
                )));
            }
        }
        Ok(())
    }

    /// A pod that is new comes with the ConfigMaps and Secrets it names, as far as the replica that sent it had them.
    fn pods_come_after_what_they_name(&self, api: &Api, held: &Held) -> Result<(), Wrong> {
        let new = held.keys().filter(|key| key.0 == "Pod" && !self.held.contains_key(*key));
        for (_, pod_uid) in new {
            let state = api.state();
            let Some(pod) = state.objects.values().find(|object| uid(object) == pod_uid) else { continue };
            let Some(told) = self.brought.get(pod_uid).and_then(|at| state.history.told.get(*at)) else {
                continue;
            };
            let namespace = pod.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            for (kind, name) in wanted::names(pod) {
                let key = (wanted::plural(kind).to_owned(), namespace.to_owned(), name);
                let Some(needed) = state.objects.get(&key).map(uid) else { continue };
                let earlier = match (told.get(needed), told.get(pod_uid)) {
                    (Some(needed), Some(pod)) => needed < pod,
                    _ => false,
                };
                if earlier && !held.contains_key(&(kind.name().to_owned(), needed.to_owned())) {
                    return Err(Wrong(format!("pod {pod_uid} came before {kind} {needed}, which it names")));
                }
            }
        }
        Ok(())
    }

    fn the_ledger_balances(&self, store: &Store) -> Result<(), Wrong> {
        for row in store.ledger()? {
            if !row.balanced() {
                return Err(Wrong(format!("the ledger is out of balance: {row:?}")));
            }
            let (least, most, waiting) = match row.stream.as_str() {
                STREAM => {
                    let accepted = self.told.entries.values().filter(|accepted| **accepted).count() as u64;
                    (accepted, self.told.entries.len() as u64, store.journal(0, ALL)?.len())
                }
                REPORTS => (self.told.produced, u64::MAX, store.pending_reports(0, ALL)?.len()),
                _ => (0, 0, 0),
            };
            if row.queued != waiting as u64 {
                return Err(Wrong(format!("{row:?}: {waiting} rows wait")));
            }
            if row.produced < least || row.produced > most {
                return Err(Wrong(format!("{row:?}: {least} to {most} were produced")));
            }
        }
        Ok(())
    }

    /// A report that counts as delivered was shown by the cluster at some time, or its object is gone.
    fn delivered_reports_were_shown(&mut self, api: &Api, store: &Store) -> Result<(), Wrong> {
        let pending: BTreeSet<String> =
            store.pending_reports(0, ALL)?.into_iter().map(|row| row.uid).collect();
        for held in store.reports_inventory()? {
            let known = (held.uid, held.version);
            if held.rejected.is_some() || pending.contains(&known.0) || self.shown.contains(&known) {
                continue;
            }
            let Some(said) = self.told.reports.get(&known.0) else { continue };
            let Some(row) = store.last_report(&said.key)?.filter(|row| row.uid == known.0) else { continue };
            let body: Value = serde_json::from_slice(&row.body).unwrap_or_default();
            let mark = crate::api::mark(wanted::plural(said.key.kind), &body);
            let state = api.state();
            let gone = state.history.deleted.contains(&known.0);
            let shown = state.history.shown.get(&known.0);
            let was_shown = mark.is_some_and(|mark| shown.is_some_and(|shown| shown.contains(&mark)));
            let taken = if body["deleted"] == true { gone } else { gone || was_shown };
            if !taken {
                let uid = &known.0;
                return Err(Wrong(format!(
                    "report {mark:?} of {uid} counts as delivered; the cluster showed {shown:?}"
                )));
            }
            drop(state);
            self.shown.insert(known);
        }
        Ok(())
    }

    /// An entry that was accepted and is not there any more is an Event of the cluster, or was counted as lost.
    fn gone_entries_arrived_or_are_counted(&mut self, api: &Api, store: &Store) -> Result<(), Wrong> {
        let here: BTreeSet<String> =
            store.journal(0, ALL)?.iter().filter_map(|row| wanted::note(&row.body)).collect();
        let mut lost = Vec::new();
        for (note, accepted) in &self.told.entries {
            if !accepted || here.contains(note) || self.arrived.contains(note) {
                continue;
            }
            match api.state().history.events.get(note) {
                Some(_) => drop(self.arrived.insert(note.clone())),
                None => lost.push(note.clone()),
            }
        }
        let row = store.ledger()?.into_iter().find(|row| row.stream == STREAM).unwrap_or_default();
        let counted = row.expired + row.dropped.iter().map(|(_, n)| n).sum::<u64>();
        if lost.len() as u64 > counted {
            return Err(Wrong(format!("entries {lost:?} are nowhere, and {counted} were counted as lost")));
        }
        let events =
            api.state().history.events.keys().filter(|note| self.told.entries.contains_key(*note)).count();
        if row.delivered > events as u64 {
            return Err(Wrong(format!(
                "{} entries count as delivered, and the cluster has {events}",
                row.delivered
            )));
        }
        Ok(())
    }

    /// After a restart: whatever the store said it has is there.
    fn nothing_accepted_is_lost(&self, store: &Store) -> Result<(), Wrong> {
        let here: BTreeSet<String> = store.reports_inventory()?.into_iter().map(|held| held.uid).collect();
        for (uid, said) in self.told.reports.iter().filter(|(_, said)| said.accepted > 0) {
            let row = store.last_report(&said.key)?;
            // Of a name that a successor bears only that one's report can be read; that there is one must do.
            if row.as_ref().is_some_and(|row| row.uid != *uid) && here.contains(uid) {
                continue;
            }
            let row = row.filter(|row| row.uid == *uid);
            let body: Value = row.and_then(|row| serde_json::from_slice(&row.body).ok()).unwrap_or_default();
            let found = crate::api::mark(wanted::plural(said.key.kind), &body).unwrap_or(0);
            if found < said.accepted && said.key.kind != Kind::Node {
                let accepted = said.accepted;
                return Err(Wrong(format!(
                    "report {accepted} of {uid} was accepted, and the store has {found}"
                )));
            }
        }
        Ok(())
    }
}
