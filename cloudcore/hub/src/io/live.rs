//! An open session: one loop, one `select!`.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cloudcore_index::Subscription;
use cloudcore_kube::KubeError;
use futures::future::BoxFuture;
use kit::errors::chain;
use kit::{Backoff, Elapsed};
use link::{FrameReceiver, FrameSender, LinkError, Streams};
use wire::{DownFrame, GoAway, Kind, up_frame};

use super::Inner;
use super::bodies;
use super::lease::{Held, Keeper, Renewal};
use super::open::{Admitted, welcome};
use crate::identity::{Denied, Identities};
use crate::lease::{DURATION_SECONDS, head_start, renew_after};
use crate::metrics::{Flight, KindLabel, ReasonLabel, ResultLabel, SentLabel};
use crate::registry::{Entry, NEWER, Stop};
use crate::session::{Broken, Session};
use crate::upstream::{Answers, Origin, Upstream};

/// Frames that wait behind the one being sent; beyond, no answers are taken.
const QUEUE: usize = 32;
/// How long a Lease holds that is not renewed.
const LEASE: Duration = Duration::from_secs(DURATION_SECONDS as u64);
/// How long one renewal may take, all its requests together.
const RENEWAL: Duration = Duration::from_secs(10);

/// An agent that opens another session has left the first, and does not hear of it. Who does is another machine with the
/// same key, a copy of a disk, say: the two shall not take the node from each other every second.
const NEWER_RETRY_MS: u32 = 60_000;
/// How long an edge waits before it hears from a refusal what became of its key.
const REVOKED_RETRY_MS: u32 = 1_000;

/// Why a session ended.
enum End {
    /// The link is over.
    Link(String),
    /// The edge is told why, and to go.
    Farewell(GoAway),
    /// Another session of the node is newer.
    Superseded(String),
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        Self::Farewell(GoAway { reason: broken.to_string(), retry_after_ms: 0 })
    }
}

fn farewell(reason: &str) -> End {
    End::Farewell(GoAway { reason: reason.to_owned(), retry_after_ms: 0 })
}

/// A session that is open. Always boxed: a task that moves it from hand to hand would have room for each of them.
pub(super) struct Live<I, U> {
    inner: Arc<Inner<I, U>>,
    origin: Origin,
    session: Session,
    flight: Flight,
    subscription: Subscription,
    sender: FrameSender,
    queue: VecDeque<Vec<u8>>,
    sending: Option<BoxFuture<'static, Result<(), LinkError>>>,
    keeper: Keeper,
    identity: pki::Identity,
    held: Held,
    renewing: Option<BoxFuture<'static, Renewal>>,
    /// Bodies being read; whether none is missing any more.
    reading: Option<BoxFuture<'static, bool>>,
    /// Not before this the bodies that are still missing are asked for again.
    read_at: Elapsed,
    read_again: Backoff,
    renewed_at: Elapsed,
    /// So much earlier comes the first renewal.
    head_start: Duration,
    /// Until when nobody can have taken the Lease for abandoned, or wanted it to look so.
    sound_at: Elapsed,
    receiver: FrameReceiver,
    answers: Answers,
    stop: Arc<Stop>,
}

/// Opens the session; `None` where it may not be after all, and the edge was told so.
pub(super) async fn begin<I: Identities, U: Upstream>(
    inner: Arc<Inner<I, U>>,
    admitted: Admitted,
    sender: FrameSender,
    receiver: FrameReceiver,
    streams: Streams,
) -> Option<Box<Live<I, U>>> {
    let epoch = admitted.held.epoch;
    let (origin, answers) = Origin::new(&admitted.hello.node_name, epoch, &admitted.hello);
    let stop = Arc::new(Stop::default());
    let entry = Entry { epoch, stop: Arc::clone(&stop), streams: Arc::new(streams) };
    if !inner.registry.enter(&origin.node, entry) {
        let gone = GoAway { reason: NEWER.to_owned(), retry_after_ms: NEWER_RETRY_MS };
        let _ = sender.send(wire::encode(&DownFrame::from(gone))).await;
        return None;
    }
    // A revocation since the first look found no session to end: from here on it finds this one.
    if let Err(Denied::Revoked(reason)) = inner.parts.identities.check(&admitted.identity).await {
        tracing::warn!(node = %origin.node, epoch, reason, "session refused");
        inner.registry.leave(&origin.node, epoch);
        let gone = GoAway { reason: reason.clone(), retry_after_ms: REVOKED_RETRY_MS };
        if sender.send(wire::encode(&DownFrame::from(gone))).await.is_ok() {
            sender.close(&reason).await;
        }
        return None;
    }
    inner.parts.metrics.sessions.inc();
    inner.parts.metrics.opened.inc();
    let first = wire::encode(&DownFrame::from(welcome(&inner, &admitted)));
    let subscription = inner.parts.index.subscribe(&origin.node);
    let hello = &admitted.hello;
    let (session, second) =
        Session::open(admitted.agreed, &hello.digest, hello.count, &hello.seen, &subscription);
    let in_sync = matches!(second.content, Some(wire::down_frame::Content::InSync(_)));
    tracing::info!(node = %origin.node, epoch, in_sync, agent = hello.agent_version, "session opened");
    let now = inner.parts.clock.elapsed();
    let live = Box::new(Live {
        renewed_at: now,
        head_start: head_start(kit::random::unit()),
        sound_at: now,
        flight: Flight::new(&inner.parts.metrics),
        inner,
        origin,
        session,
        subscription,
        sender,
        queue: VecDeque::from([first, wire::encode(&second)]),
        sending: None,
        keeper: admitted.keeper,
        identity: admitted.identity,
        held: admitted.held,
        renewing: None,
        reading: None,
        read_at: Elapsed::default(),
        read_again: Backoff::new(bodies::AGAIN.0, bodies::AGAIN.1),
        receiver,
        answers,
        stop,
    });
    if !in_sync {
        live.inner.parts.metrics.resyncs.get_or_create(&ReasonLabel { reason: "opening" }).inc();
    }
    live.inner.parts.upstream.opened(&live.origin);
    Some(live)
}

impl<I: Identities, U: Upstream> Live<I, U> {
    /// Serves the session to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        let end = self.serve().await;
        self.finish(end).await;
    }

    async fn serve(&mut self) -> End {
        let clock = self.inner.parts.clock.clone();
        loop {
            self.pump();
            self.flight.set(self.session.in_flight());
            self.start_sending();
            self.start_reading();
            let room = self.queue.len() < QUEUE;
            let deadline = self.deadline();
            let step = kit::select! {
                frame = self.receiver.recv() => match frame {
                    Ok(Some(bytes)) => self.frame(&bytes).await,
                    Ok(None) => Err(End::Link(self.receiver.close_reason().unwrap_or_else(|| "closed".to_owned()))),
                    Err(error) => Err(End::Link(error.to_string())),
                },
                sent = pending(&mut self.sending) => {
                    self.sending = None;
                    sent.map_err(|error| End::Link(error.to_string()))
                }
                renewal = pending(&mut self.renewing) => {
                    self.renewing = None;
                    self.renewed(renewal)
                }
                whole = pending(&mut self.reading) => {
                    self.reading = None;
                    self.read(whole);
                    Ok(())
                }
                () = self.subscription.changed() => self.changed(),
                answer = self.answers.next(), if room => match answer {
                    Some(frame) => {
                        self.queue.push_back(frame);
                        Ok(())
                    }
                    None => Err(farewell("the edge does not take its answers")),
                },
                () = clock.sleep_until(deadline.unwrap_or_default()), if deadline.is_some() => Ok(()),
                goodbye = self.stop.asked() => Err(match goodbye.reason {
                    reason if reason == NEWER => End::Superseded(reason),
                    reason => End::Farewell(GoAway { reason, ..goodbye }),
                }),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Queues what the window allows, once everything before is on its way.
    fn pump(&mut self) {
        if !self.queue.is_empty() {
            return;
        }
        let now = self.inner.parts.clock.elapsed();
        for outgoing in self.session.pump(&self.subscription, now) {
            if let Some((kind, op)) = outgoing.counts {
                let label = SentLabel { kind: kind.name().to_owned(), op };
                self.inner.parts.metrics.objects_sent.get_or_create(&label).inc();
            }
            if matches!(outgoing.frame.content, Some(wire::down_frame::Content::WantInventory(_))) {
                self.inner.parts.metrics.resyncs.get_or_create(&ReasonLabel { reason: "drift" }).inc();
            }
            self.queue.push_back(wire::encode(&outgoing.frame));
        }
        self.inner.parts.metrics.drift.inc_by(self.session.take_drifts());
    }

    fn start_sending(&mut self) {
        if self.sending.is_some() {
            return;
        }
        if let Some(frame) = self.queue.pop_front() {
            self.inner.parts.metrics.bytes_sent.inc_by(frame.len() as u64);
            let sender = self.sender.clone();
            self.sending = Some(Box::pin(async move { sender.send(frame).await }));
        }
    }

    /// When there is something to do by itself.
    fn deadline(&self) -> Option<Elapsed> {
        let waits = self.reading.is_none() && !self.session.lacking().is_empty();
        self.session.deadline().into_iter().chain(waits.then_some(self.read_at)).min()
    }

    /// Reads the bodies of what is to be sent and has none, one batch at a time.
    fn start_reading(&mut self) {
        let now = self.inner.parts.clock.elapsed();
        if self.reading.is_some() || self.session.lacking().is_empty() || self.read_at > now {
            return;
        }
        let (inner, node) = (Arc::clone(&self.inner), Arc::clone(&self.origin.node));
        let objects = self.session.lacking().to_vec();
        self.reading = Some(Box::pin(async move {
            inner.bodies.read(&inner.parts.client, &inner.parts.index, &node, &objects).await
        }));
    }

    fn read(&mut self, whole: bool) {
        if whole {
            // Not asked for again while what was read waits behind a queue that is not empty yet.
            self.session.lacks_nothing();
            self.read_again.reset();
        } else {
            let wait = self.read_again.next(kit::random::unit());
            self.read_at = self.inner.parts.clock.elapsed().plus(wait);
        }
    }

    fn changed(&mut self) -> Result<(), End> {
        let dirty = self.subscription.take().ok_or_else(|| End::Superseded(NEWER.to_owned()))?;
        self.session.changed(dirty.objects);
        if !dirty.statuses.is_empty() {
            self.inner.parts.upstream.statuses_changed(&self.origin, &dirty.statuses);
        }
        Ok(())
    }

    async fn frame(&mut self, bytes: &[u8]) -> Result<(), End> {
        let frame = wire::decode_up(bytes).map_err(|error| farewell(&chain(&error)))?;
        let Some(content) = frame.content else { return Ok(()) };
        let now = self.inner.parts.clock.elapsed();
        let upstream = &self.inner.parts.upstream;
        match content {
            up_frame::Content::Hello(_) => return Err(Broken("a second Hello".to_owned()).into()),
            up_frame::Content::Heartbeat(beat) => return self.heartbeat(&beat, now).await,
            up_frame::Content::Inventory(part) => {
                let next = self.session.inventory(part, &self.subscription)?;
                self.queue.extend(next.map(|frame| wire::encode(&frame)));
            }
            up_frame::Content::Ack(ack) => {
                let acked = self.session.ack(ack, now)?;
                if let Some(waited) = acked.waited {
                    self.inner.parts.metrics.ack.observe(waited.as_secs_f64());
                }
                acked.rejected.iter().for_each(|rejected| self.rejected(rejected));
            }
            up_frame::Content::Mismatch(mismatch) => {
                self.session.mismatch(&mismatch, now, kit::random::unit());
            }
            up_frame::Content::Report(report) => upstream.report(&self.origin, report),
            up_frame::Content::ReportInventory(inventory) => {
                upstream.report_inventory(&self.origin, inventory);
            }
            up_frame::Content::Call(call) => upstream.call(&self.origin, call),
            up_frame::Content::Entry(entry) => upstream.entry(&self.origin, entry),
        }
        Ok(())
    }

    fn rejected(&self, rejected: &wire::Rejected) {
        let kind = Kind::parse(&rejected.kind).map_or("unknown", Kind::name).to_owned();
        self.inner.parts.metrics.rejected.get_or_create(&KindLabel { kind }).inc();
        self.inner.parts.upstream.rejected(&self.origin, rejected);
    }

    async fn heartbeat(&mut self, beat: &wire::Heartbeat, now: Elapsed) -> Result<(), End> {
        let ack = self.session.heartbeat(beat, now, kit::random::unit());
        let ack = wire::encode(&DownFrame::from(ack));
        self.inner.parts.metrics.bytes_sent.inc_by(ack.len() as u64);
        self.sender.send_urgent(ack).await.map_err(|error| End::Link(error.to_string()))?;
        if !beat.engine_alive {
            self.sound_at = now;
        }
        // A node whose pod engine stands still must not look alive.
        if beat.engine_alive && self.renewing.is_none() && self.renewal_is_due(now) {
            let uid = self.inner.parts.index.named(Kind::Node, "", &self.origin.node);
            let uid = uid.map(|node| node.uid.to_string()).unwrap_or_default();
            let renewal =
                self.keeper.clone().renew(self.held.clone(), uid.clone(), self.inner.parts.clock.wall());
            let (inner, node) = (Arc::clone(&self.inner), Arc::clone(&self.origin.node));
            let identity = self.identity.clone();
            let renewal = async move {
                // The name may have gone to another key, or to none. What cannot be told now is told next time.
                if let Err(Denied::Revoked(reason)) = inner.parts.identities.check(&identity).await {
                    return Renewal::Revoked(reason);
                }
                if !uid.is_empty()
                    && let Err(error) = inner.parts.identities.registered(&node, &uid).await
                {
                    tracing::warn!(%node, error, "the Node's UID is not on record yet");
                }
                renewal.await
            };
            self.renewing = Some(Box::pin(async move {
                tokio::time::timeout(RENEWAL, renewal).await.unwrap_or_else(|_| {
                    let request = "renewal of the Lease".to_owned();
                    Renewal::Failed(KubeError::Timeout { request, limit: RENEWAL })
                })
            }));
        }
        Ok(())
    }

    fn renewal_is_due(&self, now: Elapsed) -> bool {
        let age = now.since(self.renewed_at).saturating_add(self.head_start);
        age >= renew_after(self.inner.registry.len(), self.inner.door.is_crowded())
    }

    fn renewed(&mut self, renewal: Renewal) -> Result<(), End> {
        let count =
            |result| self.inner.parts.metrics.lease_writes.get_or_create(&ResultLabel { result }).inc();
        match renewal {
            Renewal::Done(held) => {
                count("ok");
                self.held = held;
                self.renewed_at = self.inner.parts.clock.elapsed();
                self.sound_at = self.renewed_at;
                self.head_start = Duration::ZERO;
                Ok(())
            }
            Renewal::Failed(error) => {
                count("failed");
                tracing::warn!(node = %self.origin.node, error = chain(&error), "Lease was not renewed");
                // Others may take the node for gone by now: nothing more is written for it by this session.
                if self.inner.parts.clock.elapsed().since(self.sound_at) >= LEASE {
                    return Err(farewell("the node's Lease could not be renewed in time"));
                }
                Ok(())
            }
            Renewal::Revoked(reason) => {
                Err(End::Farewell(GoAway { reason, retry_after_ms: REVOKED_RETRY_MS }))
            }
            Renewal::Lost(holder) => {
                count("conflict");
                let reason = format!("session {} of replica {:?} is newer", holder.epoch, holder.replica);
                // A Lease that is gone, or was put back to an earlier time, is nobody's yet.
                let newer = holder.epoch > self.held.epoch;
                Err(if newer { End::Superseded(reason) } else { farewell(&reason) })
            }
        }
    }

    /// Ends the session: nothing of it is written any more, and the edge hears why.
    async fn finish(self: Box<Self>, end: End) {
        let (node, epoch) = (Arc::clone(&self.origin.node), self.origin.epoch);
        let (End::Link(reason) | End::Superseded(reason) | End::Farewell(GoAway { reason, .. })) = &end;
        self.inner.parts.upstream.ending(&self.origin, reason);
        self.inner.parts.upstream.closed(&self.origin);
        self.inner.registry.leave(&node, epoch);
        self.inner.parts.metrics.sessions.dec();
        let goodbye = match end {
            End::Link(reason) => return tracing::info!(%node, epoch, reason, "session ended"),
            End::Farewell(goodbye) => goodbye,
            // The machine that has the name no more hears that, and not only that somebody else has it.
            End::Superseded(newer) => match self.inner.parts.identities.check(&self.identity).await {
                Err(Denied::Revoked(reason)) => GoAway { reason, retry_after_ms: REVOKED_RETRY_MS },
                Ok(()) | Err(Denied::Unavailable(_)) => {
                    GoAway { reason: newer, retry_after_ms: NEWER_RETRY_MS }
                }
            },
        };
        tracing::info!(%node, epoch, reason = goodbye.reason, "session is ended");
        let reason = goodbye.reason.clone();
        // Ahead of what still waits: it would be in vain.
        let _ = self.sender.send_urgent(wire::encode(&DownFrame::from(goodbye))).await;
        self.sender.close(&reason).await;
    }
}

/// Waits for work that may not be there.
async fn pending<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    match work {
        Some(work) => Pin::new(work).await,
        None => std::future::pending().await,
    }
}
