//! Where what the edge says goes to.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use wire::{Call, DownFrame, Entry, Kind, Rejected, Report, ReportInventory};

/// Answers that may wait for a session to send them. An edge that does not take its answers loses the session, and
/// with the next one sends again whatever was not acknowledged.
const WAITING_ANSWERS: usize = 256;
/// Calls of one edge that are under way at once.
const CALLS: usize = 16;

/// A session as those see it who answer its edge. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Name of the node, from its certificate.
    pub node: Arc<str>,
    /// Number of the session.
    pub epoch: u64,
    /// Id of the edge's store.
    pub store_id: Arc<str>,
    /// Digest of the edge's last reports, as its `Hello` said.
    pub reports_digest: wire::Digest,
    /// Number of reports in it.
    pub reports_count: u32,
    /// The way back.
    pub replies: Replies,
    /// One permit for each call under way.
    pub calls: Arc<Semaphore>,
}

/// Sends answers to an edge.
#[derive(Debug, Clone)]
pub struct Replies {
    /// Encoded: a channel's block of frames would be the largest thing a session holds.
    frames: mpsc::Sender<Vec<u8>>,
    overflow: Arc<tokio::sync::Notify>,
}

impl Replies {
    /// Answers, or, where the edge does not take its answers, ends the session.
    pub fn send(&self, frame: impl Into<DownFrame>) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.frames.try_send(wire::encode(&frame.into())) {
            self.overflow.notify_one();
        }
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.frames.is_closed()
    }
}

/// The session's end of [`Replies`].
#[derive(Debug)]
pub(crate) struct Answers {
    frames: mpsc::Receiver<Vec<u8>>,
    overflow: Arc<tokio::sync::Notify>,
}

impl Answers {
    /// The next answer, encoded; `None` where too many waited.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        kit::select! {
            frame = self.frames.recv() => frame,
            () = self.overflow.notified() => None,
        }
    }
}

impl Origin {
    pub(crate) fn new(node: &str, epoch: u64, hello: &wire::Hello) -> (Self, Answers) {
        let (tx, frames) = mpsc::channel(WAITING_ANSWERS);
        let overflow = Arc::new(tokio::sync::Notify::new());
        let origin = Self {
            node: node.into(),
            epoch,
            store_id: hello.store_id.as_str().into(),
            reports_digest: wire::Digest::from_slice(&hello.reports_digest).unwrap_or_default(),
            reports_count: hello.reports_count,
            replies: Replies { frames: tx, overflow: Arc::clone(&overflow) },
            calls: Arc::new(Semaphore::new(CALLS)),
        };
        (origin, Answers { frames, overflow })
    }
}

/// Takes what edges say. Nothing here may block; whatever takes long is done elsewhere.
pub trait Upstream: Send + Sync + 'static {
    /// A session is open.
    fn opened(&self, origin: &Origin);
    /// The edge reports.
    fn report(&self, origin: &Origin, report: Report);
    /// The edge tells what it last reported.
    fn report_inventory(&self, origin: &Origin, inventory: ReportInventory);
    /// The cluster shows another status of these objects, as far as the edge owns it.
    fn statuses_changed(&self, origin: &Origin, changed: &BTreeSet<(Kind, Arc<str>)>);
    /// An entry of the edge's journal.
    fn entry(&self, origin: &Origin, entry: Entry);
    /// The edge asks.
    fn call(&self, origin: &Origin, call: Call);
    /// The edge cannot apply an object.
    fn rejected(&self, origin: &Origin, rejected: &Rejected);
    /// The session is about to be over, and why, for people. [`Upstream::closed`] follows.
    fn ending(&self, _origin: &Origin, _reason: &str) {}
    /// The session is over.
    fn closed(&self, origin: &Origin);
}
