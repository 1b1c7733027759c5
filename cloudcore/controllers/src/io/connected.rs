//! Keeps condition and addresses of Nodes true.

use std::convert::Infallible;
use std::sync::Arc;

use cloudcore_kube::path::{LEASES, NODES};
use cloudcore_kube::{KubeError, Patch, node_lease};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kit::Elapsed;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{AT_ONCE, Controllers, Written, judge};
use crate::connected::{Condition, Looked, Next, View, plan};
use crate::endpoint::{Endpoint, Serves, patch, serves};
use crate::seen::State;

/// What became of a node.
enum Outcome {
    Rest,
    At(Elapsed),
    Later,
}

/// Works through what is due, for ever.
pub(super) async fn run(controllers: &Controllers) -> Infallible {
    let Controllers { clock, seen, .. } = controllers;
    let mut flying = FuturesUnordered::new();
    loop {
        let now = clock.elapsed();
        while flying.len() < AT_ONCE
            && let Some(name) = seen.with(|state| state.nodes_due.next(now))
        {
            flying.push(async move { (act(controllers, &name).await, name) });
        }
        let due = seen.with(|state| state.nodes_due.due());
        let full = flying.len() >= AT_ONCE;
        tokio::select! {
            Some((outcome, name)) = flying.next(), if !flying.is_empty() => settle(controllers, &name, &outcome),
            () = seen.nodes_changed() => {}
            () = clock.sleep_until(due.unwrap_or_default()), if due.is_some() && !full => {}
        }
    }
}

fn settle(controllers: &Controllers, name: &Arc<str>, outcome: &Outcome) {
    let now = controllers.clock.elapsed();
    controllers.seen.with(|state| match outcome {
        Outcome::Rest => state.nodes_due.done(name),
        Outcome::At(at) => {
            state.nodes_due.done(name);
            state.nodes_due.mark(name, *at);
        }
        Outcome::Later => state.nodes_due.failed(name, now, kit::random::unit()),
    });
}

async fn act(controllers: &Controllers, name: &Arc<str>) -> Outcome {
    let moved = serve(controllers, name);
    let Some(mut planned) = next(controllers, name) else { return Outcome::Rest };
    if planned.0 == Next::Look {
        if let Err(error) = look(controllers, name).await {
            judge(&controllers.metrics, "connected", name, &Err(error));
            return Outcome::Later;
        }
        let Some(again) = next(controllers, name) else { return Outcome::Rest };
        planned = again;
    }
    // A session may open between the look and the write: whoever has it sees what was written, and puts it right.
    let (decided, uid, version) = planned;
    let write = |condition, moved| write(controllers, name, condition, moved, (uid, version));
    match decided {
        Next::Rest if moved.is_some() => write(None, moved).await,
        Next::Rest => Outcome::Rest,
        Next::At(at) => Outcome::At(at),
        // Looked at a moment ago: what was seen does not answer the question yet.
        Next::Look => Outcome::Later,
        Next::Forget => {
            controllers.seen.with(|state| forget(state, name));
            // What is not this replica's to say may be the leader's.
            Outcome::At(controllers.clock.elapsed())
        }
        Next::Write(condition) => write(Some(condition), moved).await,
    }
}

/// Serves the kubelet's API of the node here, or no more; answers where, if its Node is to say so.
fn serve(controllers: &Controllers, name: &Arc<str>) -> Option<Endpoint> {
    let endpoints = &controllers.endpoints;
    let (serves, shown) = controllers.seen.with(|state| {
        let Some((_, node)) = state.node(name) else { return (Serves::Not, None) };
        let session = state.sessions.get(name);
        (serves(node, session, state.leads(), endpoints.address()), node.endpoint)
    });
    let before = shown.filter(|shown| shown.ip() == endpoints.address()).map(|shown| shown.port());
    match serves {
        Serves::Anywhere => endpoints.open(name, before, false).filter(|own| shown != Some(*own)),
        Serves::AsNamed => {
            endpoints.open(name, before, true);
            None
        }
        Serves::Not => {
            endpoints.leave(name);
            None
        }
    }
}

/// What is to be done about a node's condition, with the UID and resourceVersion of its Node; `None` where it has none.
fn next(controllers: &Controllers, name: &Arc<str>) -> Option<(Next, Arc<str>, Box<str>)> {
    let clock = &controllers.clock;
    controllers.seen.with(|state| {
        if state.node(name).is_none() {
            // Nothing is to be said where there is no Node.
            forget(state, name);
        }
        let State { sessions, looked, .. } = &*state;
        let (uid, node) = state.node(name)?;
        let view = View {
            node,
            session: sessions.get(name),
            looked: looked.get(name),
            leads: state.leads(),
            default: state.default,
            now: clock.elapsed(),
            wall: clock.wall(),
        };
        Some((plan(&view), Arc::clone(uid), node.version.clone()))
    })
}

/// Forgets a session that has ended.
fn forget(state: &mut State, name: &Arc<str>) {
    if state.sessions.get(name).is_some_and(|session| !session.is_open()) {
        state.sessions.remove(name);
    }
}

async fn write(
    controllers: &Controllers,
    name: &Arc<str>,
    condition: Option<Condition>,
    moved: Option<Endpoint>,
    (uid, version): (Arc<str>, Box<str>),
) -> Outcome {
    let body = patch(condition.as_ref(), moved, (&uid, &version), controllers.clock.wall());
    let what = if condition.is_some() { "connected" } else { "endpoint" };
    let node = controllers.client.as_node(name);
    let path = NODES.sub("", name, "status");
    let written = node.patch::<IgnoredAny>(&path, Patch::Strategic, &body).await;
    match judge(&controllers.metrics, what, name, &written.map(drop)) {
        Written::Done | Written::Gone => Outcome::Rest,
        Written::Later => Outcome::Later,
    }
}

/// Reads the Lease. One that looks as it did keeps the time since when it does.
async fn look(controllers: &Controllers, name: &Arc<str>) -> Result<(), KubeError> {
    let path = LEASES.object(node_lease::NAMESPACE, name);
    let lease: Value = match controllers.client.as_node(name).get(&path).await {
        Ok(lease) => lease,
        Err(error) if error.is_not_found() => Value::Null,
        Err(error) => return Err(error),
    };
    let (epoch, renewed) = (node_lease::epoch(&lease), node_lease::renewed(&lease).to_owned());
    let now = controllers.clock.elapsed();
    controllers.seen.with(|state| {
        let old = state.looked.get(name).filter(|old| old.epoch == epoch && old.renewed == renewed);
        let since = old.map_or(now, |old| old.since);
        state.looked.insert(Arc::clone(name), Looked { epoch, renewed, since, last: now });
    });
    Ok(())
}
