//! What can go wrong, and what is refused.

use cloudcore_kube::KubeError;
use http::StatusCode;
use thiserror::Error;

/// Why something of this crate failed, other than by a decision.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The API server did not do what was asked.
    #[error("cannot {what}")]
    Kube {
        /// What was to be done, with the object's name.
        what: String,
        /// Why not.
        #[source]
        source: KubeError,
    },
    /// An object is there and is not what it must be.
    #[error("{object} is damaged: {why}")]
    Damaged {
        /// Kind and name.
        object: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Others kept changing the object.
    #[error("{0} was changed by others again and again")]
    Contended(String),
    /// Keys or certificates.
    #[error("cannot make keys or certificates")]
    Pki(#[from] pki::PkiError),
    /// No randomness.
    #[error("cannot make a join token")]
    Random(#[from] kit::random::NoRandomness),
    /// What a token should be is not possible.
    #[error("join token: {0}")]
    Token(String),
    /// An endpoint that names cannot be taken from.
    #[error("{key}: {value:?} is not a URL with a host")]
    Endpoint {
        /// Key of the configuration.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

/// Why a node may not join: told to it in one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Too many, from there or in all.
    #[error("too many join requests; try again in {0} s")]
    TooMany(u64),
    /// Not a request.
    #[error("request is malformed: {0}")]
    Malformed(String),
    /// No such token.
    #[error("join token {0} is not known here (wrong cluster, or it was deleted)")]
    UnknownToken(String),
    /// The secret is another.
    #[error("join token {0} has another secret")]
    WrongSecret(String),
    /// Too late.
    #[error("join token {0} has expired")]
    Expired(String),
    /// All its uses are used.
    #[error("join token {token} was used up (by {by})")]
    UsedUp {
        /// Its id.
        token: String,
        /// The nodes that used it.
        by: String,
    },
    /// This token lets in others.
    #[error("join token {token} is for {bound}, not for node {node:?}")]
    OtherName {
        /// Its id.
        token: String,
        /// Whom it lets in.
        bound: String,
        /// The name asked for.
        node: String,
    },
    /// Somebody else is this node.
    #[error(
        "node name {0:?} is taken by another key (a token bound to exactly this name, created now, replaces it)"
    )]
    NameTaken(String),
    /// A Node of this name is there, and is not for the taking.
    #[error("a Node {0:?} exists already: {1}")]
    NodeExists(String, &'static str),
    /// This node was revoked.
    #[error(
        "node {0:?} was revoked ({1}); a token bound to exactly this name, created now, lets it in again"
    )]
    Revoked(String, String),
    /// No certificate can be made from the CSR.
    #[error("{0}")]
    Csr(String),
    /// Not now.
    #[error("the cluster does not answer; try again later")]
    Unavailable,
}

impl Refusal {
    /// The HTTP status that says the same. 429 and 503 mean: the same request may succeed later.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Malformed(_) | Self::Csr(_) => StatusCode::BAD_REQUEST,
            Self::UnknownToken(_)
            | Self::WrongSecret(_)
            | Self::Expired(_)
            | Self::UsedUp { .. }
            | Self::OtherName { .. } => StatusCode::FORBIDDEN,
            Self::NameTaken(_) | Self::NodeExists(..) | Self::Revoked(..) => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// After how many seconds the same request may succeed; `None` where it never will.
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(seconds) => Some(*seconds),
            Self::Unavailable => Some(5),
            Self::Malformed(_)
            | Self::UnknownToken(_)
            | Self::WrongSecret(_)
            | Self::Expired(_)
            | Self::UsedUp { .. }
            | Self::OtherName { .. }
            | Self::NameTaken(_)
            | Self::NodeExists(..)
            | Self::Revoked(..)
            | Self::Csr(_) => None,
        }
    }

    /// One word for metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::TooMany(_) => "too_many",
            Self::Malformed(_) => "malformed",
            Self::UnknownToken(_) => "unknown_token",
            Self::WrongSecret(_) => "wrong_secret",
            Self::Expired(_) => "expired",
            Self::UsedUp { .. } => "used_up",
            Self::OtherName { .. } => "other_name",
            Self::NameTaken(_) => "name_taken",
            Self::NodeExists(..) => "node_exists",
            Self::Revoked(..) => "revoked",
            Self::Csr(_) => "csr",
            Self::Unavailable => "unavailable",
        }
    }
}
