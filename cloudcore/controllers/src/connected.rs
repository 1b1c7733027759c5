//! The Node's condition `skerry.io/Connected`: since when the edge is connected, or not, and what becomes of its pods. Pure.
//!
//! `Ready` stays node-lifecycle's and the edge's. This one is written when something changes, never as a heartbeat:
//!
//! - The replica that has the session says `True`, wherever the Node shows something else.
//! - The replica that had the last session says `False`, once the edge had time to come back and only where the Node's
//!   Lease names no newer session.
//! - Where that replica died, nobody is left to say it: the leader does, when node-lifecycle has given the Node up and
//!   nobody renews its Lease.
//! - While it is `False`, the leader keeps its message true: until when pods stay.
//!
//! Whoever is wrong for a moment is put right by whoever knows better, because both look at the same Node.

use std::time::Duration;

use kit::{Elapsed, WallTime};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::policy::{Annotations, Autonomy, decide};

/// The condition's type.
pub(crate) const CONNECTED: &str = "skerry.io/Connected";
/// An edge that comes back so soon was not away: nothing is written for a session that only moved.
const PATIENCE: Duration = Duration::from_secs(5);
/// A Lease that is not renewed for so long has nobody who renews it: sessions do so every ten seconds.
const SILENCE: Duration = Duration::from_secs(25);
/// Longest text taken over from why a session ended, in characters.
const MAX_CAUSE: usize = 200;

/// What of a Node counts here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NodeSeen {
    pub(crate) name: Box<str>,
    pub(crate) version: Box<str>,
    /// Bears the label of edges.
    pub(crate) edge: bool,
    /// The annotation for autonomy.
    pub(crate) autonomy: Option<Box<str>>,
    /// Since when node-lifecycle's taints evict pods.
    pub(crate) tainted: Option<WallTime>,
    /// Nobody renews its Lease, says node-lifecycle.
    pub(crate) given_up: bool,
    /// The condition as it stands there.
    pub(crate) connected: Option<Shown>,
    /// Where it says that its kubelet's API is served.
    pub(crate) endpoint: Option<Endpoint>,
}

impl NodeSeen {
    /// Whether it shows that its edge is, or is not, connected.
    pub(crate) fn shows(&self, status: bool) -> bool {
        self.connected.as_ref().is_some_and(|shown| shown.status == status)
    }
}

/// The condition as a Node shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) status: bool,
    pub(crate) reason: Box<str>,
    pub(crate) message: Box<str>,
    /// Its last transition.
    pub(crate) since: Option<WallTime>,
}

/// What this replica knows of a node's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Session {
    /// It is open here.
    Open {
        /// Its number.
        epoch: u64,
    },
    /// It was here, and has ended.
    Ended {
        /// Its number.
        epoch: u64,
        /// When it ended.
        at: Elapsed,
        /// The same, for people.
        wall: WallTime,
        /// Why, for people.
        cause: String,
    },
}

/// The node's Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Number of the session that it names; 0 where there is no Lease.
    pub(crate) epoch: u64,
    /// Its last renewal, as it stands there.
    pub(crate) renewed: String,
    /// Since when it was seen like this by this process.
    pub(crate) since: Elapsed,
    /// When it was last seen like this.
    pub(crate) last: Elapsed,
}

impl Session {
    /// Its number.
    pub(crate) const fn epoch(&self) -> u64 {
        match self {
            Self::Open { epoch } | Self::Ended { epoch, .. } => *epoch,
        }
    }

    /// Whether it goes on.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// Everything a decision is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) node: &'a NodeSeen,
    pub(crate) session: Option<&'a Session>,
    pub(crate) looked: Option<&'a Looked>,
    pub(crate) leads: bool,
    /// What counts where no annotation says otherwise.
    pub(crate) default: Autonomy,
    pub(crate) now: Elapsed,
    pub(crate) wall: WallTime,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// The Node shows what is so, or it is for others to say.
    Rest,
    /// Look again at that time.
    At(Elapsed),
    /// Read the Lease first.
    Look,
    /// The session that ended here was not the last one.
    Forget,
    /// Write this.
    Write(Condition),
}

/// The condition to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) status: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) since: WallTime,
}

/// What to do about a node.
pub(crate) fn plan(view: &View<'_>) -> Next {
    let shows = |status| view.node.shows(status);
    match view.session {
        Some(Session::Open { .. }) if shows(true) => Next::Rest,
        Some(Session::Open { .. }) => Next::Write(Condition {
            status: true,
            reason: "SessionOpen",
            message: "the edge has a session with cloudcore".to_owned(),
            since: view.wall,
        }),
        Some(Session::Ended { .. }) if shows(false) => Next::Forget,
        Some(Session::Ended { epoch, at, wall, cause }) => {
            let due = at.plus(PATIENCE);
            match view.looked {
                _ if view.now < due => Next::At(due),
                Some(looked) if looked.epoch > *epoch => Next::Forget,
                // A look from before the edge had its time says nothing about after it.
                Some(looked) if looked.last >= due => {
                    let cause: String = cause.chars().take(MAX_CAUSE).collect();
                    Next::Write(gone(view, "SessionEnded", *wall, &format!("the session ended: {cause}")))
                }
                _ => Next::Look,
            }
        }
        None if !view.leads || !view.node.edge => Next::Rest,
        None if shows(false) => keep_true(view),
        None if view.node.given_up => silent(view),
        None => Next::Rest,
    }
}

/// Nobody said that the edge is gone, and node-lifecycle has given it up: whether somebody still renews the Lease.
fn silent(view: &View<'_>) -> Next {
    let Some(looked) = view.looked else { return Next::Look };
    let due = looked.since.plus(SILENCE);
    if view.now < due {
        return Next::At(due);
    }
    if looked.last < due {
        return Next::Look;
    }
    let renewed = WallTime::parse(&looked.renewed);
    // A session that was said to be open long after the last renewal is open, and its edge's pod engine stands still.
    let said = view.node.connected.as_ref().and_then(|shown| shown.since);
    let late = i64::try_from(SILENCE.as_millis()).unwrap_or(i64::MAX);
    if let (Some(said), Some(renewed)) = (said, renewed)
        && said > renewed.plus_millis(late)
    {
        return Next::Rest;
    }
    let since = renewed.unwrap_or(view.wall);
    Next::Write(gone(view, "Silent", since, "no cloudcore has a session with the edge"))
}

/// Rewrites the message where taint or policy changed since.
fn keep_true(view: &View<'_>) -> Next {
    let Some(shown) = &view.node.connected else { return Next::Rest };
    let reason = if &*shown.reason == "Silent" { "Silent" } else { "SessionEnded" };
    let what = happened(&shown.message);
    let since = shown.since.unwrap_or_default();
    let wanted = gone(view, reason, since, what);
    if wanted.message == *shown.message { Next::Rest } else { Next::Write(wanted) }
}

/// Between what happened and what becomes of the pods.
const SEPARATOR: &str = "; ";

fn gone(view: &View<'_>, reason: &'static str, since: WallTime, what: &str) -> Condition {
    let what = what.replace(SEPARATOR, ", ");
    Condition { status: false, reason, message: format!("{what}{SEPARATOR}{}", outlook(view)), since }
}

/// What becomes of the node's pods, as far as neither they nor their Namespaces say otherwise.
fn outlook(view: &View<'_>) -> String {
    let annotations = Annotations { node: view.node.autonomy.as_deref(), ..Annotations::default() };
    let (autonomy, _) = decide(annotations, view.default);
    match (autonomy, view.node.tainted) {
        (Autonomy::Forever, _) => "its pods stay (autonomy: forever)".to_owned(),
        (Autonomy::Off, _) => "its pods are evicted as their tolerations say (autonomy: off)".to_owned(),
        (Autonomy::Seconds(_), None) => {
            format!("its pods are evicted when the Node was tainted for {autonomy} (autonomy: {autonomy})")
        }
        (Autonomy::Seconds(seconds), Some(tainted)) => {
            let at = tainted.plus_millis(i64::from(seconds).saturating_mul(1000));
            format!("its pods are evicted at {at} (autonomy: {autonomy})")
        }
    }
}

/// The condition as an item of the Node's conditions.
pub(crate) fn item(condition: &Condition, now: WallTime) -> Value {
    json!({
        "type": CONNECTED,
        "status": if condition.status { "True" } else { "False" },
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": condition.since.rfc3339(),
        "lastHeartbeatTime": now.rfc3339(),
    })
}

/// What happened, of a message that says it and what becomes of the pods.
pub(crate) fn happened(message: &str) -> &str {
    message.split(SEPARATOR).next().unwrap_or_default()
}

#[cfg(test)]
#[path = "tests/connected.rs"]
mod tests;
