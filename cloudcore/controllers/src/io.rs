//! The loops of the controllers, and how the rest of cloudcore tells them things.

mod connected;
mod tolerations;

use std::convert::Infallible;
use std::sync::Arc;

use cloudcore_kube::leader::Term;
use cloudcore_kube::path::NAMESPACES;
use cloudcore_kube::watch::{Observer, Source};
use cloudcore_kube::{Client, KubeError};
use kit::{Clock, Shutdown};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::connected::Session;
use crate::endpoint::{self, Endpoint, Endpoints, Place};
use crate::metrics::Metrics;
use crate::policy::Autonomy;
use crate::seen::{Seen, Which};

/// Writes of one kind under way at once: much more would only queue in the API server.
const AT_ONCE: usize = 8;

/// Where Namespaces are watched.
pub const NAMESPACE_SOURCE: Source =
    Source { kind: "Namespace", collection: NAMESPACES, field_selector: "", page: 500 };

/// The controllers. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Controllers {
    client: Client,
    clock: Clock,
    seen: Seen,
    endpoints: Arc<dyn Endpoints>,
    metrics: Metrics,
}

impl Controllers {
    /// Controllers that know nothing yet. `default` is how long pods stay where no annotation says otherwise;
    /// `endpoints` serves the kubelet's API of nodes.
    pub fn new(client: Client, clock: Clock, default: Autonomy, endpoints: Arc<dyn Endpoints>) -> Self {
        let seen = Seen::new(clock.clone(), default);
        Self { client, seen, clock, endpoints, metrics: Metrics::default() }
    }

    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Hears of pods.
    pub fn pods(&self) -> Arc<dyn Observer> {
        self.seen.observer(Which::Pods)
    }

    /// Hears of Nodes.
    pub fn nodes(&self) -> Arc<dyn Observer> {
        self.seen.observer(Which::Nodes)
    }

    /// Hears of Namespaces.
    pub fn namespaces(&self) -> Arc<dyn Observer> {
        self.seen.observer(Which::Namespaces)
    }

    /// A session is open here.
    pub fn opened(&self, node: &Arc<str>, epoch: u64) {
        self.seen.session(node, Session::Open { epoch });
    }

    /// A session is over, and why, for people.
    pub fn closed(&self, node: &Arc<str>, epoch: u64, cause: &str) {
        let (at, wall) = (self.clock.elapsed(), self.clock.wall());
        self.seen.session(node, Session::Ended { epoch, at, wall, cause: cause.to_owned() });
    }

    /// Where a node is; `own` is where it is served here.
    pub fn place(&self, node: &str, own: Endpoint) -> Place {
        self.seen.with(|state| {
            endpoint::place(node, state.node(node).map(|(_, seen)| seen), state.sessions.get(node), own)
        })
    }

    /// Changes when a node may be elsewhere than before.
    pub fn moves(&self) -> watch::Receiver<()> {
        self.seen.moves()
    }

    /// Keeps conditions and addresses of Nodes true, until shutdown is asked for. In every replica.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        tokio::select! {
            () = shutdown.requested() => Ok(()),
            never = connected::run(&self) => match never {},
        }
    }

    /// What only the leader does, until its term ends and this is dropped.
    pub async fn lead(self, term: Term) {
        let _leading = Leading::begin(&self.seen, &term);
        let never = tolerations::run(&self, &term).await;
        match never {}
    }
}

/// While it lives, this replica leads.
struct Leading<'a>(&'a Seen);

impl<'a> Leading<'a> {
    fn begin(seen: &'a Seen, term: &Term) -> Self {
        seen.set_term(Some(term.clone()));
        Self(seen)
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.set_term(None);
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// The cluster has it.
    Done,
    /// Not now: what it was planned on has changed, or the API server does not take it.
    Later,
    /// There is nothing to write it on.
    Gone,
}

/// Counts a write, and says why where it failed.
fn judge(metrics: &Metrics, what: &'static str, object: &str, written: &Result<(), KubeError>) -> Written {
    let (result, outcome) = match written {
        Ok(()) => ("ok", Written::Done),
        Err(error) if error.is_not_found() => ("gone", Written::Gone),
        Err(error) if error.is_conflict() => ("conflict", Written::Later),
        Err(error) => {
            tracing::warn!(
                what,
                object,
                error = kit::errors::chain(error),
                "not written, will be tried again"
            );
            ("failed", Written::Later)
        }
    };
    metrics.count(what, result);
    outcome
}
