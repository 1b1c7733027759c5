//! Where the kubelet's API of a node is served: which replica does, and what the Node says of it. Pure.
//!
//! The API server reaches a node by the addresses in its status, so they name the replica that has the session, with a
//! port that stands for this one node. There is no address of type `Hostname`, which the API server would prefer and fail
//! to resolve. While an edge is away the leader answers for it: whoever asks is told so, and not that nobody listens.

use std::net::{IpAddr, SocketAddr};

use kit::WallTime;
use serde_json::{Map, Value, json};

use crate::connected::{Condition, NodeSeen, Session, happened, item};

/// Where the kubelet's API of one node is served.
pub type Endpoint = SocketAddr;

/// Serves the kubelet's API of nodes, each on a port of its own.
pub trait Endpoints: std::fmt::Debug + Send + Sync + 'static {
    /// The address of all of them.
    fn address(&self) -> IpAddr;
    /// Serves a node, where it is not served yet; on that port where it can be had, on another one where `only` does not
    /// forbid it. `None` where it cannot be served.
    fn open(&self, node: &str, before: Option<u16>, only: bool) -> Option<Endpoint>;
    /// The node is served elsewhere now, or nowhere: whoever still comes here is sent there for a while.
    fn leave(&self, node: &str);
}

/// Where an edge is, as far as this replica knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Its session is here.
    Here,
    /// Another replica serves it.
    There(Endpoint),
    /// It has no session, for people: since when and why.
    Away(String),
    /// Between two sessions, for all that is known.
    Moving,
}

/// Why a replica serves a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    /// On any port, and the Node is to say it.
    Anywhere,
    /// Only on the port that the Node names.
    AsNamed,
    /// It does not.
    Not,
}

/// Whether this replica, which serves at `own`, serves the node.
pub(crate) fn serves(node: &NodeSeen, session: Option<&Session>, leads: bool, own: IpAddr) -> Serves {
    if session.is_some_and(Session::is_open) || (leads && node.edge && node.shows(false)) {
        return Serves::Anywhere;
    }
    // One that was here, or was before this process started: nobody else has taken it over.
    if node.endpoint.is_some_and(|endpoint| endpoint.ip() == own) { Serves::AsNamed } else { Serves::Not }
}

/// Where a node is. `own` is where it is served here.
pub(crate) fn place(name: &str, node: Option<&NodeSeen>, session: Option<&Session>, own: Endpoint) -> Place {
    if session.is_some_and(Session::is_open) {
        return Place::Here;
    }
    let Some(node) = node else { return Place::Away(format!("node {name:?} does not exist")) };
    let other = node.endpoint.filter(|endpoint| *endpoint != own);
    match (&node.connected, other) {
        (Some(shown), None) if !shown.status => {
            let since = shown.since.map(WallTime::rfc3339).unwrap_or_default();
            let why = happened(&shown.message);
            Place::Away(format!("node {name:?} is disconnected since {since}: {why}"))
        }
        (_, Some(other)) => Place::There(other),
        (_, None) => Place::Moving,
    }
}

/// The strategic merge patch of a condition, an endpoint, or both, on that version of that Node only.
pub(crate) fn patch(
    condition: Option<&Condition>,
    endpoint: Option<Endpoint>,
    (uid, version): (&str, &str),
    now: WallTime,
) -> Value {
    let mut status = Map::new();
    if let Some(condition) = condition {
        status.insert("conditions".to_owned(), json!([item(condition, now)]));
    }
    if let Some(endpoint) = endpoint {
        let address = json!({"type": "InternalIP", "address": endpoint.ip().to_string()});
        // Merged by type as they are, others would stay.
        status.insert("addresses".to_owned(), json!([{"$patch": "replace"}, address]));
        status.insert("daemonEndpoints".to_owned(), json!({"kubeletEndpoint": {"Port": endpoint.port()}}));
    }
    json!({"metadata": {"uid": uid, "resourceVersion": version}, "status": status})
}

#[cfg(test)]
#[path = "tests/endpoint.rs"]
mod tests;
