//! The end, asked for once and seen by everybody.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks for, and waits for, the end. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: Arc<watch::Sender<Option<Arc<str>>>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { asked: Arc::new(watch::Sender::new(None)) }
    }
}

impl Shutdown {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the end. The first reason stays.
    pub fn request(&self, reason: &str) {
        self.asked.send_if_modified(|asked| {
            let first = asked.is_none();
            if first {
                *asked = Some(reason.into());
            }
            first
        });
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// Why the end was asked for.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.asked.borrow().clone()
    }

    /// Returns when the end is asked for.
    pub async fn requested(&self) {
        let mut asked = self.asked.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = asked.wait_for(Option::is_some).await;
    }

    /// Asks for the end at SIGTERM or SIGINT; at the second one returns, and the caller ends at once.
    pub async fn on_signals(self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        for _ in 0..2 {
            tokio::select! {
                _ = term.recv() => self.request("SIGTERM"),
                _ = interrupt.recv() => self.request("SIGINT"),
            }
        }
        Ok(())
    }
}
