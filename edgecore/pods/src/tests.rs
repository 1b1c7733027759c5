//! Unit tests: single decisions in tables, and the whole as a model.

mod kit;
mod model;
mod plan;
mod status;
