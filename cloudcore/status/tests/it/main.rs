//! The status writer against an API server that knows one pod and one Lease.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail a test")]

mod fence;
mod server;
