//! Which of several replicas leads: one Lease, judged as client-go's leader election judges it.
//!
//! - A [`Candidate`] decides, purely: whether to wait, to take the Lease or to renew it, and until when it leads. A Lease
//!   runs out by the time that passed since *this* candidate saw it change, so no clock is compared with another's.
//! - [`Election`] reads and writes the Lease by compare-and-swap, and runs what only the leader does: it starts with
//!   the [`Term`] and is aborted at its end.
//!
//! A leader counts its term from before it asked for the renewal, and for less time than others wait after they saw it
//! ([`Timing`]). So of two processes never both lead, however long one of them was stopped: whoever wakes up finds
//! its term over by elapsed time ([`Term::holds`]) before anything else. A request that was on its way when a process
//! was stopped may still arrive: writes of a leader therefore carry preconditions.

mod io;

use std::time::Duration;

use kit::{Elapsed, WallTime};
use serde_json::{Value, json};

pub use io::{Election, Term};

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Others take a Lease that did not change for so long.
    pub lease: Duration,
    /// A leader that could not renew for so long leads no more. Less than `lease`.
    pub term: Duration,
    /// Between two looks at the Lease, or two renewals.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), term: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// What to do about the Lease as it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Somebody else leads.
    Wait,
    /// There is no Lease: create this one.
    Create(Value),
    /// Replace it by this one, if it is still the version that was read.
    Replace(Value),
}

/// What of a Lease tells that its holder lives.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    holder: String,
    renewed: String,
    transitions: u64,
    duration: Duration,
}

/// One who would lead.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    /// The Lease as it was last seen, and since when it looks like that.
    seen: Option<(Record, Elapsed)>,
    /// Until when this one leads, unless it renews.
    until: Option<Elapsed>,
}

impl Candidate {
    /// One who has seen nothing yet. `identity` must be nobody else's, not even an earlier process's.
    pub const fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, seen: None, until: None }
    }

    /// What to do about the Lease that was just read. Whatever it says of this candidate is believed: a write whose
    /// answer was lost counts as soon as it is seen.
    pub fn step(&mut self, found: Option<Value>, now: Elapsed, wall: WallTime) -> Step {
        let Some(lease) = found else {
            self.until = None;
            return Step::Create(self.taken(json!({"metadata": {}}), 0, wall));
        };
        let record = read(&lease, self.timing.lease);
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        self.seen = Some((record.clone(), since));
        if record.holder == self.identity {
            return Step::Replace(put(lease, "renewTime", Value::from(wall.micro_rfc3339())));
        }
        self.until = None;
        if !record.holder.is_empty() && now.since(since) < record.duration {
            return Step::Wait;
        }
        Step::Replace(self.taken(lease, record.transitions.saturating_add(1), wall))
    }

    /// A write that was begun at `begun` succeeded.
    pub fn written(&mut self, begun: Elapsed) {
        self.until = Some(begun.plus(self.timing.term));
    }

    /// Until when this one leads; `None` where it does not.
    pub fn leads_until(&self, now: Elapsed) -> Option<Elapsed> {
        self.until.filter(|until| now < *until)
    }

    /// The Lease given up, so that the next one need not wait.
    pub fn released(&mut self, lease: Value, wall: WallTime) -> Value {
        self.until = None;
        let lease = put(lease, "holderIdentity", Value::from(""));
        let lease = put(lease, "leaseDurationSeconds", Value::from(1));
        put(lease, "renewTime", Value::from(wall.micro_rfc3339()))
    }

    fn taken(&self, lease: Value, transitions: u64, wall: WallTime) -> Value {
        let now = Value::from(wall.micro_rfc3339());
        let lease = put(lease, "holderIdentity", Value::from(self.identity.as_str()));
        let lease = put(lease, "leaseDurationSeconds", Value::from(self.timing.lease.as_secs()));
        let lease = put(lease, "leaseTransitions", Value::from(transitions));
        put(put(lease, "acquireTime", now.clone()), "renewTime", now)
    }
}

/// Reads a Lease; what is absent reads as empty, and a holder without a duration has `otherwise`.
fn read(lease: &Value, otherwise: Duration) -> Record {
    let field = |name: &str| lease.get("spec").and_then(|spec| spec.get(name));
    let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let duration =
        field("leaseDurationSeconds").and_then(Value::as_u64).map_or(otherwise, Duration::from_secs);
    let transitions = field("leaseTransitions").and_then(Value::as_u64).unwrap_or(0);
    Record { holder: text("holderIdentity"), renewed: text("renewTime"), transitions, duration }
}

fn put(mut lease: Value, field: &str, value: Value) -> Value {
    if let Some(lease) = lease.as_object_mut() {
        let spec = lease.entry("spec").or_insert_with(|| json!({}));
        if !spec.is_object() {
            *spec = json!({});
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.insert(field.to_owned(), value);
        }
    }
    lease
}

#[cfg(test)]
#[path = "tests/leader.rs"]
mod tests;
