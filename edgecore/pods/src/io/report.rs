//! What one turn of the loop leaves: memory on the disk, then reports; probes and logs to watch.

use std::sync::Arc;

use edgecore_store::{Store, StoreError};
use tokio::sync::mpsc;
use wire::{ObjectKey, Version};

use crate::io::engine::{Engine, Message};
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
    /// Writes what changed, beside the loop and one batch at a time: a slow disk holds up no pod.
    pub(super) async fn write(&mut self) {
        if self.disk_again.is_some() || self.writing {
            return;
        }
        self.retire().await;
        let batch = self.batch();
        if batch.is_empty() {
            self.pods.values_mut().for_each(|entry| entry.touched = false);
            return;
        }
        let (store, done) = (self.shared.store.clone(), Done(Some(self.outputs.messages.clone())));
        self.writing = self.group.spawn(async move {
            let written = futures::future::join_all(batch.into_iter().map(|item| item.write(&store))).await;
            done.send(written).await;
        });
        if self.writing {
            self.pods.values_mut().for_each(|entry| entry.touched = false);
        }
    }

    /// Takes in what came of a batch.
    pub(super) fn take_written(&mut self, written: Vec<Written>) {
        self.writing = false;
        for Written { uid, memory, report, error } in written {
            if let Some(entry) = self.pods.get_mut(&uid) {
                if let Some(memory) = memory {
                    entry.stored = memory;
                }
                entry.reported = report.or(entry.reported);
                entry.touched |= error.is_some();
            }
            if let Some(error) = error {
                self.disk_failed("what is known of a pod cannot be written", &error);
            }
        }
    }

    fn batch(&self) -> Vec<Item> {
        let now = self.shared.now();
        let host = Host { ips: self.shared.facts().host_ips.clone() };
        let mut batch = Vec::new();
        for (uid, entry) in self.pods.iter().filter(|(_, entry)| entry.touched && !entry.retired) {
            let Some(key) = entry.key.clone() else { continue };
            let memory = entry.history.taken.as_ref().map(|_| entry.history.encode());
            let memory = memory.filter(|bytes| entry.stored != *bytes);
            let report = body(entry, &host, &now)
                .map(|body| (Version::of(&body), body))
                .filter(|(hash, _)| entry.reported != Some(*hash));
            if memory.is_some() || report.is_some() {
                batch.push(Item { uid: uid.clone(), key, memory, report });
            }
        }
        batch
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
        let store = &self.shared.store;
        // Side by side, so that the store writes them together: one by one, many would hold up the loop.
        let left = futures::future::join_all(leaving.iter().map(|uid| store.retire_pod(uid))).await;
        for (uid, result) in leaving.into_iter().zip(left) {
            match result {
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

/// What is to be written of one pod.
struct Item {
    uid: String,
    key: ObjectKey,
    memory: Option<Vec<u8>>,
    report: Option<(Version, Vec<u8>)>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Written {
    uid: String,
    memory: Option<Vec<u8>>,
    report: Option<Version>,
    error: Option<StoreError>,
}

impl Item {
    /// Memory first, then the report that follows from it.
    async fn write(self, store: &Store) -> Written {
        let mut written = Written { uid: self.uid, memory: None, report: None, error: None };
        if let Some(memory) = self.memory {
            match store.put_pod_state(&written.uid, &memory).await {
                Ok(_) => written.memory = Some(memory),
                Err(error) => return Written { error: Some(error), ..written },
            }
        }
        if let Some((hash, body)) = self.report {
            match store.report(self.key, &written.uid, body).await {
                Ok(_) => written.report = Some(hash),
                Err(error) => written.error = Some(error),
            }
        }
        written
    }
}

/// Says that a batch ended, also where it broke off.
struct Done(Option<mpsc::Sender<Message>>);

impl Done {
    async fn send(mut self, written: Vec<Written>) {
        if let Some(messages) = self.0.take() {
            // The loop is gone at shutdown only.
            let _ = messages.send(Message::Written(written)).await;
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(messages) = self.0.take() {
            let _ = messages.try_send(Message::Written(Vec::new()));
        }
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
    for (_, container) in desired.counted() {
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
