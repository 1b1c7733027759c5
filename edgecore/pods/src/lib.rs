//! Pod life, without knowing which runtime runs it.

pub mod runtime;
pub mod spec;

pub mod desired;
pub mod observed;
pub mod restart;
pub mod history;
pub mod action;
pub mod memory;
pub mod judge;
pub mod plan;
pub mod qos;
pub mod status;
pub mod handler;
pub mod probe;
pub mod image;
pub mod admit;
pub mod event;
pub mod rotation;
pub mod termination;
pub mod handle;
pub mod io;

#[cfg(any(test, feature = "testing"))]
pub mod fake;
#[cfg(test)]
mod tests;
