//! Pods whose emptyDirs hold more than they may are evicted, as upstream does.

use std::sync::Arc;
use std::time::Duration;

use kit::Shutdown;
use tokio::sync::{mpsc, watch};

use crate::desired::Desired;
use crate::io::engine::Message;
use crate::io::files::{blocking, planned};
use crate::io::shared::Shared;
use crate::runtime::Runtime;

/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(10);

/// Whether a pod has an emptyDir on the disk with a limit.
pub(super) fn limited(desired: &Desired) -> bool {
    let volumes = desired.spec().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    volumes.iter().filter_map(|volume| volume.empty_dir.as_ref()).any(|empty| {
        empty.size_limit.is_some() && empty.medium.as_deref().is_none_or(|medium| medium != "Memory")
    })
}

/// Measures until shutdown; sleeps for good while no pod has a limit.
pub(super) async fn run<R: Runtime>(
    shared: Arc<Shared<R>>,
    mut pods: watch::Receiver<Arc<Vec<Desired>>>,
    messages: mpsc::Sender<Message>,
    stop: Shutdown,
) {
    loop {
        tokio::select! {
            () = stop.requested() => return,
            // The sender lives as long as the engine.
            waited = pods.wait_for(|pods| !pods.is_empty()) => if waited.is_err() { return },
        }
        tokio::select! {
            () = stop.requested() => return,
            changed = pods.changed() => if changed.is_err() { return },
            () = shared.clock.sleep(PERIOD) => {}
        }
        let pods = Arc::clone(&pods.borrow_and_update());
        for desired in pods.iter() {
            match measure(&shared, desired).await {
                Ok(None) => {}
                Ok(Some(message)) => {
                    let uid = desired.uid.clone();
                    if messages.send(Message::OverLimit { uid, message }).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::debug!(pod = desired.label(), error, "emptyDirs cannot be measured"),
            }
        }
    }
}

async fn measure<R: Runtime>(shared: &Arc<Shared<R>>, desired: &Desired) -> Result<Option<String>, String> {
    let plan = planned(shared, desired, &[]).map_err(|error| kit::errors::chain(&error))?;
    let (dirs, uid) = (shared.dirs.clone(), desired.uid.clone());
    let over = blocking(move || dirs.over_limit(&uid, &plan)).await.map_err(|error| error.to_string())?;
    Ok(over.into_iter().next())
}
