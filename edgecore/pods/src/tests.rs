//! Unit tests: single decisions in tables, and the whole as a model.

mod engine;
mod ephemeral;
mod kit;
mod model;
mod plan;
mod policy;
mod status;
