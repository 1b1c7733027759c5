//! Brings the tolerations of pods to what policy says.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cloudcore_kube::Patch;
use cloudcore_kube::leader::Term;
use cloudcore_kube::path::{Collection, PODS};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kit::Elapsed;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{AT_ONCE, Controllers, Written, judge};
use crate::complaint::{self, About};
use crate::policy::{Level, Wrong, decide};
use crate::seen::{State, tolerations};
use crate::tolerations::{Asked, patch, patience, plan};

/// Events in their core/v1 form.
const EVENTS: Collection = Collection { group: "", version: "v1", plural: "events" };
/// Between calling off a deletion and scheduling it anew: the taint-eviction controller must see both.
const APART: Duration = Duration::from_secs(2);
/// Complaints remembered, so that each is made once.
const COMPLAINTS: usize = 4096;

/// What became of a pod.
enum Outcome {
    Rest,
    /// A second change follows.
    Again,
    /// Nothing is to be done before.
    At(Elapsed),
    Later,
}

/// What is to be done about a pod.
struct Work {
    path: String,
    name: String,
    change: Option<(Value, bool)>,
    /// The change waits until then.
    not_before: Elapsed,
    complaints: Vec<(About, String)>,
}

/// Works through what is due, for ever.
pub(super) async fn run(controllers: &Controllers, term: &Term) -> Infallible {
    let Controllers { clock, seen, .. } = controllers;
    let mut flying = FuturesUnordered::new();
    let mut said = BTreeSet::new();
    loop {
        let now = clock.elapsed();
        while flying.len() < AT_ONCE
            && let Some(uid) = seen.with(|state| {
                // From what is not known nothing follows.
                if state.is_complete() { state.pods_due.next(now) } else { None }
            })
        {
            let work = seen.with(|state| work(state, &uid));
            let complaints = work.iter().flat_map(|work| work.complaints.clone());
            let new: Vec<_> = complaints.filter(|complaint| said.insert(complaint.clone())).collect();
            if said.len() > COMPLAINTS {
                said.clear();
            }
            flying.push(async move { (act(controllers, term, work, new).await, uid) });
        }
        let due = seen.with(|state| state.is_complete().then(|| state.pods_due.due()).flatten());
        let full = flying.len() >= AT_ONCE;
        tokio::select! {
            Some((outcome, uid)) = flying.next(), if !flying.is_empty() => settle(controllers, &uid, &outcome),
            () = seen.pods_changed() => {}
            () = clock.sleep_until(due.unwrap_or_default()), if due.is_some() && !full => {}
        }
    }
}

fn settle(controllers: &Controllers, uid: &Arc<str>, outcome: &Outcome) {
    let now = controllers.clock.elapsed();
    controllers.seen.with(|state| match outcome {
        Outcome::Rest => state.pods_due.done(uid),
        Outcome::Again => {
            state.pods_due.done(uid);
            state.pods_due.mark(uid, now.plus(APART));
        }
        Outcome::At(then) => {
            state.pods_due.done(uid);
            state.pods_due.mark(uid, *then);
        }
        Outcome::Later => state.pods_due.failed(uid, now, kit::random::unit()),
    });
}

/// What policy says about a pod; `None` where it says nothing.
fn work(state: &State, uid: &Arc<str>) -> Option<Work> {
    let pod = state.pods.get(uid)?;
    let (_, node) = state.node(&pod.node).filter(|(_, node)| node.edge)?;
    let (autonomy, wrong) = decide(state.annotations(pod), state.default);
    let tolerations = tolerations(pod);
    let asked = Asked {
        tolerations: &tolerations,
        came_with: pod.came_with.as_deref(),
        autonomy,
        tainted: node.tainted.is_some(),
    };
    let change = plan(&asked).map(|change| (patch(&change, uid, &pod.version), change.again));
    // One whose node is away or given up is not made to wait.
    let calm = node.tainted.is_none() && node.shows(true) && pod.came_with.is_none();
    let bound = pod.bound.filter(|_| calm);
    let not_before = bound.map(|bound| bound.plus(patience(&tolerations))).unwrap_or_default();
    let complaints = wrong.into_iter().filter_map(|wrong| about(state, uid, wrong)).collect();
    let name = format!("{}/{}", pod.namespace, pod.name);
    Some(Work { path: PODS.object(&pod.namespace, &pod.name), name, change, not_before, complaints })
}

/// Whose annotation is wrong.
fn about(state: &State, uid: &Arc<str>, wrong: Wrong) -> Option<(About, String)> {
    let pod = state.pods.get(uid)?;
    let (namespace, name, uid) = match wrong.level {
        Level::Pod => (pod.namespace.to_string(), pod.name.to_string(), uid),
        Level::Namespace => (String::new(), pod.namespace.to_string(), state.namespace(&pod.namespace)?.0),
        Level::Node => (String::new(), pod.node.to_string(), state.node(&pod.node)?.0),
    };
    Some((About { level: wrong.level, namespace, name, uid: uid.to_string() }, wrong.why))
}

async fn act(
    controllers: &Controllers,
    term: &Term,
    work: Option<Work>,
    complaints: Vec<(About, String)>,
) -> Outcome {
    let Some(work) = work else { return Outcome::Rest };
    for (about, why) in complaints {
        complain(controllers, term, &about, &why).await;
    }
    let Some((body, again)) = work.change else { return Outcome::Rest };
    if controllers.clock.elapsed() < work.not_before {
        return Outcome::At(work.not_before);
    }
    // Whoever was stopped and woke up finds out here, before anything is sent.
    if !term.holds() {
        return Outcome::Later;
    }
    let written = controllers.client.patch::<IgnoredAny>(&work.path, Patch::Merge, &body).await;
    match judge(&controllers.metrics, "tolerations", &work.name, &written.map(drop)) {
        Written::Done if again => Outcome::Again,
        Written::Done | Written::Gone => Outcome::Rest,
        Written::Later => Outcome::Later,
    }
}

async fn complain(controllers: &Controllers, term: &Term, about: &About, why: &str) {
    if !term.holds() {
        return;
    }
    tracing::warn!(namespace = about.namespace, name = about.name, why, "annotation is passed over");
    let (namespace, event) = complaint::event(about, why, controllers.clock.wall());
    match controllers.client.create::<IgnoredAny>(&EVENTS.of(&namespace), &event).await {
        Err(error) if error.is_already_exists() => {}
        written => {
            // Not tried again: the log has it too.
            judge(&controllers.metrics, "event", &about.name, &written.map(drop));
        }
    }
}
