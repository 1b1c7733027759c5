//! What is to be done for a pod, and what came of it.

use std::time::Duration;

use crate::desired::Role;
use crate::runtime::{ContainerId, SandboxId};

/// One step. A pod's steps are taken in order; the first that fails ends the list, and the next look plans anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Directories and the files that containers see.
    Prepare,
    /// Makes and starts a sandbox.
    RunSandbox {
        /// Its number.
        attempt: u32,
    },
    /// Stops a sandbox and gives back its network.
    StopSandbox(SandboxId),
    /// Removes a stopped sandbox.
    RemoveSandbox(SandboxId),
    /// Gets the image, makes and starts a container.
    Start {
        /// Its name.
        name: String,
        /// Its part.
        role: Role,
        /// Number of the run, from 0: restarts before it.
        attempt: u32,
        /// The container whose processes it is to see, where it names one and that one runs.
        target: Option<ContainerId>,
    },
    /// Ends containers, side by side.
    Kill(Vec<Kill>),
    /// Removes an ended container with its log.
    RemoveContainer {
        /// Its id.
        id: ContainerId,
        /// Its name.
        name: String,
        /// Number of the run.
        attempt: u32,
    },
    /// Nothing is left in the runtime: files, directories and logs go.
    Clear,
}

/// A container to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// From SIGTERM (or from the hook before it) to SIGKILL.
    pub grace: Duration,
    /// For the event `Killing`.
    pub message: String,
}

/// What came of a step that the engine must remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Files are in place.
    Prepared,
    /// A sandbox was stopped.
    Stopped(SandboxId),
    /// A container runs.
    Started(String),
    /// A container could not be started.
    NotStarted {
        /// Its name.
        name: String,
        /// Upstream's reason for its waiting.
        reason: String,
        /// Message.
        message: String,
        /// The image is what is missing.
        image: bool,
    },
    /// Files and logs are gone.
    Cleared,
    /// The list ended early.
    Failed(String),
}
