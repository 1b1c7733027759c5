//! One write from start to answer.

use std::sync::Arc;
use std::time::Duration;

use kit::tasks::Group;
use wire::{EntryAck, ReportAck};

use super::write::{self, Outcome, Writer};
use super::{Inner, Job, JobKey, State, Task, earliest};
use crate::queue::Started;

/// A write under way. One that ends without an outcome (a panic, or no room for it) is tried again.
struct Ticket {
    inner: Arc<Inner>,
    started: Option<Started<JobKey, Job>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(started) = self.started.take() {
            let reason = "the write was given up".to_owned();
            let outcome = Outcome::Later { reason, after: Duration::ZERO, throttled: false };
            self.inner.settle(started, &outcome);
        }
    }
}

/// Starts a write.
pub(super) fn start(inner: &Arc<Inner>, workers: &Group, started: Started<JobKey, Job>) {
    let mut ticket = Ticket { inner: Arc::clone(inner), started: Some(started) };
    workers.spawn(async move {
        let Some(started) = &ticket.started else { return };
        let outcome = perform(&ticket.inner, started).await;
        if let Some(started) = ticket.started.take() {
            ticket.inner.settle(started, &outcome);
        }
    });
}

async fn perform(inner: &Inner, started: &Started<JobKey, Job>) -> Outcome {
    let Started { node, epoch, item, failures, .. } = started;
    let is_open = || inner.state().queue.is_open(node, *epoch);
    let writer = Writer {
        client: &inner.client,
        clock: &inner.clock,
        metrics: &inner.metrics,
        node,
        epoch: *epoch,
        failures: *failures,
        is_open: &is_open,
    };
    match &item.task {
        Task::Report(reported) => write::report(&writer, reported).await,
        Task::Event { draft, seq } => write::event(&writer, draft, seq.is_some()).await,
    }
}

impl Inner {
    /// Something came of a write.
    fn settle(&self, started: Started<JobKey, Job>, outcome: &Outcome) {
        let now = self.clock.elapsed();
        let kind = started.item.kind();
        let mut state = self.state();
        match outcome {
            Outcome::Later { reason, after, throttled } => {
                self.metrics.count(kind, "retried");
                if started.failures == 0 {
                    tracing::info!(
                        node = &*started.node,
                        kind,
                        reason,
                        "write failed and will be tried again"
                    );
                }
                if *throttled {
                    state.queue.hold(&started.node, started.epoch, now.plus(*after));
                }
                state.queue.retry(started, now, kit::random::unit(), *after);
            }
            Outcome::Taken(_) | Outcome::Refused(_) | Outcome::Over => {
                state.queue.finish(&started.node, started.epoch, &started.key);
                self.answer(&mut state, &started, outcome, kind);
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Tells the edge, and what is compared.
    fn answer(
        &self,
        state: &mut State,
        started: &Started<JobKey, Job>,
        outcome: &Outcome,
        kind: &'static str,
    ) {
        let Started { node, epoch, item, .. } = started;
        let now = self.clock.elapsed();
        let State { queue, sessions, ask_at } = state;
        let Some(session) = sessions.get_mut(node).filter(|session| session.opened.epoch == *epoch) else {
            return;
        };
        let refusal = match outcome {
            Outcome::Taken(result) => {
                self.metrics.count(kind, result);
                None
            }
            Outcome::Refused(reason) => {
                self.metrics.count(kind, "refused");
                tracing::warn!(node = &**node, kind, reason, "write is refused");
                Some(reason)
            }
            Outcome::Later { .. } | Outcome::Over => return,
        };
        self.metrics.answered(kind, now.since(item.since));
        match (&item.task, refusal) {
            (Task::Report(reported), None) => {
                session.opened.answers.send(ReportAck { ids: reported.ids.clone() }.into());
                if reported.deleted {
                    session.compare.forget(&reported.key());
                }
            }
            (Task::Report(reported), Some(reason)) => {
                session.refuse(&reported.ids, reason);
                // What is refused today may be taken tomorrow: rights come back, a deletion begins.
                session.compare.look_again(&reported.key(), now, kit::random::unit());
                *ask_at = earliest(*ask_at, session.compare.deadline());
            }
            (Task::Event { seq: Some(seq), .. }, None) => {
                let ack = EntryAck { seqs: vec![*seq], refused: Vec::new(), reasons: Vec::new() };
                session.opened.answers.send(ack.into());
            }
            (Task::Event { seq: Some(seq), .. }, Some(reason)) => session.refuse_entry(*seq, reason.clone()),
            (Task::Event { seq: None, .. }, _) => {}
        }
        if session.dropped && queue.is_idle(node) {
            session.dropped = false;
            session.compare.take_again();
            session.want_inventory();
        }
    }
}
