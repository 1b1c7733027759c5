//! What one turn of the loop leaves: memory on the disk, then reports; probes and logs to watch.

use std::collections::BTreeSet;
use std::sync::Arc;

use wire::Version;

use crate::desired::Role;
use crate::io::engine::Engine;
use crate::io::entry::Entry;
use crate::io::limits;
use crate::io::logs::Logs;
use crate::io::prober::{Target, Targets};
use crate::observed::PodView;
use crate::probe::{Kind, Spec};
use crate::restart::Now;
use crate::runtime::{ContainerId, ContainerState, Runtime};
use crate::status::{Host, report, status, unparsable};

impl<R: Runtime> Engine<R> {
    /// Writes what changed: memory first, then reports that follow from it, then who may leave the store.
    pub(super) async fn write(&mut self) {
        if self.disk_again.is_some() {
            return;
        }
        let store = self.shared.store.clone();
        let changed: Vec<(String, Vec<u8>)> = self
            .pods
            .iter()
            .filter(|(_, entry)| {
                entry.touched && !entry.orphan() && !entry.retired && entry.history.taken.is_some()
            })
            .map(|(uid, entry)| (uid.clone(), entry.history.encode()))
            .filter(|(uid, bytes)| self.pods.get(uid).is_some_and(|entry| entry.stored != *bytes))
            .collect();
        let puts = changed.iter().map(|(uid, bytes)| store.put_pod_state(uid, bytes));
        let results = futures::future::join_all(puts).await;
        let mut unsaved = BTreeSet::new();
        for ((uid, bytes), result) in changed.into_iter().zip(results) {
            match (result, self.pods.get_mut(&uid)) {
                (Ok(_), Some(entry)) => entry.stored = bytes,
                (Err(error), _) => {
                    self.disk_failed("what is known of a pod cannot be written", &error);
                    unsaved.insert(uid);
                }
                (Ok(_), None) => {}
            }
        }
        self.report(&unsaved).await;
        self.retire().await;
    }

    async fn report(&mut self, unsaved: &BTreeSet<String>) {
        let now = self.shared.now();
        let host = Host { ips: self.shared.facts().host_ips.clone() };
        let mut reports = Vec::new();
        for (uid, entry) in self.pods.iter().filter(|(_, entry)| entry.touched) {
            let Some(key) = entry.key.clone().filter(|_| !unsaved.contains(uid) && !entry.retired) else {
                continue;
            };
            let Some(body) = body(entry, &host, &now) else { continue };
            let hash = Version::of(&body);
            if entry.reported != Some(hash) {
                reports.push((uid.clone(), key, hash, body));
            }
        }
        let store = self.shared.store.clone();
        let sent = reports.into_iter().map(|(uid, key, hash, body)| {
            let store = &store;
            async move {
                let result = store.report(key, &uid, body).await;
                (uid, hash, result)
            }
        });
        for (uid, hash, result) in futures::future::join_all(sent).await {
            match (result, self.pods.get_mut(&uid)) {
                (Ok(_), Some(entry)) => entry.reported = Some(hash),
                (Err(error), _) => self.disk_failed("a report cannot be written", &error),
                (Ok(_), None) => {}
            }
        }
        if self.disk_again.is_none() {
            self.pods.values_mut().for_each(|entry| entry.touched = false);
        }
    }

    /// Pods that are gone in the cluster and of which nothing is left here leave the store.
    async fn retire(&mut self) {
        let gone = |entry: &&mut Entry| entry.desired.as_ref().is_some_and(|desired| desired.gone);
        let mut leaving = Vec::new();
        for (uid, entry) in &mut self.pods {
            let ready = Some(entry).filter(gone).filter(|e| !e.orphan() && !e.retired && e.left_nothing());
            if let Some(entry) = ready {
                entry.retired = true;
                leaving.push(uid.clone());
            }
        }
        for uid in leaving {
            match self.shared.store.retire_pod(&uid).await {
                Ok(true) => {}
                // Wanted again after all: the row is read anew.
                Ok(false) => {
                    self.pods.remove(&uid);
                    self.pods_changed();
                }
                Err(error) => {
                    self.disk_failed("a pod cannot leave the store", &error);
                    if let Some(entry) = self.pods.get_mut(&uid) {
                        entry.retired = false;
                    }
                }
            }
        }
    }

    /// Says which containers are probed, and which logs are written.
    pub(super) fn say_targets(&self) {
        let host = self.shared.facts().host_ips.first().cloned().unwrap_or_default();
        let mut targets = Targets::new();
        let mut logs = Logs::new();
        let mut limited = Vec::new();
        for (uid, entry) in &self.pods {
            let Some(view) = &entry.view else { continue };
            for seen in view.containers.iter().filter(|seen| seen.container.state == ContainerState::Running)
            {
                let path = seen.detail.as_ref().map(|detail| detail.log_path.clone()).unwrap_or_default();
                if !path.is_empty() {
                    logs.push((seen.container.id.clone(), path));
                }
            }
            targets_of(uid, entry, view, &host, &mut targets);
            let over = entry.history.verdict.is_some() || view.sandbox().is_none();
            let desired = entry.desired.as_ref().filter(|desired| !over && !desired.deleting);
            limited.extend(desired.filter(|desired| limits::limited(desired)).cloned());
        }
        self.outputs.limited.send_if_modified(|before| {
            let same = before.iter().map(|d| &d.uid).eq(limited.iter().map(|d| &d.uid));
            if !same {
                *before = Arc::new(limited);
            }
            !same
        });
        self.outputs.targets.send_if_modified(|before| {
            let same = before.len() == targets.len()
                && before.iter().zip(&targets).all(|((k, old), (l, new))| k == l && old.same(new));
            if !same {
                *before = Arc::new(targets);
            }
            !same
        });
        self.outputs.logs.send_if_modified(|before| {
            let changed = **before != logs;
            if changed {
                *before = Arc::new(logs);
            }
            changed
        });
    }
}

fn body(entry: &Entry, host: &Host, now: &Now) -> Option<Vec<u8>> {
    if let (Some(problem), None) = (&entry.problem, &entry.desired) {
        return Some(report(&unparsable(&entry.history, problem), false));
    }
    let round = entry.round(now)?;
    // Before the first look back there is nothing to tell.
    entry.history.taken.as_ref()?;
    if round.desired.gone {
        return None;
    }
    Some(report(&status(round, host), round.desired.deleting && entry.left_nothing()))
}

fn targets_of(uid: &str, entry: &Entry, view: &PodView, host: &str, targets: &mut Targets) {
    let Some(desired) = &entry.desired else { return };
    if desired.deleting || entry.history.verdict.is_some() {
        return;
    }
    let own = view.sandbox().and_then(|sandbox| sandbox.ips.first()).map_or("", String::as_str);
    let ip = if desired.host_network() { host } else { own };
    for (_, container) in desired.containers().filter(|(role, _)| *role != Role::Init) {
        let probes: Vec<(Kind, Spec)> = [Kind::Startup, Kind::Readiness, Kind::Liveness]
            .into_iter()
            .filter_map(|kind| Some((kind, Spec::of(kind, container)?)))
            .collect();
        let Some(run) = entry.history.ran(&container.name).and_then(crate::history::Ran::running) else {
            continue;
        };
        let runs = view.by_id(&run.id).is_some_and(|seen| seen.container.state == ContainerState::Running);
        if probes.is_empty() || !runs || ip.is_empty() {
            continue;
        }
        let target = Target {
            desired: desired.clone(),
            container: container.name.clone(),
            run: ContainerId(run.id.clone()),
            ip: ip.to_owned(),
            started_ms: run.started_ms,
            started: run.started,
            ready: run.ready,
            probes,
        };
        targets.insert((uid.to_owned(), container.name.clone()), Arc::new(target));
    }
}
