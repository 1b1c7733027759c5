//! Pod life, without knowing which runtime runs it.

pub mod runtime;
pub mod spec;

pub mod action;
pub mod admit;
pub mod desired;
pub mod event;
pub mod handle;
pub mod handler;
pub mod history;
pub mod image;
pub mod io;
pub mod judge;
pub mod memory;
pub mod observed;
pub mod plan;
pub mod probe;
pub mod qos;
pub mod restart;
pub mod rotation;
pub mod status;
pub mod termination;

#[cfg(any(test, feature = "testing"))]
pub mod fake;
#[cfg(test)]
mod tests;
