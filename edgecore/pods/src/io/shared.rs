//! What every effect needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgecore_store::Store;
use edgecore_volumes::VolumeDirs;
use kit::Clock;
use tokio::sync::watch;

use crate::desired::Desired;
use crate::io::events::Events;
use crate::io::handler::Hands;
use crate::restart::Now;
use crate::runtime::Runtime;
use crate::spec::NodeFacts;

/// The outside world, for workers.
#[derive(Debug)]
pub(super) struct Shared<R> {
    pub(super) runtime: R,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) boot: Arc<str>,
    pub(super) dirs: VolumeDirs,
    pub(super) node: watch::Receiver<Arc<NodeFacts>>,
    pub(super) events: Events,
    pub(super) hands: Hands<R>,
}

impl<R: Runtime> Shared<R> {
    /// This moment.
    pub(super) fn now(&self) -> Now {
        Now {
            elapsed: self.clock.elapsed(),
            wall: self.clock.wall(),
            boot: Arc::clone(&self.boot),
            trusted: self.clock.trusted(),
            offset_ms: self.clock.offset_ms(),
        }
    }

    /// The node as it is now.
    pub(super) fn facts(&self) -> Arc<NodeFacts> {
        Arc::clone(&self.node.borrow())
    }

    /// Directory of a pod's logs, in upstream's layout.
    pub(super) fn log_dir(&self, desired: &Desired) -> PathBuf {
        Path::new(&self.facts().pod_logs_dir)
            .join(format!("{}_{}_{}", desired.namespace, desired.name, desired.uid))
    }

    /// Directory of the links to logs; empty where there are none.
    pub(super) fn log_links(&self) -> PathBuf {
        PathBuf::from(&self.facts().log_links_dir)
    }
}
