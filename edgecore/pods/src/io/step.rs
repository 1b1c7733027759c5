//! What one turn of the loop does with each pod: look back, judge, plan, hand out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::action::Outcome;
use crate::event::Event;
use crate::io::engine::{Engine, Message};
use crate::io::entry::{Busy, Entry};
use crate::io::files::{self, Waited};
use crate::io::log_links::unlink;
use crate::io::shared::Shared;
use crate::io::sources::want_tokens;
use crate::io::worker::{Home, Job, work};
use crate::judge::judge;
use crate::plan::plan;
use crate::restart::Now;
use crate::runtime::Runtime;
use crate::status::{State, settle, state, values};

/// When something is tried again for which there was no worker.
const NO_WORKER: Duration = Duration::from_millis(100);

impl<R: Runtime> Engine<R> {
    /// Meets pods for the first time, or in a new version: their tokens are asked for, refused fields told.
    pub(super) async fn greet(&mut self) {
        let fresh = self.pods.values_mut().filter(|entry| !entry.greeted && !entry.orphan());
        let mut wanting = Vec::new();
        for entry in fresh {
            entry.greeted = true;
            entry.refresh_at = Some(self.shared.clock.elapsed());
            let Some(desired) = entry.desired.clone().filter(|desired| !desired.deleting) else { continue };
            if !desired.refused.is_empty() {
                let note = format!("fields that this node does not support: {}", desired.refused.join(", "));
                self.shared.events.tell(Event::pod(&desired, true, "FieldNotSupported", note));
            }
            if !desired.held_back() {
                wanting.push(desired);
            }
        }
        let shared = &self.shared;
        let results =
            futures::future::join_all(wanting.iter().map(|desired| want_tokens(shared, desired))).await;
        for (desired, result) in wanting.iter().zip(results) {
            if let Err(error) = result {
                // Met again when the store can write.
                if let Some(entry) = self.pods.get_mut(&desired.uid) {
                    entry.greeted = false;
                }
                self.pods_changed();
                self.disk_failed("a token cannot be asked for", &error);
            }
        }
    }

    /// Every pod of which something changed, or something is due.
    pub(super) fn step_all(&mut self) {
        let now = self.shared.now();
        for (uid, entry) in &mut self.pods {
            let due = entry.wake.is_some_and(|wake| wake <= now.elapsed);
            // Before its steps: what starts now shall see what is new.
            if self.disk_again.is_none() && entry.refresh_at.is_some_and(|at| at <= now.elapsed) {
                bring_up_to_date(&self.shared, &self.group, &self.outputs.messages, self.looked, uid, entry);
            }
            if entry.dirty || due {
                entry.wake = None;
                // On the edge nothing found running is stopped before the store was whole once, nor what it holds but
                // could not take; and its end has not begun, should it turn out to be wanted.
                if !entry.orphan() || (self.synced && !self.held.contains(uid)) {
                    entry.touched = true;
                    look_back(entry, &now);
                    tell_waits(&self.shared, entry, &now);
                    hand_out(&self.shared, &self.group, &self.outputs.messages, self.looked, entry, &now);
                }
            }
        }
        if self.synced && !self.swept {
            self.swept = true;
            self.sweep();
        }
    }

    /// Clears files and logs of pods that neither the store nor the runtime knows: left over from a lost store. What
    /// there is is listed here and now, so that nothing of a pod that comes meanwhile is among it.
    fn sweep(&self) {
        let logs = std::path::PathBuf::from(&self.shared.facts().pod_logs_dir);
        let listed = self.shared.dirs.published().and_then(|uids| Ok((uids, files::names_in(&logs)?)));
        let (mut uids, mut names) = match listed {
            Ok(listed) => listed,
            Err(error) => return tracing::warn!(%error, "leftovers of unknown pods cannot be listed"),
        };
        let known = |uid: &str| self.pods.contains_key(uid) || self.held.contains(uid);
        uids.retain(|uid| !known(uid));
        // namespace_name_uid
        names.retain(|name| {
            let uid = name.rsplit('_').next().filter(|_| name.matches('_').count() == 2);
            uid.is_some_and(|uid| !known(uid))
        });
        if uids.is_empty() && names.is_empty() {
            return;
        }
        tracing::info!(?uids, logs = ?names, "clearing what unknown pods left");
        let (dirs, links) = (self.shared.dirs.clone(), self.shared.log_links());
        self.group.spawn(async move {
            let swept = files::blocking(move || {
                uids.iter().try_for_each(|uid| dirs.unpublish(uid))?;
                names.iter().map(|name| logs.join(name)).try_for_each(|logs| {
                    unlink(&links, &logs)?;
                    std::fs::remove_dir_all(logs)
                })
            });
            if let Err(error) = swept.await {
                tracing::warn!(%error, "leftovers of unknown pods cannot be cleared");
            }
        });
    }
}

/// Takes in what was seen, and judges.
fn look_back(entry: &mut Entry, now: &Now) {
    let (Some(desired), Some(view)) = (&entry.desired, &entry.view) else { return };
    entry.history.absorb(desired, view, now);
    if let Some(verdict) = judge(desired, view, &entry.history, now) {
        tracing::info!(
            pod = desired.label(),
            succeeded = verdict.succeeded,
            reason = verdict.reason,
            "pod is over"
        );
        entry.history.end(verdict, now);
    }
    let containers = &view.containers;
    entry
        .memory
        .doomed
        .retain(|id, _| containers.iter().any(|seen| seen.container.id.0 == *id && seen.alive()));
    entry.memory.stopped.retain(|id| view.sandboxes.iter().any(|sandbox| sandbox.id == *id));
    if !view.is_empty() {
        entry.memory.cleared = false;
    }
    let Some(round) = entry.round(now) else { return };
    let conditions = values(round);
    settle(&mut entry.history, &conditions, now);
}

/// Tells people of back-offs, once each.
fn tell_waits<R: Runtime>(shared: &Shared<R>, entry: &mut Entry, now: &Now) {
    let Some(round) = entry.round(now) else { return };
    let mut told = Vec::new();
    for (role, container) in round.desired.containers() {
        let State::Waiting { reason, last, .. } = state(round, role, &container.name) else { continue };
        let name = &container.name;
        let (which, note) = match reason.as_str() {
            "CrashLoopBackOff" => {
                let note =
                    format!("Back-off restarting failed container {name} in pod {}", round.desired.label());
                (last.map(|last| last.id.clone()).unwrap_or_default(), (true, note))
            }
            "ImagePullBackOff" => {
                let since = round.memory.starts.get(name).map(|retry| retry.since.0.as_millis().to_string());
                let image = container.image.as_deref().unwrap_or_default();
                (since.unwrap_or_default(), (false, format!("Back-off pulling image \"{image}\"")))
            }
            _ => continue,
        };
        if entry.told.get(name) != Some(&which) {
            shared.events.tell(Event::container(round.desired, name, note.0, "BackOff", note.1));
            told.push((name.clone(), which));
        }
    }
    entry.told.extend(told);
}

/// Plans, and hands the steps to a worker. A worker that is in the way of the pod's end is called off.
fn hand_out<R: Runtime>(
    shared: &Arc<Shared<R>>,
    group: &kit::tasks::Group,
    messages: &mpsc::Sender<Message>,
    looked: u64,
    entry: &mut Entry,
    now: &Now,
) {
    entry.dirty = false;
    let Some(desired) = entry.desired.clone() else { return };
    if let Some(busy) = &entry.busy {
        let ends = desired.deleting || entry.history.verdict.is_some();
        if ends && busy.ending.is_none_or(|grace| desired.grace() < grace) {
            busy.cancel.notify_one();
        }
        return;
    }
    if entry.refreshing || looked < entry.need_look {
        return;
    }
    let Some(round) = entry.round(now) else { return };
    let plan = plan(round);
    let dead = round.view.sandboxes.iter().filter(|s| !s.ready).map(|s| s.id.clone()).collect();
    let home = round.view.sandbox().map(|sandbox| Home {
        id: sandbox.id.clone(),
        attempt: sandbox.attempt,
        ips: sandbox.ips.clone(),
    });
    entry.wake = plan.wake;
    if plan.actions.is_empty() {
        return;
    }
    let waited = Waited {
        tries: entry.memory.tries(&plan.actions),
        time: entry.memory.unprepared.map_or(Duration::ZERO, |since| now.elapsed.since(since)),
    };
    let ending = (desired.deleting || entry.history.verdict.is_some()).then(|| desired.grace());
    tracing::debug!(pod = desired.label(), actions = ?plan.actions, "steps");
    let cancel = Arc::new(Notify::new());
    let done = Done { uid: Some(desired.uid.clone()), messages: messages.clone() };
    let job = Job { desired, actions: plan.actions.clone(), home, dead, waited };
    let (shared, called_off) = (Arc::clone(shared), Arc::clone(&cancel));
    let begun = group.spawn(async move {
        let outcomes = tokio::select! {
            outcomes = work(shared, job) => outcomes,
            () = called_off.notified() => vec![Outcome::Failed("called off".to_owned())],
        };
        done.send(outcomes).await;
    });
    if begun {
        entry.busy = Some(Busy { actions: plan.actions, cancel, ending });
    } else {
        entry.wake = Some(now.elapsed.plus(NO_WORKER));
    }
}

/// Files of a pod that has them follow what they are made from, also between two sandboxes.
fn bring_up_to_date<R: Runtime>(
    shared: &Arc<Shared<R>>,
    group: &kit::tasks::Group,
    messages: &mpsc::Sender<Message>,
    looked: u64,
    uid: &str,
    entry: &mut Entry,
) {
    if entry.refresh_due(looked).is_none() {
        // The time stays due, and the end of what is under way, or the look after it, wakes the loop.
        return;
    }
    let (Some(desired), Some(view)) = (&entry.desired, &entry.view) else { return };
    entry.refresh_at = None;
    if desired.deleting || entry.history.verdict.is_some() {
        return;
    }
    if view.sandbox().is_none() && !entry.memory.prepared {
        // There are none yet, and the first step makes them.
        return;
    }
    let ips = view.sandbox().map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
    let ips = if desired.host_network() { shared.facts().host_ips.clone() } else { ips };
    let now = shared.clock.elapsed();
    let (shared, messages) = (Arc::clone(shared), messages.clone());
    let (desired, uid) = (desired.clone(), uid.to_owned());
    entry.refreshing = group.spawn(async move {
        let result = files::publish(&shared, &desired, &ips, Waited::ENOUGH).await;
        let ok = result.inspect_err(|failure| {
            tracing::warn!(pod = desired.label(), error = failure.message, "files are not up to date");
        });
        // The loop is gone at shutdown only.
        let _ = messages.send(Message::Refreshed { uid, ok: ok.is_ok() }).await;
    });
    if !entry.refreshing {
        // All workers are at work: it is still due, a moment later.
        entry.refresh_at = Some(now.plus(NO_WORKER));
    }
}

/// Says that a worker ended, also where it panicked.
struct Done {
    uid: Option<String>,
    messages: mpsc::Sender<Message>,
}

impl Done {
    async fn send(mut self, outcomes: Vec<Outcome>) {
        if let Some(uid) = self.uid.take() {
            // The loop is gone at shutdown only.
            let _ = self.messages.send(Message::Done { uid, outcomes }).await;
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(uid) = self.uid.take() {
            let outcomes = vec![Outcome::Failed("the worker broke off".to_owned())];
            let _ = self.messages.try_send(Message::Done { uid, outcomes });
        }
    }
}
