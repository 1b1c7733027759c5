//! What can go wrong between cloudcore and the API server.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// An answer of the API server that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiStatus {
    /// HTTP status.
    pub code: u16,
    /// Machine-readable reason, such as `NotFound`; empty where there was none.
    pub reason: String,
    /// What it says for people.
    pub message: String,
    /// When it asks to be tried again.
    pub retry_after: Option<Duration>,
}

/// Why a request came to nothing.
#[derive(Debug, Error)]
pub enum KubeError {
    /// The kubeconfig cannot be used.
    #[error("cannot use kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// No kubeconfig was named, and this is no pod.
    #[error("no kubeconfig is configured, and there is no service account as inside a pod")]
    InCluster(#[source] kube::config::InClusterError),
    /// The configuration does not make a client.
    #[error("cannot make a client of the cluster's API")]
    Setup(#[source] Box<kube::Error>),
    /// The request cannot be formed.
    #[error("{request}: cannot be sent")]
    Request {
        /// Method and path.
        request: String,
        /// Why not.
        #[source]
        source: http::Error,
    },
    /// The body to be sent is no JSON.
    #[error("{request}: body cannot be encoded")]
    Encode {
        /// Method and path.
        request: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// No answer.
    #[error("{request}: no answer")]
    Transport {
        /// Method and path.
        request: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("{request}: no answer within {limit:?}")]
    Timeout {
        /// Method and path.
        request: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The answer is not what it should be.
    #[error("{request}: unexpected answer")]
    Decode {
        /// Method and path.
        request: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is longer than the limit.
    #[error("{request}: answer is longer than {limit} bytes")]
    TooLong {
        /// Method and path.
        request: String,
        /// The limit.
        limit: usize,
    },
    /// The API server said no.
    #[error("{request}: {} ({} {})", .status.message, .status.code, .status.reason)]
    Api {
        /// Method and path.
        request: String,
        /// Its answer.
        status: ApiStatus,
    },
}

impl KubeError {
    /// HTTP status, where the API server answered.
    pub const fn code(&self) -> Option<u16> {
        if let Self::Api { status, .. } = self { Some(status.code) } else { None }
    }

    /// What the API server said, where it answered.
    pub const fn status(&self) -> Option<&ApiStatus> {
        if let Self::Api { status, .. } = self { Some(status) } else { None }
    }

    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// A precondition failed, or an object of that name exists already.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// An object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
    }

    /// The resourceVersion or the continue token is too old.
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// The same request may succeed later without anything being changed about it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transport { .. } | Self::Timeout { .. })
            || self.status().is_some_and(|status| status.code == 429 || status.code >= 500)
    }
}
