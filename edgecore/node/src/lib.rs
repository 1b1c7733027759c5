//! The Node object as the machine knows it: capacity, addresses, conditions; and the network configuration of its pods.
//!
//! In come facts of the machine ([`Facts`]), how the container runtime does ([`RuntimeHealth`], a port that the agent
//! wires to its runtime), pressure on memory, disk and process ids, and the stored Node object (its UID and pod CIDRs).
//! Out go a report to the store, and a CNI configuration file. [`run`] is the one task.
//!
//! - A report is made only where something material changed. There is no heartbeat in it, and no figure that moves by
//!   itself: how much is free shows only as a condition. An idle node writes nothing and sends nothing.
//! - Transition times survive a restart: they are taken from the last report in the store.
//! - What cannot be read is unknown, and unknown changes nothing: an address that went with a cut link stays reported,
//!   and a pressure stays as it was.
//! - The CNI file is written only into a directory that holds no other configuration, and only the file of that name is
//!   ever replaced.
//!
//! Deliberately absent: who evicts pods, the Node's Lease (the cloud renews it), and what the kubelet endpoint's
//! address is (the cloud writes it; here stands the machine's own).

mod address;
pub mod cni;
mod conditions;
mod config;
mod error;
mod facts;
mod health;
mod io;
mod last;
mod pressure;
mod resources;
mod status;

pub use address::route_hints;
pub use config::{NodeConfig, label_problems};
pub use error::NodeError;
pub use facts::Facts;
pub use health::{Condition, RuntimeHealth, RuntimeState};
pub use io::{CNI_RESULTS, address, clear_torn_results, facts, known_address, run};
pub use resources::{allocatable, capacity};
pub use status::KUBELET_VERSION;
