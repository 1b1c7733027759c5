//! Events into the journal, by one task, so that nobody waits for the disk to tell something.

use std::sync::Arc;
use std::time::Duration;

use edgecore_store::{JournalEntry, Store};
use kit::{Clock, Shutdown};
use tokio::sync::{mpsc, watch};

use crate::event::{Admitted, Event, Limiter};
use crate::spec::NodeFacts;

/// Events that may wait to be written; beyond, they are dropped.
const QUEUE: usize = 256;
/// Events older than the API server would keep them are of no use.
const EXPIRES: Duration = Duration::from_hours(1);
/// Journal priority: normal, and of warnings.
const PRIORITY: (u8, u8) = (2, 4);

/// Tells events. Clones tell to the same journal.
#[derive(Debug, Clone)]
pub(super) struct Events {
    queue: mpsc::Sender<Event>,
}

impl Events {
    /// The teller, and what it tells to.
    pub(super) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (queue, events) = mpsc::channel(QUEUE);
        (Self { queue }, events)
    }

    /// Tells an event, or drops it where too many wait.
    pub(super) fn tell(&self, event: Event) {
        if self.queue.try_send(event).is_err() {
            tracing::warn!("an event was dropped: too many wait to be written");
        }
    }
}

/// Writes events until shutdown.
pub(super) async fn record(
    mut events: mpsc::Receiver<Event>,
    store: Store,
    clock: Clock,
    node: watch::Receiver<Arc<NodeFacts>>,
    stop: Shutdown,
) {
    let mut limiter = Limiter::default();
    loop {
        let event = tokio::select! {
            () = stop.requested() => return,
            event = events.recv() => event,
        };
        let Some(event) = event else { return };
        let Admitted { go, news } = limiter.admit(&event, clock.elapsed());
        log(&event, news);
        if !go {
            continue;
        }
        let name = node.borrow().name.clone();
        let Ok(body) = wire::canonical(&event.body(&name, clock.wall())) else { continue };
        let priority = if event.warning { PRIORITY.1 } else { PRIORITY.0 };
        let entry = JournalEntry { stream: "events", priority, expires_after: Some(EXPIRES), body };
        if let Err(error) = store.append(entry).await {
            tracing::warn!(error = kit::errors::chain(&error), "an event could not be kept");
        }
    }
}

/// For those who read the node's log: what is no news is left to those who look closely.
fn log(event: &Event, news: bool) {
    let pod = format!("{}/{}", event.namespace, event.name);
    let Event { field_path: part, reason, note, .. } = event;
    if news {
        tracing::info!(pod, part, reason, note, "event");
    } else {
        tracing::debug!(pod, part, reason, note, "event, again");
    }
}
