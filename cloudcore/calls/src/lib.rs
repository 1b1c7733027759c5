//! What an edge asks and the cloud answers: so far, tokens of service accounts for its pods.
//!
//! In: calls of the edges' sessions ([`Calls::take`]). Out: one answer per call, within the call's deadline.
//!
//! - `token` (pure): whether the question equals, in every value, one projection in the spec of a pod that the index
//!   shows on that node. What is asked beyond that is refused with the name of the field, and the API server is not
//!   asked at all.
//! - `io`: the request to the API server, as the node, so that the Node authorizer and NodeRestriction judge it too.
//!
//! A token is in memory between the API server's answer and the frame that carries it, and is never logged.
//! Deliberately absent: any memory of what was asked, and any right of cloudcore's own to issue a token.

mod io;
mod metrics;
mod token;

pub use io::Calls;
