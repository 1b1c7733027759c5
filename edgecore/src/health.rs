//! How the container runtime does, from the adapter's words to the node's.

use std::path::PathBuf;

use edgecore_cri::{Answer, Health, RuntimeCondition};
use edgecore_node::{Condition, RuntimeHealth, RuntimeState};
use tokio::sync::watch;

/// Listens to the adapter for the node.
#[derive(Debug)]
pub(crate) struct Listener(pub(crate) watch::Receiver<Health>);

impl RuntimeHealth for Listener {
    fn now(&mut self) -> RuntimeState {
        state(&self.0.borrow_and_update())
    }

    async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The adapter is gone, and so is the agent in a moment.
            std::future::pending::<()>().await;
        }
    }
}

fn state(health: &Health) -> RuntimeState {
    let condition = |said: &RuntimeCondition| Condition {
        status: said.status,
        reason: said.reason.clone(),
        message: said.message.clone(),
    };
    let answers = match &health.answer {
        Answer::NotYet => None,
        Answer::Yes => Some(true),
        Answer::No(_) => Some(false),
    };
    RuntimeState {
        answers,
        version: health.version.as_ref().map(|version| format!("{}://{}", version.name, version.version)),
        runtime: condition(&health.runtime),
        network: condition(&health.network),
        image_fs: health.image_fs.as_ref().map(PathBuf::from),
    }
}
