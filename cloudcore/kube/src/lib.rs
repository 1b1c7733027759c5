//! All Kubernetes plumbing of the cloud side.
//!
//! - [`Client`]: requests by path, answers as JSON. Objects are relayed as raw bytes and only the fields that are
//!   read get types, so there is no typed API here. [`Client::as_node`] acts as a node, so that the Node authorizer
//!   and NodeRestriction judge what is written for it.
//! - [`watch`]: guarded list-and-watch loops. One malformed object never stalls a kind; a kind that cannot be listed
//!   or watched says so, and nothing is taken for deleted that was not seen to be deleted.
//! - [`leader`]: of several replicas one leads, and what only it does starts and ends with its term.
//! - [`path`]: where objects live.
//! - [`reviews`]: who a bearer token is, and what it may do.
//!
//! Deliberately absent: what any object means.

pub mod client;
pub mod error;
pub mod leader;
pub mod metrics;
pub mod node_lease;
pub mod path;
pub mod reviews;
pub mod watch;

pub use client::{Client, Patch};
pub use error::{ApiStatus, KubeError};
pub use metrics::Metrics;
