//! Events on pods: how they look, and how many there may be.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use kit::{Elapsed, WallTime};
use serde_json::{Value, json};

use crate::desired::{Desired, Role};

/// Longest note of an event, as the API has it.
const MAX_NOTE: usize = 1024;
/// Events of one kind about one container that may come at once.
const BURST: f64 = 10.0;
/// After that, one in so long.
const REFILL: Duration = Duration::from_mins(5);
/// Kinds whose events are counted; beyond, the oldest is forgotten.
const MAX_KINDS: usize = 1024;

/// Something to tell about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Namespace of the pod.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Path of the part it is about, such as `spec.containers{web}`; may be empty.
    pub field_path: String,
    /// Something is wrong.
    pub warning: bool,
    /// Reason in upstream's words.
    pub reason: String,
    /// For people.
    pub note: String,
}

impl Event {
    /// About a pod.
    pub fn pod(desired: &Desired, warning: bool, reason: &str, note: impl Into<String>) -> Self {
        Self {
            namespace: desired.namespace.clone(),
            name: desired.name.clone(),
            uid: desired.uid.clone(),
            field_path: String::new(),
            warning,
            reason: reason.to_owned(),
            note: note.into(),
        }
    }

    /// About one of its containers.
    pub fn container(
        desired: &Desired,
        name: &str,
        warning: bool,
        reason: &str,
        note: impl Into<String>,
    ) -> Self {
        let list = match desired.container(name) {
            Some((Role::Init | Role::Sidecar, _)) => "initContainers",
            Some((Role::Ephemeral, _)) => "ephemeralContainers",
            Some((Role::App, _)) | None => "containers",
        };
        Self { field_path: format!("spec.{list}{{{name}}}"), ..Self::pod(desired, warning, reason, note) }
    }

    /// As an `events.v1` Event without a name.
    pub fn body(&self, node: &str, at: WallTime) -> Value {
        let micro = format!("{}.{:03}000Z", at.rfc3339().trim_end_matches('Z'), at.0.rem_euclid(1000));
        let mut regarding = json!({
            "apiVersion": "v1", "kind": "Pod",
            "namespace": self.namespace, "name": self.name, "uid": self.uid,
        });
        if let (false, Some(map)) = (self.field_path.is_empty(), regarding.as_object_mut()) {
            map.insert("fieldPath".into(), self.field_path.as_str().into());
        }
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": self.namespace},
            "eventTime": micro,
            "reportingController": "skerry.io/edgecore",
            "reportingInstance": node,
            "action": self.reason,
            "reason": self.reason,
            "regarding": regarding,
            "note": cut(&self.note),
            "type": if self.warning { "Warning" } else { "Normal" },
        })
    }
}

/// The text, cut at a character border so that the API takes it.
fn cut(text: &str) -> &str {
    let end = (0..=MAX_NOTE.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Lets through a burst of each kind of event per container, then one now and then: a crash loop floods nothing.
#[derive(Debug, Default)]
pub struct Limiter {
    buckets: BTreeMap<(String, String, String), Bucket>,
}

/// Events of one kind about one container.
#[derive(Debug)]
struct Bucket {
    /// Events that may come now.
    left: f64,
    /// When that was counted.
    at: Elapsed,
    /// Hash of the note that was news last, and when.
    news: Option<(u64, Elapsed)>,
}

/// What is done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// It may go to the cloud.
    pub go: bool,
    /// The log did not say the same a short while ago: a probe that goes on failing is news once.
    pub news: bool,
}

impl Limiter {
    /// Whether the event may go, and whether it is news.
    pub fn admit(&mut self, event: &Event, now: Elapsed) -> Admitted {
        if self.buckets.len() >= MAX_KINDS {
            let oldest = self.buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.buckets.remove(&key));
        }
        let key = (event.uid.clone(), event.field_path.clone(), event.reason.clone());
        let bucket = self.buckets.entry(key).or_insert(Bucket { left: BURST, at: now, news: None });
        let refilled = now.since(bucket.at).as_secs_f64() / REFILL.as_secs_f64();
        bucket.left = (bucket.left + refilled).min(BURST);
        bucket.at = now;
        let go = bucket.left >= 1.0;
        if go {
            bucket.left -= 1.0;
        }
        let note = hash(&event.note);
        let news = bucket.news.is_none_or(|(before, at)| before != note || now.since(at) >= REFILL);
        if news {
            bucket.news = Some((note, now));
        }
        Admitted { go, news }
    }
}

fn hash(note: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    note.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str) -> Event {
        Event {
            namespace: "n".into(),
            name: "p".into(),
            uid: "u".into(),
            field_path: "spec.containers{c}".into(),
            warning: true,
            reason: reason.into(),
            note: "ä".repeat(1000),
        }
    }

    #[test]
    fn a_crash_loop_floods_nothing() {
        let mut limiter = Limiter::default();
        let sent = (0..3600)
            .filter(|second| limiter.admit(&event("BackOff"), Elapsed::from_millis(second * 1000)).go);
        // The burst, and one every five minutes of an hour.
        assert_eq!(sent.count(), 10 + 11);
        assert!(limiter.admit(&event("Killing"), Elapsed::from_millis(3_600_000)).go);
    }

    #[test]
    fn the_same_note_is_news_once_in_a_while() {
        let mut limiter = Limiter::default();
        let mut news =
            |event: &Event, second: u64| limiter.admit(event, Elapsed::from_millis(second * 1000)).news;
        let probe = event("Unhealthy");
        let said: Vec<u64> = (0..700).step_by(10).filter(|second| news(&probe, *second)).collect();
        assert_eq!(said, [0, 300, 600]);
        let other = Event { note: "another".into(), ..probe.clone() };
        assert!(news(&other, 700) && !news(&other, 701) && news(&probe, 702));
        assert!(news(&Event { field_path: "spec.containers{d}".into(), ..probe }, 703));
    }

    #[test]
    fn a_long_note_is_cut_and_the_time_is_exact() {
        let body = event("Failed").body("edge-1", WallTime(1_500));
        assert_eq!(body["eventTime"], "1970-01-01T00:00:01.500000Z");
        assert!(body["note"].as_str().unwrap().len() <= MAX_NOTE);
    }
}
