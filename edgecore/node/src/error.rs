//! Why something about the node could not be done.

use std::path::PathBuf;

use edgecore_store::StoreError;
use thiserror::Error;

/// Why the node's task ended, or a step of it failed.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The store does not work.
    #[error("node status cannot be kept")]
    Store(#[from] StoreError),
    /// The report makes no JSON object.
    #[error("node status cannot be written")]
    Canonical(#[from] wire::CanonicalError),
    /// A file of the machine cannot be read, and there is no node without it.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file of the machine says what nobody understands.
    #[error("{path} does not say {what}")]
    Unclear {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The CNI configuration cannot be written.
    #[error("cannot write CNI configuration {path}")]
    Cni {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
