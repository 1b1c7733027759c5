//! What can be wrong with a volume, in the words that users of Kubernetes know.

use thiserror::Error;

/// What the pod engine does about a volume that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Something it is made from does not exist on this node yet, or a path of the host is not as asked: keep trying.
    /// The pod shows `ContainerCreating` and an event `FailedMount`.
    Missing,
    /// Nothing is missing but tokens that the cloud was asked for and has not answered: they are on their way as long as
    /// it is there. Shown as [`Trouble::Missing`] is, where it lasts.
    Awaited,
    /// The pod asks for something that can never be: trying again is of no use before the pod changes. Shown as
    /// [`Trouble::Missing`] is, tried seldom.
    Refused,
    /// This node could not do it (disk full, no permission): keep trying.
    Failed,
}

/// A volume that could not be planned or published.
///
/// Displays as the message of upstream's event `FailedMount`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {message}")]
pub struct VolumeError {
    /// The volume, as the pod names it.
    pub volume: String,
    /// What to do about it.
    pub trouble: Trouble,
    /// What is wrong: names object and key.
    pub message: String,
}

impl VolumeError {
    /// An error about a volume.
    pub fn new(volume: &str, trouble: Trouble, message: impl Into<String>) -> Self {
        Self { volume: volume.to_owned(), trouble, message: message.into() }
    }
}
