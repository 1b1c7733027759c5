//! Why a pod's sandbox or container cannot be asked for.

use thiserror::Error;

/// Reason of a waiting container whose configuration does not add up.
pub const CREATE_CONTAINER_CONFIG: &str = "CreateContainerConfigError";
/// Reason of a waiting container that could not be made.
pub const CREATE_CONTAINER: &str = "CreateContainerError";
/// Reason of a pod whose sandbox could not be made.
pub const CREATE_SANDBOX: &str = "CreatePodSandboxError";

/// Displays as the message users see.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SpecError {
    /// Upstream's reason: one of the constants here.
    pub reason: &'static str,
    /// Upstream's message.
    pub message: String,
}

impl SpecError {
    /// The configuration of a container does not add up.
    pub fn config(message: impl Into<String>) -> Self {
        Self { reason: CREATE_CONTAINER_CONFIG, message: message.into() }
    }

    /// The sandbox cannot be made.
    pub fn sandbox(message: impl Into<String>) -> Self {
        Self { reason: CREATE_SANDBOX, message: message.into() }
    }
}
