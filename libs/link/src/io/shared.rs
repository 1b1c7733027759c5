//! What a connection's handles and its task share: queues, all bounded, and how it ended.
//!
//! One lock around plain queues instead of a channel per queue: a channel allocates blocks for values that an idle
//! connection never has, and ten thousand connections are idle.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::{Notify, Semaphore};

use super::socket::Traffic;
use super::stream::Stream;
use crate::config::Config;
use crate::errors::LinkError;
use crate::message::MAX_CONTENT;

/// Urgent frames waiting in either direction.
const MAX_URGENT: usize = 16;
/// Bytes per permit of the queue of sync frames.
const UNIT: usize = 1024;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Closed by either side, for this reason.
    Closed(String),
    /// Broken.
    Broken(LinkError),
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Room for sync frames to be sent, in units; closed at the end.
    room: Semaphore,
    /// Room for urgent frames to be sent.
    urgent_room: Semaphore,
    units: u32,
    /// The end came, or streams can be opened now.
    changed: Notify,
    pub(super) traffic: Arc<Traffic>,
    max_frame: usize,
    max_received: usize,
}

#[derive(Debug, Default)]
struct State {
    urgent_out: VecDeque<Vec<u8>>,
    sync_out: VecDeque<(Vec<u8>, usize)>,
    urgent_in: VecDeque<Vec<u8>>,
    sync_in: VecDeque<Vec<u8>>,
    sync_in_bytes: usize,
    /// Asked for by this side: close, after what is queued, for this reason.
    close: Option<String>,
    end: Option<End>,
    driver: Option<Waker>,
    receiver: Option<Waker>,
    acceptor: Option<Waker>,
    streams_wanted: bool,
    opener: Option<SendRequest<Bytes>>,
    accepted: VecDeque<Stream>,
    nobody_accepts: bool,
}

impl Shared {
    pub(super) fn new(config: &Config, traffic: Arc<Traffic>) -> Self {
        let units = (config.max_queued / UNIT).clamp(1, 1 << 20);
        Self {
            state: Mutex::default(),
            room: Semaphore::new(units),
            urgent_room: Semaphore::new(MAX_URGENT),
            units: u32::try_from(units).unwrap_or(u32::MAX),
            changed: Notify::new(),
            traffic,
            max_frame: config.max_frame,
            max_received: config.max_received,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sent(&self) -> u64 {
        self.traffic.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.traffic.received.load(Ordering::Relaxed)
    }
}

/// The sender's side.
impl Shared {
    pub(super) async fn send(&self, frame: Vec<u8>) -> Result<(), LinkError> {
        if frame.len() > self.max_frame {
            return Err(LinkError::TooLong { length: frame.len(), limit: self.max_frame });
        }
        let units = u32::try_from(frame.len() / UNIT + 1).unwrap_or(u32::MAX).min(self.units);
        let permit = self.room.acquire_many(units).await.map_err(|_| self.closed())?;
        let mut state = self.lock();
        if state.close.is_some() || state.end.is_some() {
            return Err(reason(&state));
        }
        permit.forget();
        state.sync_out.push_back((frame, units as usize));
        wake(&mut state.driver);
        Ok(())
    }

    pub(super) async fn send_urgent(&self, frame: Vec<u8>) -> Result<(), LinkError> {
        if frame.len() > MAX_CONTENT {
            return Err(LinkError::TooLong { length: frame.len(), limit: MAX_CONTENT });
        }
        let permit = self.urgent_room.acquire().await.map_err(|_| self.closed())?;
        let mut state = self.lock();
        if state.close.is_some() || state.end.is_some() {
            return Err(reason(&state));
        }
        permit.forget();
        state.urgent_out.push_back(frame);
        wake(&mut state.driver);
        Ok(())
    }

    /// Asks for the close; the first reason stays.
    pub(super) fn ask_close(&self, reason: &str) {
        let mut state = self.lock();
        if state.end.is_none() && state.close.is_none() {
            state.close = Some(reason.to_owned());
            wake(&mut state.driver);
        }
    }

    /// Returns when the connection is over.
    pub(super) async fn ended(&self) {
        let _: Option<()> = self.until(|state| state.end.is_some().then_some(())).await;
    }

    fn closed(&self) -> LinkError {
        reason(&self.lock())
    }

    /// Waits until the look yields something; looks again at every change.
    async fn until<T>(&self, look: impl Fn(&State) -> Option<T>) -> Option<T> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change between look and wait is not missed.
            changed.as_mut().enable();
            let (found, over) = {
                let state = self.lock();
                (look(&state), state.end.is_some())
            };
            if found.is_some() || over {
                return found;
            }
            changed.await;
        }
    }
}

/// The receiver's side.
impl Shared {
    pub(super) fn poll_recv(&self, cx: &Context<'_>) -> Poll<Result<Option<Vec<u8>>, LinkError>> {
        let mut state = self.lock();
        let frame = state.urgent_in.pop_front().or_else(|| {
            let frame = state.sync_in.pop_front();
            state.sync_in_bytes -= frame.as_ref().map_or(0, Vec::len);
            frame
        });
        if frame.is_some() {
            wake(&mut state.driver);
            return Poll::Ready(Ok(frame));
        }
        match &state.end {
            Some(End::Closed(_)) => Poll::Ready(Ok(None)),
            Some(End::Broken(error)) => Poll::Ready(Err(error.clone())),
            None => {
                state.receiver = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn close_reason(&self) -> Option<String> {
        match &self.lock().end {
            Some(End::Closed(reason)) => Some(reason.clone()),
            Some(End::Broken(error)) => Some(error.to_string()),
            None => None,
        }
    }
}

/// Streams.
impl Shared {
    /// The handle that opens streams, once the task has made it.
    pub(super) async fn opener(&self) -> Result<SendRequest<Bytes>, LinkError> {
        {
            let mut state = self.lock();
            if !state.streams_wanted {
                state.streams_wanted = true;
                wake(&mut state.driver);
            }
        }
        self.until(|state| state.opener.clone()).await.ok_or_else(|| self.closed())
    }

    pub(super) fn poll_accept(&self, cx: &Context<'_>) -> Poll<Result<Option<Stream>, LinkError>> {
        let mut state = self.lock();
        if let Some(stream) = state.accepted.pop_front() {
            return Poll::Ready(Ok(Some(stream)));
        }
        match &state.end {
            Some(End::Closed(_)) => Poll::Ready(Ok(None)),
            Some(End::Broken(error)) => Poll::Ready(Err(error.clone())),
            None => {
                state.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody will accept any more: streams are refused from now on.
    pub(super) fn accept_no_more(&self) {
        let dropped = {
            let mut state = self.lock();
            state.nobody_accepts = true;
            std::mem::take(&mut state.accepted)
        };
        drop(dropped);
    }
}

/// The task's side.
impl Shared {
    pub(super) fn watch(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        if !state.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
    }

    pub(super) fn next_urgent(&self) -> Option<Vec<u8>> {
        let frame = self.lock().urgent_out.pop_front()?;
        self.urgent_room.add_permits(1);
        Some(frame)
    }

    pub(super) fn next_sync(&self) -> Option<Vec<u8>> {
        let (frame, units) = self.lock().sync_out.pop_front()?;
        self.room.add_permits(units);
        Some(frame)
    }

    pub(super) fn asked_close(&self) -> Option<String> {
        self.lock().close.clone()
    }

    pub(super) fn streams_wanted(&self) -> bool {
        self.lock().streams_wanted
    }

    pub(super) fn offer_streams(&self, opener: SendRequest<Bytes>) {
        self.lock().opener = Some(opener);
        self.changed.notify_waiters();
    }

    /// Hands a stream to whoever accepts; where nobody does, it is dropped, which resets it.
    pub(super) fn accept(&self, stream: Stream) {
        let mut state = self.lock();
        if !state.nobody_accepts {
            state.accepted.push_back(stream);
            wake(&mut state.acceptor);
        }
    }

    /// Whether one more frame may be received.
    pub(super) fn takes_more(&self) -> bool {
        let state = self.lock();
        state.sync_in_bytes <= self.max_received
            && state.sync_in.len() < MAX_URGENT
            && state.urgent_in.len() < MAX_URGENT
    }

    pub(super) fn take(&self, frame: Vec<u8>, urgent: bool) {
        let mut state = self.lock();
        if urgent {
            state.urgent_in.push_back(frame);
        } else {
            state.sync_in_bytes += frame.len();
            state.sync_in.push_back(frame);
        }
        wake(&mut state.receiver);
    }

    /// Marks the end; the first one stays. What was received can still be taken, what was queued is dropped.
    pub(super) fn end(&self, end: End) {
        let dropped = {
            let mut state = self.lock();
            if state.end.is_some() {
                return;
            }
            state.end = Some(end);
            state.urgent_out.clear();
            state.sync_out.clear();
            wake(&mut state.receiver);
            wake(&mut state.acceptor);
            (state.opener.take(), std::mem::take(&mut state.accepted))
        };
        self.room.close();
        self.urgent_room.close();
        self.changed.notify_waiters();
        // Outside the lock: their ends may want it.
        drop(dropped);
    }
}

fn reason(state: &State) -> LinkError {
    match (&state.end, &state.close) {
        (Some(End::Broken(error)), _) => error.clone(),
        (Some(End::Closed(reason)), _) | (None, Some(reason)) => LinkError::Closed(reason.clone()),
        (None, None) => LinkError::Closed(String::new()),
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
