//! The one task of a connection: reads and writes the websocket, in the order of priorities.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use kit::Elapsed;
use kit::tasks::Group;
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::connection::{Side, aborted};
use super::mux::Mux;
use super::shared::{End, Shared};
use super::socket::Socket;
use crate::config::Config;
use crate::errors::LinkError;
use crate::message::{Assembler, Cutter, Incoming, read, urgent};

/// Longest reason in a websocket's close frame, in bytes (RFC 6455, 5.5.1: 125 with the code).
const MAX_REASON: usize = 123;

/// Where the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame, with this reason, is sent or on its way; waiting for the peer's, or for the deadline.
    Closing(String),
    /// The handles know the end; only what is written has still to leave.
    Leaving,
    Done,
}

pub(super) struct Driver {
    socket: Socket,
    shared: Arc<Shared>,
    config: Config,
    side: Side,
    phase: Phase,
    /// A close was asked for, and the deadline for all of it runs.
    asked: bool,
    cutter: Option<Cutter>,
    assembler: Assembler,
    mux: Option<Box<Mux>>,
    /// Something was given to the websocket and is not yet all in the kernel.
    flushing: bool,
    /// Reading waits for the receiver or for the multiplexer.
    paused: bool,
    heard: Elapsed,
    received: u64,
    timer: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The group lives as long as its task: the handles may go first, and the close frame must still leave.
    _group: Group,
}

impl Driver {
    pub(super) fn new(socket: Socket, shared: Arc<Shared>, config: Config, side: Side, group: Group) -> Self {
        let heard = config.clock.elapsed();
        Self {
            timer: timer(&config, heard.plus(config.dead_after)),
            socket,
            side,
            phase: Phase::Open,
            asked: false,
            cutter: None,
            assembler: Assembler::new(config.max_frame),
            mux: None,
            flushing: false,
            paused: false,
            heard,
            received: shared.received(),
            shared,
            config,
            _group: group,
        }
    }

    /// One round: whether anything moved. Errors are how the connection ends.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, LinkError> {
        if !self.asked && self.phase == Phase::Open && self.shared.asked_close().is_some() {
            self.asked = true;
            self.arm(self.config.close_within);
        }
        if let (None, Side::Cloud, true) = (&self.mux, self.side, self.shared.streams_wanted()) {
            self.mux = Some(Box::new(Mux::client(&self.config)));
        }
        if let Some(mux) = &mut self.mux
            && let Poll::Ready(error) = mux.poll(cx, &self.shared)
        {
            return Err(error);
        }
        let wrote = self.write(cx)?;
        let read = self.read(cx)?;
        Ok(wrote || read)
    }

    /// Writes until the socket is full or there is nothing to write.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, LinkError> {
        let mut moved = false;
        loop {
            // Everything must be in the kernel before the next message is chosen: later may come something urgent.
            if self.flushing {
                match self.socket.poll_flush_unpin(cx) {
                    Poll::Pending => return Ok(moved),
                    Poll::Ready(done) => done.map_err(|error| broken(&error))?,
                }
                self.flushing = false;
                moved = true;
            }
            let message = match self.phase {
                Phase::Open => self.next(cx),
                Phase::Closing(_) | Phase::Leaving | Phase::Done => None,
            };
            let Some(message) = message else { return Ok(moved) };
            self.socket.start_send_unpin(message).map_err(|error| broken(&error))?;
            self.flushing = true;
        }
    }

    /// What to write next: urgent, sync, streams; the close only when nothing urgent and no sync frame is left.
    fn next(&mut self, cx: &mut Context<'_>) -> Option<Message> {
        if let Some(frame) = self.shared.next_urgent() {
            return Some(Message::Binary(urgent(&frame)));
        }
        if self.cutter.is_none() {
            self.cutter = self.shared.next_sync().map(Cutter::new);
        }
        if let Some(cutter) = &mut self.cutter {
            let (message, last) = cutter.next();
            if last {
                self.cutter = None;
            }
            return Some(Message::Binary(message));
        }
        if let Some(reason) = self.shared.asked_close() {
            let message = close_message(CloseCode::Normal, &reason);
            self.phase = Phase::Closing(reason);
            return Some(message);
        }
        match self.mux.as_mut()?.poll_next(cx) {
            Poll::Ready(message) => Some(Message::Binary(message)),
            Poll::Pending => None,
        }
    }

    /// Reads until there is nothing to read, or nobody takes it.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, LinkError> {
        let mut moved = false;
        loop {
            if matches!(self.phase, Phase::Leaving | Phase::Done) {
                return Ok(moved);
            }
            let takes = self.shared.takes_more() && self.mux.as_ref().is_none_or(|mux| mux.takes_more());
            if !takes && self.phase == Phase::Open && !self.asked {
                self.paused = true;
                return Ok(moved);
            }
            if std::mem::take(&mut self.paused) {
                // While nobody looked nothing could be heard.
                self.heard = self.config.clock.elapsed();
            }
            match self.socket.poll_next_unpin(cx) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(None) => return Err(LinkError::Lost("ended without a close".to_owned())),
                Poll::Ready(Some(message)) => self.dispatch(message.map_err(|error| broken(&error))?)?,
            }
            moved = true;
        }
    }

    fn dispatch(&mut self, message: Message) -> Result<(), LinkError> {
        match message {
            Message::Binary(content) if self.phase == Phase::Open && !self.asked => self.content(content),
            // What arrives after a close was asked for is late.
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(frame) => {
                let reason = frame.map(|frame| frame.reason.as_str().to_owned()).unwrap_or_default();
                let reason = if let Phase::Closing(ours) = &self.phase { ours.clone() } else { reason };
                self.leave(End::Closed(reason));
                // The websocket has put its answer in its buffer.
                self.flushing = true;
                Ok(())
            }
            Message::Text(_) | Message::Frame(_) => {
                Err(LinkError::Malformed("a message that is not binary".to_owned()))
            }
        }
    }

    fn content(&mut self, content: Bytes) -> Result<(), LinkError> {
        match read(content)? {
            Incoming::Urgent(frame) => self.shared.take(frame, true),
            Incoming::Piece { content, last } => {
                if let Some(frame) = self.assembler.push(&content, last)? {
                    self.shared.take(frame, false);
                }
            }
            Incoming::Mux(content) => self.mux(content)?,
            Incoming::Unknown => tracing::debug!("skipped a message of an unknown kind"),
        }
        Ok(())
    }

    fn mux(&mut self, content: Bytes) -> Result<(), LinkError> {
        match (&mut self.mux, self.side) {
            (Some(mux), _) => mux.take(content),
            (None, Side::Edge) => {
                let mut mux = Box::new(Mux::server(&self.config));
                mux.take(content);
                self.mux = Some(mux);
            }
            (None, Side::Cloud) => {
                return Err(LinkError::Malformed("streams that nobody opened".to_owned()));
            }
        }
        Ok(())
    }

    /// Silence, by what the socket counted.
    fn silent(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        let received = self.shared.received();
        if received != self.received {
            self.received = received;
            self.heard = self.config.clock.elapsed();
        }
        // Polled until it is pending, so that it wakes this task; at the end it is needed no more.
        while self.phase != Phase::Done && self.timer.as_mut().poll(cx).is_ready() {
            let now = self.config.clock.elapsed();
            match &self.phase {
                Phase::Open if self.asked => {
                    self.shared.end(End::Closed(self.shared.asked_close().unwrap_or_default()));
                    self.phase = Phase::Done;
                }
                Phase::Open if self.paused => self.arm(self.config.dead_after),
                Phase::Open => {
                    let left = self.config.dead_after.saturating_sub(now.since(self.heard));
                    if left.is_zero() {
                        return Err(LinkError::Silent(self.config.dead_after));
                    }
                    self.arm(left);
                }
                // The peer had its time.
                Phase::Closing(reason) => {
                    self.shared.end(End::Closed(reason.clone()));
                    self.phase = Phase::Done;
                }
                Phase::Leaving | Phase::Done => self.phase = Phase::Done,
            }
        }
        Ok(())
    }

    fn arm(&mut self, after: Duration) {
        self.timer = timer(&self.config, self.config.clock.elapsed().plus(after));
    }

    /// Over; the handles learn it now, and what is written gets a little time to leave.
    fn leave(&mut self, end: End) {
        self.shared.end(end);
        self.phase = Phase::Leaving;
        self.arm(self.config.close_within);
    }

    /// What an error makes of the connection: a peer that broke the protocol is told so, for the rest it is over.
    fn fail(&mut self, error: LinkError) {
        match &self.phase {
            Phase::Open => {}
            Phase::Closing(reason) => {
                self.shared.end(End::Closed(reason.clone()));
                self.phase = Phase::Done;
                return;
            }
            Phase::Leaving | Phase::Done => {
                self.phase = Phase::Done;
                return;
            }
        }
        let code = match &error {
            LinkError::Malformed(_) => Some(CloseCode::Protocol),
            LinkError::Silent(_) => Some(CloseCode::Away),
            LinkError::Lost(_)
            | LinkError::Closed(_)
            | LinkError::TooLong { .. }
            | LinkError::WrongEnd(_) => None,
        };
        let told = code.is_some_and(|code| {
            self.socket.start_send_unpin(close_message(code, &error.to_string())).is_ok()
        });
        self.flushing = told;
        self.leave(End::Broken(error));
    }

    /// Whether nothing is left to do.
    fn finished(&mut self, cx: &mut Context<'_>) -> bool {
        if self.phase == Phase::Leaving && !self.flushing {
            self.phase = Phase::Done;
        }
        if self.phase == Phase::Done {
            // Best effort: tells TLS that the end was meant.
            let _ = Pin::new(self.socket.get_mut()).poll_shutdown(cx);
        }
        self.phase == Phase::Done
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.shared.watch(cx);
        loop {
            let round = this.round(cx).and_then(|moved| this.silent(cx).map(|()| moved));
            let moved = match round {
                Ok(moved) => moved,
                Err(error) => {
                    this.fail(error);
                    true
                }
            };
            if this.finished(cx) {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        aborted(&self.shared);
    }
}

fn timer(config: &Config, then: Elapsed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let clock = config.clock.clone();
    Box::pin(async move { clock.sleep_until(then).await })
}

fn close_message(code: CloseCode, reason: &str) -> Message {
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    let reason = reason.get(..end).unwrap_or_default();
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from(reason) }))
}

/// What a websocket's error is to us.
fn broken(error: &Error) -> LinkError {
    match error {
        Error::Capacity(_) | Error::Utf8(_) => LinkError::Malformed(error.to_string()),
        Error::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_) => LinkError::Lost(kit::errors::chain(error)),
        Error::Protocol(_) | Error::AttackAttempt | Error::Url(_) | Error::Http(_) | Error::HttpFormat(_) => {
            LinkError::Malformed(error.to_string())
        }
        Error::WriteBufferFull(_) => LinkError::Lost("write buffer is full".to_owned()),
    }
}
