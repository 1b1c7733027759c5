//! The agent of an edge node: `edgecore join` makes a node a member of a cluster, `edgecore run` runs it,
//! `edgecore status` tells how it does; `edgecore pods`, `logs` and `exec` are an operator's view of its pods.
//!
//! [`app`] is the only place where the parts know of each other. Everything that lasts is in the store or in the
//! state directory, so the process may be killed at any moment: containers go on, and the next start finds them.

pub mod app;
pub mod cli;
pub mod config;
pub mod join;
pub mod status;

mod facts;
mod health;
mod local;
mod lock;
mod memory;
mod operator;
