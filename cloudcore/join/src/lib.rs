//! How edges become members: the CA, join tokens, identity records, and the endpoint nodes join at.
//!
//! Everything is kept in cloudcore's own namespace, so that any replica can do all of it:
//! - Secret `skerry-ca`: the CA, made by whoever comes first ([`authority`]);
//! - Secret `join-token-ID`: the hash of a token's secret, whom it lets in, until when, how often, and which node
//!   used it with which key ([`create_token`]);
//! - ConfigMap `node-identity-NAME`: the one key that is this node, or that it was revoked ([`Identities`]).
//!
//! Tokens that expired are collected ([`sweep`], for the leader alone). Using a token, and taking a name, are compare-and-swaps on resourceVersions. What is allowed is decided by pure
//! functions (`grant`, `record`); `io` only reads, asks them and writes. [`JoinServer`] answers `POST /v1/join` over
//! TLS without a client certificate: bodies, time and rates are bounded, and every refusal says why in one line.
//!
//! Deliberately absent: sessions (`cloudcore-hub`), watching Nodes, rotation and renewal.

mod errors;
mod grant;
mod io;
mod limit;
mod metrics;
mod names;
mod record;

pub use errors::{JoinError, Refusal};
pub use grant::TokenSpec;
pub use io::{
    Api, Denied, Identities, Join, JoinServer, ServeError, Swept, authority, create_token, identity_watch,
    sweep,
};
pub use metrics::Metrics;
pub use names::serving_names;
pub use record::identity_record;
