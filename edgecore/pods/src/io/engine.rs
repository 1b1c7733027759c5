//! The loop's state: every pod, and what is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use edgecore_store::StoreError;
use kit::Elapsed;
use kit::tasks::Group;
use tokio::sync::{mpsc, watch};
use wire::Kind;

use crate::action::Outcome;
use crate::admit::{Admission, Neighbour, REJECTED, Stage, admit};
use crate::desired::Desired;
use crate::event::Event;
use crate::handle::{Alive, RuntimeState};
use crate::history::{EVICTED, Verdict};
use crate::io::EngineError;
use crate::io::entry::Entry;
use crate::io::logs::Logs;
use crate::io::look::{Looked, look};
use crate::io::prober::{Said, Targets};
use crate::io::report::Written;
use crate::io::shared::Shared;
use crate::io::sources::token_marks;
use crate::memory::Doom;
use crate::observed::Known;
use crate::probe;
use crate::runtime::{Runtime, RuntimeError};

/// Workers at once: more pods than any node runs.
const MAX_WORKERS: usize = 512;
/// A failed look is repeated this soon at first, and later.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// So many failed looks are repeated soon.
const SOON: u32 = 100;
/// Something that failed on the disk is tried again after so long.
pub(super) const DISK_AGAIN: Duration = Duration::from_secs(1);

/// What comes back from work beside the loop.
#[derive(Debug)]
pub(super) enum Message {
    /// A look ended.
    Looked { number: u64, known: Known, result: Result<Looked, RuntimeError> },
    /// A worker ended.
    Done { uid: String, outcomes: Vec<Outcome> },
    /// A pod's emptyDirs hold more than they may.
    OverLimit { uid: String, message: String },
    /// A batch was written, or not.
    Written(Vec<Written>),
    /// Files of a running pod were brought up to date, or not.
    Refreshed { uid: String, ok: bool },
}

/// Where the loop says things.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) alive: Alive,
    pub(super) runtime_state: watch::Sender<RuntimeState>,
    pub(super) targets: watch::Sender<Arc<Targets>>,
    pub(super) logs: watch::Sender<Arc<Logs>>,
    pub(super) limited: watch::Sender<Arc<Vec<Desired>>>,
    pub(super) messages: mpsc::Sender<Message>,
}

/// Everything the loop owns.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that is independent of the others")]
pub(super) struct Engine<R> {
    pub(super) shared: Arc<Shared<R>>,
    pub(super) outputs: Outputs,
    pub(super) pods: BTreeMap<String, Entry>,
    /// `pods` were read from a store that had been whole by then: what nobody wants may go.
    pub(super) synced: bool,
    /// UIDs of all pods that the store is to hold, also of those whose body it had to reject.
    pub(super) held: BTreeSet<String>,
    /// What was remembered, for pods that were not met yet.
    pub(super) remembered: BTreeMap<String, Vec<u8>>,
    /// What was said about the tokens of each pod, as far as it was acted upon.
    tokens: BTreeMap<String, u64>,
    pub(super) group: Group,
    max_pods: usize,
    pods_changed: bool,
    /// What is known between two looks; none while one is under way.
    known: Option<Known>,
    look_wanted: bool,
    /// Numbers of the last look begun, and of the last that succeeded.
    pub(super) look_begun: u64,
    pub(super) looked: u64,
    /// Failed looks in a row, and when the next is made.
    failed: u32,
    next_look: Elapsed,
    /// The last look succeeded.
    pub(super) seen: bool,
    /// Leftovers of pods that nobody knows were cleared.
    pub(super) swept: bool,
    /// A batch is being written.
    pub(super) writing: bool,
    /// Something on the disk failed and is tried again then.
    pub(super) disk_again: Option<Elapsed>,
}

impl<R: Runtime> Engine<R> {
    pub(super) fn new(
        shared: Arc<Shared<R>>,
        max_pods: usize,
        outputs: Outputs,
    ) -> Result<Self, EngineError> {
        let states = shared.store.pod_states().map_err(EngineError::Memory)?;
        let tokens = token_marks(&shared.store).map_err(EngineError::Memory)?;
        Ok(Self {
            shared,
            outputs,
            pods: BTreeMap::new(),
            synced: false,
            held: BTreeSet::new(),
            remembered: states.into_iter().collect(),
            tokens,
            group: Group::new("pod workers", MAX_WORKERS),
            max_pods,
            pods_changed: true,
            known: Some(Known::default()),
            look_wanted: true,
            look_begun: 0,
            looked: 0,
            failed: 0,
            next_look: Elapsed::default(),
            seen: false,
            swept: false,
            writing: false,
            disk_again: None,
        })
    }

    /// Everything that can be done now.
    pub(super) async fn turn(&mut self) {
        self.outputs.alive.beat();
        let now = self.shared.clock.elapsed();
        if self.disk_again.is_some_and(|then| then <= now) {
            self.disk_again = None;
        }
        if self.pods_changed && self.disk_again.is_none() {
            self.reload().await;
        }
        self.begin_look(now);
        if self.seen {
            self.admit();
            self.step_all();
            self.say_targets();
        }
        self.write().await;
    }

    /// When the loop must turn at the latest.
    pub(super) fn wake(&self) -> Elapsed {
        let longest = self.shared.clock.elapsed().plus(Alive::longest_sleep());
        let look = (self.look_wanted && self.known.is_some()).then_some(self.next_look);
        // While the disk fails no file is brought up to date: what is due waits for it.
        let refresh = |entry: &Entry| entry.refresh_due(self.looked).filter(|_| self.disk_again.is_none());
        let pods = self.pods.values().flat_map(|entry| [entry.wake, refresh(entry)]).flatten();
        let pods = pods.filter(|_| self.seen).min();
        [look, pods, self.disk_again].into_iter().flatten().fold(longest, Elapsed::min)
    }

    pub(super) const fn pods_changed(&mut self) {
        self.pods_changed = true;
    }

    pub(super) const fn want_look(&mut self) {
        self.look_wanted = true;
    }

    /// What pods are made from changed: files follow, and what waited for it is tried at once.
    pub(super) fn sources_changed(&mut self) {
        let now = self.shared.clock.elapsed();
        self.pods.values_mut().for_each(|entry| entry.sources_changed(now));
    }

    /// Tokens came or were refused: the pods whose they are go on, and no others.
    pub(super) fn tokens_changed(&mut self) {
        let marks = match token_marks(&self.shared.store) {
            Ok(marks) => marks,
            Err(error) => {
                self.disk_failed("tokens cannot be read", &error);
                return self.sources_changed();
            }
        };
        let before = std::mem::replace(&mut self.tokens, marks);
        let now = self.shared.clock.elapsed();
        for (uid, entry) in &mut self.pods {
            if before.get(uid) != self.tokens.get(uid) {
                entry.sources_changed(now);
            }
        }
    }

    pub(super) fn node_changed(&mut self) {
        self.pods.values_mut().for_each(|entry| entry.dirty = true);
    }

    /// Takes in what work beside the loop came to.
    pub(super) fn take(&mut self, message: Message) {
        let now = self.shared.clock.elapsed();
        match message {
            Message::Written(written) => self.take_written(written),
            Message::Looked { number, known, result } => self.take_look(number, known, result),
            Message::Done { uid, outcomes } => {
                self.look_wanted = true;
                self.next_look = now;
                let begun = self.look_begun;
                let Some(entry) = self.pods.get_mut(&uid) else { return };
                for outcome in &outcomes {
                    entry.memory.note(outcome, now);
                }
                if let Some(busy) = entry.busy.take() {
                    entry.memory.done(busy.actions, now);
                }
                entry.need_look = begun + 1;
                entry.dirty = true;
            }
            Message::OverLimit { uid, message } => {
                let Some(entry) = self.pods.get_mut(&uid).filter(|e| e.history.verdict.is_none()) else {
                    return;
                };
                if let Some(desired) = &entry.desired {
                    self.shared.events.tell(Event::pod(desired, true, EVICTED, message.clone()));
                }
                let reason = EVICTED.to_owned();
                entry.history.verdict = Some(Verdict { succeeded: false, reason, message });
                entry.dirty = true;
            }
            Message::Refreshed { uid, ok } => {
                let Some(entry) = self.pods.get_mut(&uid) else { return };
                entry.refreshing = false;
                entry.dirty = true;
                if !ok {
                    let again = now.plus(Alive::longest_sleep());
                    entry.refresh_at = Some(entry.refresh_at.map_or(again, |at| at.min(again)));
                }
            }
        }
    }

    /// Takes in what a probe came to say.
    pub(super) fn hear(&mut self, said: Said) {
        let Some(entry) = self.pods.get_mut(&said.uid) else { return };
        let Some(ran) = entry.history.containers.get_mut(&said.container) else { return };
        let Some(run) = ran.current.as_mut().filter(|run| run.id == said.run.0) else { return };
        entry.dirty = true;
        match (said.kind, said.ok) {
            (probe::Kind::Readiness, ok) => run.ready = ok,
            (probe::Kind::Startup, true) => run.started = true,
            (probe::Kind::Liveness, true) => {}
            (probe::Kind::Startup | probe::Kind::Liveness, false) => {
                let (name, kind) = (&said.container, said.kind.name().to_lowercase());
                let again = entry.desired.as_ref().is_some_and(|desired| desired.outlives_a_probe(name));
                let then = if again { ", will be restarted" } else { "" };
                let message = format!("Container {name} failed {kind} probe{then}");
                entry.memory.doomed.insert(said.run.0, Doom { message, grace: said.grace });
            }
        }
    }

    fn begin_look(&mut self, now: Elapsed) {
        if !self.look_wanted || now < self.next_look {
            return;
        }
        let Some(known) = self.known.take() else { return };
        self.look_wanted = false;
        self.look_begun += 1;
        let number = self.look_begun;
        let (shared, messages) = (Arc::clone(&self.shared), self.outputs.messages.clone());
        let begun = self.group.spawn(async move {
            let (known, result) = look(&shared.runtime, &shared.dirs, known).await;
            // The loop is gone at shutdown only.
            let _ = messages.send(Message::Looked { number, known, result }).await;
        });
        if !begun {
            self.known = Some(Known::default());
            self.look_wanted = true;
            self.next_look = now.plus(LOOK_AGAIN.0);
        }
    }

    fn take_look(&mut self, number: u64, known: Known, result: Result<Looked, RuntimeError>) {
        self.known = Some(known);
        match result {
            Ok(looked) => {
                self.failed = 0;
                let before = std::mem::replace(&mut self.looked, number);
                if !std::mem::replace(&mut self.seen, true) {
                    let now = self.shared.clock.elapsed();
                    self.pods.values_mut().for_each(|entry| entry.memory.recovered(now));
                }
                self.say_runtime(true, String::new());
                self.sort_in(looked, before);
            }
            Err(error) => {
                // Everything is unknown now: nothing is planned until the next good look.
                self.seen = false;
                self.failed = self.failed.saturating_add(1);
                self.look_wanted = true;
                let wait = if self.failed < SOON { LOOK_AGAIN.0 } else { LOOK_AGAIN.1 };
                self.next_look = self.shared.clock.elapsed().plus(wait);
                self.say_runtime(false, error.to_string());
            }
        }
    }

    fn say_runtime(&self, ok: bool, message: String) {
        self.outputs.runtime_state.send_if_modified(|state| {
            let turned = state.ok != ok;
            if turned && ok {
                tracing::info!("container runtime answers");
            } else if turned {
                tracing::warn!(message, "container runtime does not answer: everything is unknown");
            }
            let changed = turned || state.message != message;
            *state = RuntimeState { ok, message };
            changed
        });
    }

    fn sort_in(&mut self, looked: Looked, before: u64) {
        let Looked { mut pods, unknown, again } = looked;
        for (uid, entry) in &mut self.pods {
            let view = if unknown.contains(uid) { None } else { Some(pods.remove(uid).unwrap_or_default()) };
            // A pod waiting for this look goes on, whatever it showed.
            entry.dirty |= entry.view != view || entry.need_look > before;
            entry.view = view;
        }
        if again {
            self.look_wanted = true;
            self.next_look = self.shared.clock.elapsed().plus(LOOK_AGAIN.0);
        }
        for (uid, view) in pods {
            let mut entry = Entry { view: Some(view), ..Entry::default() };
            entry.disown(&uid);
            self.pods.insert(uid, entry);
        }
        self.pods.retain(|_, entry| !entry.orphan() || !entry.left_nothing());
    }

    /// Reads the pods of the store.
    async fn reload(&mut self) {
        // In this order: what is wanted is read no earlier than the word that all of it is there.
        let synced = self.shared.store.meta().first_sync_done;
        let store = &self.shared.store;
        let read = store.inventory().and_then(|held| Ok((held, store.objects(Kind::Pod)?)));
        let (held, objects) = match read {
            Ok(read) => read,
            Err(error) => return self.disk_failed("pods cannot be read", &error),
        };
        self.pods_changed = false;
        self.synced = synced;
        let held = held.into_iter().filter(|held| held.kind == Kind::Pod.name());
        self.held = held.map(|held| held.uid).collect();
        let mut kept = self.held.clone();
        for object in &objects {
            kept.insert(object.uid.clone());
            let entry = self.pods.entry(object.uid.clone()).or_default();
            // Also one that the runtime showed before the store did.
            if let Some(state) = self.remembered.remove(&object.uid) {
                entry.remember(state, &object.uid);
            }
            // One that was not in the last look has nothing in the runtime: only this engine makes anything there.
            if self.seen && entry.key.is_none() && entry.view.is_none() {
                entry.view = Some(crate::observed::PodView::default());
            }
            entry.take_row(object);
        }
        for (uid, entry) in &mut self.pods {
            if !kept.contains(uid) && !entry.orphan() {
                entry.disown(uid);
            }
        }
        self.pods.retain(|uid, entry| {
            kept.contains(uid)
                || entry.busy.is_some()
                || entry.view.as_ref().is_none_or(|view| !view.is_empty())
        });
        // The first sync point wakes us too: what nobody wants may go from now on.
        self.pods.values_mut().filter(|entry| entry.orphan()).for_each(|entry| entry.dirty = true);
        self.greet().await;
    }

    pub(super) fn disk_failed(&mut self, what: &str, error: &StoreError) {
        tracing::warn!(error = kit::errors::chain(error), "{what}");
        self.disk_again = Some(self.shared.clock.elapsed().plus(DISK_AGAIN));
    }

    /// Who may start, and who is in whose way.
    fn admit(&mut self) {
        let neighbours: Vec<Neighbour<'_>> = self
            .pods
            .values()
            .filter_map(|entry| {
                let desired = entry.desired.as_ref()?;
                let runs = entry.view.as_ref().is_some_and(|view| !view.is_empty());
                Some(Neighbour {
                    desired,
                    stage: match entry.history.taken {
                        _ if runs || entry.history.next_sandbox > 0 => Stage::Ran,
                        Some(_) => Stage::Taken,
                        None => Stage::New,
                    },
                    over: entry.over(),
                    left_nothing: entry.left_nothing(),
                })
            })
            .collect();
        let answers: Vec<(String, Admission)> = admit(&neighbours, self.max_pods)
            .into_iter()
            .map(|(uid, answer)| (uid.to_owned(), answer))
            .collect();
        for (uid, answer) in answers {
            let Some(entry) = self.pods.get_mut(&uid) else { continue };
            let blocked = answer == Admission::Wait;
            entry.dirty |= entry.memory.blocked != blocked;
            entry.memory.blocked = blocked;
            if let Admission::Refused(verdict) = answer {
                tracing::warn!(uid, reason = verdict.reason, "pod refused");
                if let Some(desired) = &entry.desired {
                    let note = verdict.message.strip_prefix(REJECTED).unwrap_or(&verdict.message);
                    self.shared.events.tell(Event::pod(desired, true, &verdict.reason, note));
                }
                entry.history.verdict = Some(verdict);
                entry.dirty = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
