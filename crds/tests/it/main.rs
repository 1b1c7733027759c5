//! The types and the committed definitions against KubeEdge's fields, and against manifests in the shape of its samples.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    reason = "a test ends where its setup fails"
)]

mod fields;
mod objects;
mod schema;
