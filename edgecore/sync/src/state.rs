//! How the link fares, for metrics, status and whoever wants to know.

use std::sync::Arc;

use kit::Elapsed;
use tokio::sync::watch;

/// Phase of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Nobody answers, or nothing was tried yet.
    Disconnected,
    /// A session is open.
    Connected,
    /// A session is open, and what is here is what the cloud wants.
    InSync,
    /// The cloud answers and refuses.
    Refused,
}

/// Every phase.
pub const PHASES: [Phase; 4] = [Phase::Disconnected, Phase::Connected, Phase::InSync, Phase::Refused];

impl Phase {
    /// As metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connected => "connected",
            Self::InSync => "in_sync",
            Self::Refused => "refused",
        }
    }
}

/// State of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// Phase.
    pub phase: Phase,
    /// Since when.
    pub since: Elapsed,
    /// Why, for people; while connected, to whom.
    pub reason: String,
}

/// Sets and tells the state. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct LinkStatus {
    state: Arc<watch::Sender<LinkState>>,
}

impl Default for LinkStatus {
    fn default() -> Self {
        let start = LinkState {
            phase: Phase::Disconnected,
            since: Elapsed::default(),
            reason: "not tried yet".to_owned(),
        };
        Self { state: Arc::new(watch::Sender::new(start)) }
    }
}

impl LinkStatus {
    /// The state now.
    pub fn get(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// Enters a phase. `true` where phase or reason are new; `since` stays where only the reason is.
    pub(crate) fn set(&self, phase: Phase, reason: &str, now: Elapsed) -> bool {
        self.state.send_if_modified(|state| {
            if state.phase == phase && state.reason == reason {
                return false;
            }
            if state.phase != phase {
                state.since = now;
            }
            state.phase = phase;
            reason.clone_into(&mut state.reason);
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_belongs_to_the_phase_and_not_to_its_reason() {
        let status = LinkStatus::default();
        assert!(status.set(Phase::Refused, "a", Elapsed::from_millis(5)));
        assert!(status.set(Phase::Refused, "b", Elapsed::from_millis(9)));
        assert!(!status.set(Phase::Refused, "b", Elapsed::from_millis(12)));
        let state = status.get();
        assert_eq!((state.since, state.reason.as_str()), (Elapsed::from_millis(5), "b"));
    }
}
