//! What an edge asks and the cloud answers.
//!
//! In: a call of a node, who was told apart by its certificate. Out: the reply: the API server's own words, or a
//! failure with an HTTP status that fits and a reason for people. Nothing is taken on trust: what a token is asked
//! for must stand in the spec of a pod bound to that node ([`token::check`], pure), and the request then goes out as
//! the node, so that the Node authorizer and NodeRestriction judge it as well.
//!
//! Deliberately absent: sessions, and remembering any token.

mod io;
pub mod token;

pub use io::answer;
