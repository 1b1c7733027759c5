//! What the engine remembers of a pod over restarts of the process and of the machine.
//!
//! It is written only when it changes, and before anything that follows from it is reported: restart counts never go
//! back, and a pod that ended once never runs again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::desired::Desired;
use crate::observed::{PodView, Seen};
use crate::restart::{Mark, Now, next_wait};
use crate::runtime::{ANNOTATION_RESTARTS, ContainerState};

/// Exit code of a container that vanished.
const LOST_CODE: i32 = 137;
/// Upstream's reason for it.
pub const LOST_REASON: &str = "ContainerStatusUnknown";
/// Reason of a pod that took more than it may, in upstream's words.
pub const EVICTED: &str = "Evicted";
/// Upstream's words for it.
const LOST_MESSAGE: &str =
    "The container could not be located when the pod was deleted.  The container used to be Running";

/// Everything remembered of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct History {
    /// When the pod was taken on.
    pub taken: Option<Mark>,
    /// It ended, or must end, and never runs again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Its end began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Mark>,
    /// Addresses it had last.
    pub ips: Vec<String>,
    /// Number of the next sandbox.
    pub next_sandbox: u32,
    /// Containers by name.
    pub containers: BTreeMap<String, Ran>,
    /// Conditions by type.
    pub conditions: BTreeMap<String, Since>,
}

/// How a pod ended, or why it must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// `Succeeded`, otherwise `Failed`.
    pub succeeded: bool,
    /// Reason in upstream's words; empty where the containers speak for themselves.
    #[serde(default)]
    pub reason: String,
    /// Message in upstream's words.
    #[serde(default)]
    pub message: String,
}

/// A condition's value and since when it has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Value.
    pub on: bool,
    /// Since when.
    pub at: Mark,
}

/// What is remembered of one container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ran {
    /// Restarts before the current run.
    pub restarts: u32,
    /// The newest run known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Run>,
    /// How the run before it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Ended>,
    /// Seconds of the present back-off; none before the first restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u64>,
}

/// One run of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Run {
    /// Id in the runtime.
    pub id: String,
    /// Id of its sandbox.
    pub sandbox: String,
    /// Boot in which it was first seen; empty where an earlier release kept it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// Number of the run.
    pub attempt: u32,
    /// Image as asked for.
    pub image: String,
    /// Image as resolved.
    pub image_ref: String,
    /// When it started, milliseconds since 1970.
    pub started_ms: i64,
    /// That time is what the cloud's clock showed.
    pub sure: bool,
    /// Its startup probe succeeded, or it has none.
    pub started: bool,
    /// Its readiness probe says so, or it has none.
    pub ready: bool,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ended {
    /// Id in the runtime.
    pub id: String,
    /// Exit code.
    pub exit_code: i32,
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
    /// When it started, milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, milliseconds since 1970.
    pub finished_ms: i64,
    /// When we learned of it.
    pub seen: Mark,
}

impl Ended {
    /// For how long it ran.
    pub fn ran(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.finished_ms.saturating_sub(self.started_ms)).unwrap_or(0))
    }
}

impl Run {
    /// It ended with the machine it was seen running on: that is no crash, so the back-off starts anew.
    fn cut_off(&self, now: &Now) -> bool {
        !self.boot.is_empty() && *self.boot != *now.boot
    }
}

impl Ran {
    /// The end of the newest run, where it has ended.
    pub fn ended(&self) -> Option<&Ended> {
        self.current.as_ref()?.ended.as_ref()
    }

    /// The newest run, where it has not ended.
    pub fn running(&self) -> Option<&Run> {
        self.current.as_ref().filter(|run| run.ended.is_none())
    }

    /// The present back-off.
    pub fn wait(&self) -> Option<Duration> {
        self.wait_s.map(Duration::from_secs)
    }

    /// Number of the next run.
    pub fn next_attempt(&self) -> u32 {
        self.current.as_ref().map_or(self.restarts, |run| run.attempt.max(self.restarts) + 1)
    }
}

impl History {
    /// The pod's state as the store keeps it.
    pub fn encode(&self) -> Vec<u8> {
        // Plain data with string keys always encodes.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Back from the store.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What is remembered of a container.
    pub fn ran(&self, name: &str) -> Option<&Ran> {
        self.containers.get(name)
    }

    /// Some container of the pod has run.
    pub fn ever_ran(&self) -> bool {
        self.containers.values().any(|ran| ran.current.is_some())
    }

    /// The pod is over; its end begins, where it has not begun.
    pub fn end(&mut self, verdict: Verdict, now: &Now) {
        self.verdict = Some(verdict);
        self.ending.get_or_insert_with(|| now.mark());
    }

    /// Takes in what was seen of the pod.
    pub fn absorb(&mut self, desired: &Desired, view: &PodView, now: &Now) {
        self.taken.get_or_insert_with(|| now.mark()).correct(now);
        self.conditions.values_mut().for_each(|since| since.at.correct(now));
        if desired.deleting || self.verdict.is_some() {
            self.ending.get_or_insert_with(|| now.mark());
        }
        if let Some(sandbox) = view.sandboxes.first() {
            self.next_sandbox = self.next_sandbox.max(sandbox.attempt.saturating_add(1));
            if sandbox.ready && !sandbox.ips.is_empty() {
                self.ips.clone_from(&sandbox.ips);
            }
        }
        for (_, container) in desired.containers() {
            let unprobed = (container.startup_probe.is_none(), container.readiness_probe.is_none());
            let newest =
                view.named(&container.name).find(|seen| seen.container.state != ContainerState::Created);
            let known = self.containers.contains_key(&container.name);
            if newest.is_none() && !known {
                continue;
            }
            let ran = self.containers.entry(container.name.clone()).or_default();
            if let Some(seen) = newest {
                ran.take_in(seen, view, unprobed, now);
            }
            ran.note_lost(view, now);
        }
    }
}

impl Ran {
    fn take_in(&mut self, seen: &Seen, view: &PodView, unprobed: (bool, bool), now: &Now) {
        let id = &seen.container.id.0;
        let newer =
            self.current.as_ref().is_none_or(|run| run.id != *id && seen.container.attempt >= run.attempt);
        if newer {
            self.succeed(seen, view, now);
            self.current = Some(Run {
                id: id.clone(),
                sandbox: seen.container.sandbox.0.clone(),
                boot: now.boot.to_string(),
                attempt: seen.container.attempt,
                image: seen.container.image.clone(),
                started: unprobed.0,
                ready: unprobed.1,
                ..Run::default()
            });
            let counted = seen.container.annotations.get(ANNOTATION_RESTARTS).and_then(|n| n.parse().ok());
            self.restarts = self.restarts.max(counted.unwrap_or(seen.container.attempt));
        }
        let Some(run) = self.current.as_mut().filter(|run| run.id == *id) else { return };
        let Some(detail) = &seen.detail else { return };
        run.image.clone_from(&detail.image);
        run.image_ref.clone_from(&detail.image_ref);
        // Corrected once at most, so that what is reported never wavers.
        if !run.sure {
            run.started_ms = now.correct(millis(detail.started_at_ns));
            run.sure = now.trusted;
        }
        let unsure = run.ended.as_ref().is_none_or(|ended| !ended.seen.sure && now.trusted);
        if seen.container.state == ContainerState::Exited && unsure {
            let first = run.ended.take();
            if first.is_none() && run.cut_off(now) {
                self.wait_s = None;
            }
            run.ended = ended(seen, now);
            // Back-offs count from when it was first seen.
            if let (Some(first), Some(ended)) = (first, run.ended.as_mut()) {
                ended.seen = first.seen;
                ended.seen.correct(now);
                ended.seen.sure = true;
            }
        }
    }

    /// A newer run takes the place of the current one. The back-off grows here, when the newer run is seen, and not
    /// when it is planned: one that could not be started counts nothing, and nobody is told of a wait that is over.
    fn succeed(&mut self, newer: &Seen, view: &PodView, now: &Now) {
        let before = match self.current.take() {
            Some(run) => {
                let end = run
                    .ended
                    .clone()
                    .or_else(|| view.by_id(&run.id).and_then(|seen| ended(seen, now)))
                    .unwrap_or_else(|| lost(&run, now));
                self.wait_s = Some(next_wait(self.wait(), end.ran()).as_secs());
                Some(end)
            }
            // Adopted: what the runtime still holds of earlier runs is all there is.
            None => view
                .named(&newer.container.name)
                .filter(|seen| seen.container.attempt < newer.container.attempt)
                .find_map(|seen| ended(seen, now)),
        };
        if before.is_some() {
            self.last = before;
        }
    }

    /// A run that has not ended as far as we know, and is not there any more, is lost.
    fn note_lost(&mut self, view: &PodView, now: &Now) {
        if let Some(run) = self.current.as_mut()
            && run.ended.is_none()
            && view.by_id(&run.id).is_none()
        {
            if run.cut_off(now) {
                self.wait_s = None;
            }
            run.ended = Some(lost(run, now));
        }
    }
}

fn ended(seen: &Seen, now: &Now) -> Option<Ended> {
    let detail = seen.detail.as_ref().filter(|_| seen.container.state == ContainerState::Exited)?;
    Some(Ended {
        id: seen.container.id.0.clone(),
        exit_code: detail.exit_code,
        reason: detail.reason.clone(),
        message: detail.message.clone(),
        started_ms: now.correct(millis(detail.started_at_ns)),
        finished_ms: now.correct(millis(detail.finished_at_ns)),
        seen: now.mark(),
    })
}

fn lost(run: &Run, now: &Now) -> Ended {
    Ended {
        id: run.id.clone(),
        exit_code: LOST_CODE,
        reason: LOST_REASON.to_owned(),
        message: LOST_MESSAGE.to_owned(),
        started_ms: run.started_ms,
        // Nobody knows when; a run without length keeps its back-off.
        finished_ms: run.started_ms,
        seen: now.mark(),
    }
}

/// Nanoseconds to milliseconds.
fn millis(ns: i64) -> i64 {
    ns.div_euclid(1_000_000)
}
