//! One session: opened, then several loops in one task, until the first of them ends.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edgecore_store::{Store, StoreError};
use kit::{Backoff, Clock, Shutdown};
use link::{Connection, Endpoint, FrameReceiver, FrameSender, LinkError};
use tokio::sync::Notify;
use wire::{FEATURE_COMPACT, UpFrame, Welcome};

use super::Sync;
use crate::beat::Beats;
use crate::calls::Calls;
use crate::hello::{self, NotWelcome, Who};
use crate::journal::Outgoing;
use crate::state::Phase;
use crate::window::Window;

/// A cloud that took the connection and says nothing for so long does not open a session.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Reports in flight.
const REPORTS: usize = 64;

/// Why a session is over, or did not begin.
#[derive(Debug)]
pub(super) enum End {
    /// The answer was no `Welcome`.
    NotWelcome(NotWelcome),
    /// There was no answer.
    NoAnswer,
    /// The cloud asked us to leave.
    GoAway { reason: String, retry_after: Option<Duration> },
    /// The cloud broke the protocol.
    Broken(String),
    /// The connection ended.
    Link(LinkError),
    /// The edge itself ends.
    Shutdown,
    /// The store is closed.
    Store(StoreError),
}

impl End {
    /// As metrics call it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::NotWelcome(_) => "refused",
            Self::NoAnswer => "no_answer",
            Self::GoAway { .. } => "go_away",
            Self::Broken(_) => "broken",
            Self::Link(LinkError::Silent(_)) => "silent",
            Self::Link(_) => "lost",
            Self::Shutdown => "shutdown",
            Self::Store(_) => "store",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWelcome(refusal) => refusal.fmt(f),
            Self::NoAnswer => write!(f, "the cloud did not answer within {} s", ANSWER_WITHIN.as_secs()),
            Self::GoAway { reason, .. } => write!(f, "the cloud ended the session: {reason}"),
            Self::Broken(reason) => write!(f, "the cloud broke the protocol: {reason}"),
            Self::Link(error) => error.fmt(f),
            Self::Shutdown => f.write_str("the agent ends"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

/// An open session.
pub(super) struct Session<'a> {
    pub(super) sync: &'a Sync,
    pub(super) sender: FrameSender,
    uplink: Mutex<Uplink>,
    /// A report was acknowledged, or wanted again.
    pub(super) reports_moved: Notify,
    /// A journal entry was acknowledged.
    pub(super) journal_moved: Notify,
    /// A call was answered.
    pub(super) calls_moved: Notify,
    peer: String,
    /// The cloud has [`FEATURE_COMPACT`].
    pub(super) compact: bool,
}

/// What the receiving loop and the sending loops share.
pub(super) struct Uplink {
    pub(super) reports: Window,
    pub(super) journal: Outgoing,
    pub(super) calls: Calls,
    pub(super) beats: Beats,
    /// The last frame on the disk; `None` while a batch is being applied and the digest is between two frames.
    pub(super) applied: Option<u64>,
    /// Why the cloud would ask for the inventory now.
    pub(super) resync: &'static str,
}

impl<'a> Session<'a> {
    /// Opens a session on a connection and stays in it to its end. Also says whether it was open.
    pub(super) async fn run(
        sync: &'a Sync,
        endpoint: &Endpoint,
        connection: Connection,
        shutdown: &Shutdown,
    ) -> (End, bool) {
        let (sender, mut receiver, mut streams) = connection.split();
        let opened = kit::select! {
            opened = open(sync, &sender, &mut receiver) => opened,
            () = shutdown.requested() => Err(End::Shutdown),
        };
        let welcome = match opened {
            Ok(welcome) => welcome,
            Err(end) => {
                leave(&sender, &end).await;
                return (end, false);
            }
        };
        let session = Self::new(sync, sender, &welcome, format!("{} at {endpoint}", welcome.replica));
        sync.note(Phase::Connected, &session.peer);
        let end = kit::select! {
            end = session.receive(&mut receiver) => end,
            end = session.beat() => end,
            end = session.send_reports() => end,
            end = session.send_journal() => end,
            end = session.call_for_tokens() => end,
            end = session.take_streams(&mut streams) => end,
            () = shutdown.requested() => End::Shutdown,
        };
        leave(&session.sender, &end).await;
        (end, true)
    }

    fn new(sync: &'a Sync, sender: FrameSender, welcome: &Welcome, peer: String) -> Self {
        let uplink = Uplink {
            reports: Window::new(REPORTS),
            journal: Outgoing::default(),
            calls: Calls::default(),
            beats: Beats::new(welcome.heartbeat_ms, sync.clock.elapsed(), kit::random::unit()),
            applied: Some(0),
            resync: "opening",
        };
        Self {
            sync,
            sender,
            uplink: Mutex::new(uplink),
            reports_moved: Notify::new(),
            journal_moved: Notify::new(),
            calls_moved: Notify::new(),
            peer,
            compact: welcome.features.iter().any(|feature| feature == FEATURE_COMPACT),
        }
    }

    /// What the loops share. Never held over a wait.
    pub(super) fn uplink(&self) -> MutexGuard<'_, Uplink> {
        self.uplink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn store(&self) -> &Store {
        &self.sync.store
    }

    pub(super) const fn clock(&self) -> &Clock {
        &self.sync.clock
    }

    /// Sends a frame after those before it.
    pub(super) async fn send(&self, frame: impl Into<UpFrame>) -> Result<(), End> {
        self.sender.send(wire::encode(&frame.into())).await.map_err(End::Link)
    }

    /// What is here is what the cloud wants.
    pub(super) fn in_sync(&self) {
        self.uplink().resync = "drift";
        self.sync.note(Phase::InSync, &self.peer);
    }

    /// It is not, and both sides know.
    pub(super) fn out_of_sync(&self) {
        self.sync.note(Phase::Connected, &self.peer);
    }

    /// Writes, and tries again for as long as it takes: on a full disk the batch is held and heartbeats go on.
    pub(super) async fn insist<T, W>(&self, what: &str, write: impl Fn() -> W) -> Result<T, End>
    where
        W: Future<Output = Result<T, StoreError>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            match write().await {
                Ok(value) => return Ok(value),
                Err(StoreError::Closed) => return Err(End::Store(StoreError::Closed)),
                Err(error) => {
                    let error = kit::errors::chain(&error);
                    tracing::warn!(error, "cannot {what}; trying again");
                    self.clock().sleep(backoff.next(kit::random::unit())).await;
                }
            }
        }
    }
}

/// Hello and its answer.
async fn open(sync: &Sync, sender: &FrameSender, receiver: &mut FrameReceiver) -> Result<Welcome, End> {
    let store = &sync.store;
    let meta = store.meta();
    // One that cannot be read is not told, and comes again.
    let bundle = pki::io::load_bundle(&sync.config.bundle).ok().flatten().unwrap_or_default();
    let who = Who {
        node_name: &sync.config.node_name,
        boot_id: store.boot_id(),
        agent_version: &sync.config.agent_version,
        trust_bundle: &bundle,
    };
    let reports = store.reports_digest().map_err(End::Store)?;
    let hello = hello::hello(&who, &meta, store.digest(), reports);
    sender.send(wire::encode(&UpFrame::from(hello.clone().short()))).await.map_err(End::Link)?;
    let answer = kit::select! {
        answer = receiver.recv() => answer.map_err(End::Link)?,
        () = sync.clock.sleep(ANSWER_WITHIN) => return Err(End::NoAnswer),
    };
    let answer = answer.ok_or_else(|| closed(receiver))?;
    let answer = wire::decode_down(&answer).map_err(|error| End::Broken(kit::errors::chain(&error)))?;
    let welcome = hello::judge(answer, &hello, &meta).map_err(End::NotWelcome)?;
    sync.clock.learn(kit::WallTime(welcome.cloud_time_ms));
    match store.set_welcome(hello::kept(&welcome)).await {
        Ok(()) => {}
        // Whose objects follow must be on the disk before any of them is.
        Err(error) if meta.cluster_id.is_none() => return Err(End::Store(error)),
        Err(error) => {
            let error = kit::errors::chain(&error);
            tracing::warn!(error, "cannot keep what the cloud said of itself; the next session will");
        }
    }
    if !welcome.trust_bundle.is_empty() {
        take_bundle(sync, &welcome.trust_bundle);
    }
    Ok(welcome)
}

/// Replaces the trust bundle, where it is another one and can be used.
fn take_bundle(sync: &Sync, bundle: &str) {
    let path = &sync.config.bundle;
    if matches!(pki::io::load_bundle(path), Ok(Some(known)) if known == bundle) {
        return;
    }
    match pki::io::store_bundle(path, bundle) {
        Ok(()) => tracing::info!("trust bundle replaced"),
        Err(error) => {
            let error = kit::errors::chain(&error);
            tracing::error!(error, "the cloud's trust bundle is not usable: the old one stays");
        }
    }
}

/// Why the connection was closed, when nothing broke.
pub(super) fn closed(receiver: &FrameReceiver) -> End {
    End::Link(LinkError::Closed(receiver.close_reason().unwrap_or_default()))
}

/// Says good-bye, where there may still be somebody to hear it.
async fn leave(sender: &FrameSender, end: &End) {
    if !matches!(end, End::Link(_)) {
        sender.close(&end.to_string()).await;
    }
}
