//! Pod life, without knowing which runtime runs it.

pub mod runtime;
pub mod spec;
