//! What must hold when the network is whole, nobody crashes any more and nothing new happens.

use std::collections::{BTreeMap, BTreeSet};

use edgecore_store::Store;
use serde_json::Value;
use wire::{KINDS, Kind};

use super::{Judge, STREAM, State, Wrong, held, wanted};
use crate::api::{Api, mark};

impl Judge {
    /// Whether both sides show the same; the first difference, where they do not.
    pub(crate) fn rest(&self) -> Result<(), String> {
        let state = self.state();
        let Some(store) = state.store.clone() else { return Err("the edge does not run".to_owned()) };
        let api = self.api.clone();
        state.at_rest(&api, &store).map_err(|Wrong(wrong)| wrong)
    }
}

impl State {
    fn at_rest(&self, api: &Api, store: &Store) -> Result<(), Wrong> {
        Self::everything_is_sent(store)?;
        Self::objects_are_equal(api, store)?;
        self.reports_are_shown(api, store)?;
        self.entries_are_there(api, store)
    }

    fn everything_is_sent(store: &Store) -> Result<(), Wrong> {
        if !store.meta().first_sync_done {
            return Err(Wrong("the store never heard that it is whole".to_owned()));
        }
        match store.ledger()?.iter().find(|row| row.queued > 0) {
            Some(row) => Err(Wrong(format!("{} of {} are still queued", row.queued, row.stream))),
            None => Ok(()),
        }
    }

    /// The store holds what the API's objects come to, no more, no less, and body by body.
    fn objects_are_equal(api: &Api, store: &Store) -> Result<(), Wrong> {
        let wanted = wanted::wanted(&api.state().objects);
        let held: BTreeSet<_> = held(store)?.into_keys().collect();
        if let Some(missing) = wanted.keys().find(|key| !held.contains(*key)) {
            return Err(Wrong(format!("{missing:?} is missing in the store")));
        }
        if let Some(extra) = held.iter().find(|key| !wanted.contains_key(*key)) {
            return Err(Wrong(format!("{extra:?} is in the store and should not be")));
        }
        let rejected: BTreeSet<String> = store
            .inventory()?
            .into_iter()
            .filter(|held| held.rejected.is_some())
            .map(|held| held.uid)
            .collect();
        let mut bodies = BTreeMap::new();
        for kind in KINDS {
            for object in store.objects(kind)?.into_iter().filter(|object| !object.deleting) {
                let body: Value = serde_json::from_slice(&object.body).unwrap_or_default();
                bodies.insert((kind.name().to_owned(), object.uid), body);
            }
        }
        for (key, wanted) in &wanted {
            let newer = wanted
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .is_some_and(|name| name.starts_with("newer"));
            if newer != rejected.contains(&key.1) {
                return Err(Wrong(format!("{key:?}: rejected is {}", !newer)));
            }
            if !newer && bodies.get(key) != Some(wanted) {
                return Err(Wrong(format!("{key:?} is {:?} and should be {wanted}", bodies.get(key))));
            }
        }
        Ok(())
    }

    /// Of every object that is there the cluster shows the last report that the store took.
    fn reports_are_shown(&self, api: &Api, store: &Store) -> Result<(), Wrong> {
        let here: BTreeSet<String> = store.reports_inventory()?.into_iter().map(|held| held.uid).collect();
        for (uid, said) in &self.told.reports {
            let row = store.last_report(&said.key)?.filter(|row| row.uid == *uid);
            let Some(row) = row else {
                let lost = said.accepted > 0 && said.key.kind == Kind::Pod && !here.contains(uid);
                if lost {
                    return Err(Wrong(format!("report {} of {uid} is lost", said.accepted)));
                }
                continue;
            };
            let body: Value = serde_json::from_slice(&row.body).unwrap_or_default();
            let plural = wanted::plural(said.key.kind);
            let last = mark(plural, &body);
            if last.is_none_or(|last| last < said.accepted || last > said.tried) {
                return Err(Wrong(format!(
                    "the store has report {last:?} of {uid}, and accepted {}",
                    said.accepted
                )));
            }
            let key = (plural.to_owned(), said.key.namespace.clone(), said.key.name.clone());
            let state = api.state();
            let Some(object) = state.objects.get(&key).filter(|object| crate::api::uid(object) == uid) else {
                continue;
            };
            if body["deleted"] == true {
                return Err(Wrong(format!("nothing is left of pod {uid}, and it exists in the cluster")));
            }
            if mark(plural, object) != last {
                let shown = mark(plural, object);
                return Err(Wrong(format!(
                    "{uid}: the cluster shows report {shown:?}, and the last is {last:?}"
                )));
            }
            if let Some(ready) = unready(object) {
                return Err(Wrong(format!("{uid}: condition Ready is {ready}, which the edge never said")));
            }
        }
        Ok(())
    }

    /// Every entry the store took is in the cluster once, or counted.
    fn entries_are_there(&self, api: &Api, store: &Store) -> Result<(), Wrong> {
        let state = api.state();
        let row = store.ledger()?.into_iter().find(|row| row.stream == STREAM).unwrap_or_default();
        let of_edge: Vec<_> =
            state.history.events.iter().filter(|(note, _)| self.told.entries.contains_key(*note)).collect();
        if let Some((note, n)) = of_edge.iter().find(|(_, n)| **n != 1) {
            return Err(Wrong(format!("entry {note} is there {n} times")));
        }
        // One that arrived, and expired before the edge heard of that, counts as expired.
        let lost = row.expired + row.dropped.iter().map(|(_, n)| n).sum::<u64>();
        let arrived = of_edge.len() as u64;
        if arrived < row.delivered || arrived > row.delivered + lost {
            return Err(Wrong(format!("{row:?}, and the cluster has {arrived} entries")));
        }
        Ok(())
    }
}

/// What node-lifecycle made of a condition that the edge always reports as true.
fn unready(object: &Value) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?.get("status")?.as_str()?;
    (ready != "True").then(|| ready.to_owned())
}
