//! The Lease of an election, and the work of its leader.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kit::errors::chain;
use kit::tasks::Group;
use kit::{Clock, Elapsed, Shutdown};
use serde_json::Value;

use super::{Candidate, Step, Timing};
use crate::client::Client;
use crate::error::KubeError;
use crate::metrics::Metrics;
use crate::path::LEASES;

/// How long one look or write may take. Several fit into a term.
const ATTEMPT: Duration = Duration::from_secs(4);

/// The time during which this process leads. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Term {
    inner: Arc<TermInner>,
}

#[derive(Debug)]
struct TermInner {
    clock: Clock,
    /// Until when, in milliseconds of elapsed time; renewals move it.
    until_ms: AtomicU64,
    /// An ended term does not come back: a new one has its own.
    ended: AtomicBool,
}

impl Term {
    /// A term until that time, unless it is extended.
    pub fn until(clock: Clock, until: Elapsed) -> Self {
        let inner =
            TermInner { clock, until_ms: AtomicU64::new(millis(until)), ended: AtomicBool::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// Whether it still runs. To be asked right before each write: a process that was stopped and woke up learns of the
    /// time that passed only by this.
    pub fn holds(&self) -> bool {
        !self.inner.ended.load(Ordering::SeqCst)
            && millis(self.inner.clock.elapsed()) < self.inner.until_ms.load(Ordering::SeqCst)
    }

    fn extend(&self, until: Elapsed) {
        self.inner.until_ms.fetch_max(millis(until), Ordering::SeqCst);
    }

    fn end(&self) {
        self.inner.ended.store(true, Ordering::SeqCst);
    }
}

/// Rounded down: a term must never look longer than it is.
fn millis(time: Elapsed) -> u64 {
    u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX)
}

/// Stands for election.
#[derive(Debug)]
pub struct Election {
    client: Client,
    namespace: String,
    name: &'static str,
    clock: Clock,
    metrics: Metrics,
    candidate: Candidate,
    timing: Timing,
    /// The Lease as this process wrote it last.
    held: Option<Value>,
}

/// A term under way, with its work; dropping it aborts the work.
struct Leading {
    term: Term,
    work: Group,
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.term.end();
    }
}

impl Election {
    /// An election by the Lease `name` in `namespace`. `identity` must be this process's alone.
    pub fn new(
        client: Client,
        (namespace, name): (&str, &'static str),
        identity: String,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let timing = Timing::default();
        let candidate = Candidate::new(identity, timing);
        Self { client, namespace: namespace.to_owned(), name, clock, metrics, candidate, timing, held: None }
    }

    /// Stands until shutdown is asked for, then gives the Lease back. While this process leads, `work` runs; it is aborted
    /// at the end of the term. Work that ends by itself (or panics) costs the term, and is begun anew with the next.
    pub async fn run<W, F>(mut self, shutdown: Shutdown, work: W) -> Result<(), Infallible>
    where
        W: Fn(Term) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut leading = None;
        while !shutdown.is_requested() {
            self.attempt().await;
            leading = self.settle(leading, &work);
            if leading.as_ref().is_some_and(|leading| leading.work.is_empty()) {
                tracing::error!("what the leader does has ended; somebody else may lead");
                leading = None;
                self.release().await;
                self.metrics.leader.set(0);
                self.pause(&shutdown, self.timing.lease).await;
            }
            let wait = self.timing.retry.mul_f64(0.8 + 0.4 * kit::random::unit());
            self.pause(&shutdown, wait).await;
        }
        drop(leading);
        self.release().await;
        self.metrics.leader.set(0);
        Ok(())
    }

    async fn pause(&self, shutdown: &Shutdown, time: Duration) {
        tokio::select! {
            () = self.clock.sleep(time) => {}
            () = shutdown.requested() => {}
        }
    }

    /// One look at the Lease, and one write where it is this candidate's to write; never longer than the term lasts.
    async fn attempt(&mut self) {
        let begun = self.clock.elapsed();
        let left = self.candidate.leads_until(begun).map_or(ATTEMPT, |until| until.since(begun));
        match tokio::time::timeout(left.min(ATTEMPT), self.look()).await {
            Ok(Ok(true)) => self.candidate.written(begun),
            Ok(Ok(false)) => {}
            Ok(Err(error)) if error.is_conflict() => {
                tracing::debug!(lease = self.name, "somebody else was faster");
            }
            Ok(Err(error)) => {
                tracing::warn!(lease = self.name, error = chain(&error), "no look at the leader's Lease");
            }
            Err(_) => tracing::warn!(lease = self.name, "no answer about the leader's Lease in time"),
        }
    }

    /// Whether the Lease was written.
    async fn look(&mut self) -> Result<bool, KubeError> {
        let path = LEASES.object(&self.namespace, self.name);
        let found = match self.client.get(&path).await {
            Ok(lease) => Some(lease),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let written: Value = match self.candidate.step(found, self.clock.elapsed(), self.clock.wall()) {
            Step::Wait => return Ok(false),
            Step::Create(mut lease) => {
                lease["metadata"]["name"] = Value::from(self.name);
                self.client.create(&LEASES.of(&self.namespace), &lease).await?
            }
            Step::Replace(lease) => self.client.replace(&path, &lease).await?,
        };
        self.held = Some(written);
        Ok(true)
    }

    /// Begins, goes on with, or ends a term, as the candidate's time says.
    fn settle<W, F>(&self, leading: Option<Leading>, work: &W) -> Option<Leading>
    where
        W: Fn(Term) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let until = self.candidate.leads_until(self.clock.elapsed());
        self.metrics.leader.set(i64::from(until.is_some()));
        match (leading, until) {
            // One that ran out is over, also where the Lease was renewed since.
            (Some(leading), Some(until)) if leading.term.holds() => {
                leading.term.extend(until);
                Some(leading)
            }
            (old, Some(until)) => {
                drop(old);
                tracing::info!(lease = self.name, "this replica leads");
                self.metrics.leader_terms.inc();
                let term = Term::until(self.clock.clone(), until);
                let group = Group::new("leader", 1);
                group.spawn(work(term.clone()));
                Some(Leading { term, work: group })
            }
            (Some(_), None) => {
                tracing::warn!(lease = self.name, "this replica leads no more");
                None
            }
            (None, None) => None,
        }
    }

    /// Gives the Lease back, so that the next leader need not wait for it to run out.
    async fn release(&mut self) {
        let leads = self.candidate.leads_until(self.clock.elapsed()).is_some();
        let Some(lease) = self.held.take().filter(|_| leads) else { return };
        let lease = self.candidate.released(lease, self.clock.wall());
        let path = LEASES.object(&self.namespace, self.name);
        let written = self.client.replace::<serde::de::IgnoredAny>(&path, &lease);
        match tokio::time::timeout(ATTEMPT, written).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, "leadership is given back"),
            Ok(Err(error)) => tracing::info!(error = chain(&error), "leadership was not given back"),
            Err(_) => tracing::info!("leadership was not given back in time"),
        }
    }
}
