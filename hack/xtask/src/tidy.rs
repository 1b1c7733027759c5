//! Rules about the tree that no lint knows. Each is a test whose message says what to do.

mod architecture;
mod docs;
mod errors;
mod generated;
mod layers;
mod metrics;
mod names;
mod owners;
mod sizes;
mod source;
