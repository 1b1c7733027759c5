//! A session, as far as reports are concerned.

use std::fmt;
use std::sync::Arc;

use wire::{Digest, DownFrame};

/// The way back to an edge.
pub trait Answers: fmt::Debug + Send + Sync + 'static {
    /// Sends a frame, without waiting; where the session is over, it is lost, and the edge sends again what was not
    /// acknowledged.
    fn send(&self, frame: DownFrame);
}

/// A session that opens.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Name of the node, from its certificate.
    pub node: Arc<str>,
    /// Number of the session.
    pub epoch: u64,
    /// Id of the edge's store.
    pub store_id: Arc<str>,
    /// Digest of the edge's last reports, as its `Hello` said.
    pub reports_digest: Digest,
    /// Number of reports in it.
    pub reports_count: u32,
    /// The way back.
    pub answers: Arc<dyn Answers>,
}
