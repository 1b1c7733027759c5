//! The session against a model of an edge.

mod admission;
mod session;
