//! The port to how the container runtime does. The agent wires it to its runtime.

use std::future::Future;
use std::path::PathBuf;

/// One condition that a runtime reports of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// It holds.
    pub status: bool,
    /// The runtime's reason.
    pub reason: String,
    /// The runtime's message.
    pub message: String,
}

/// How the container runtime does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeState {
    /// It answers; `None` while nobody knows, shortly after a start.
    pub answers: Option<bool>,
    /// What it is, as `containerd://1.6.20`; none before its first answer.
    pub version: Option<String>,
    /// `RuntimeReady`, as it said last.
    pub runtime: Condition,
    /// `NetworkReady`, as it said last.
    pub network: Condition,
    /// Where it keeps images; none where it does not say.
    pub image_fs: Option<PathBuf>,
}

/// Tells how the container runtime does.
pub trait RuntimeHealth: Send + 'static {
    /// As of now.
    fn now(&mut self) -> RuntimeState;
    /// Returns after a change that [`RuntimeHealth::now`] has not told yet; never where there will be none.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}
