//! The cloud side of Skerry as one program: the command line, the configuration, and the one place where the crates
//! of this side meet.
//!
//! [`app`] wires them: watches feed the index, the hub serves edges from it, what edges say goes to status and calls,
//! join lets new edges in, controllers write what follows from other objects, the tunnel serves the kubelet's API of every
//! node, one replica leads. cloudcore keeps nothing of its own on disk.

mod admin;
mod app;
mod cli;
mod config;
mod descriptors;
mod kubelet;
mod uplink;

pub use cli::main;
pub use config::Settings;
