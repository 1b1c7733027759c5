//! The testbed: a real control plane, real cloudcores and real edges on one machine, with links to cut and
//! power to switch off.
//!
//! In: a directory and calls such as `up`, `cut`, `power_off` ([`Lab`], [`Edge`]). Out: processes, namespaces,
//! links and disks of this machine, and state files in the directory that say which is which.
//!
//! * [`lab`], [`edge`], [`power`], [`link`], [`cloud`], [`cluster`] are what callers use. A [`Lab`] or [`Edge`]
//!   holds no state: the command line, tests and several threads may work on one lab at once.
//! * [`balance`], [`node`], [`containerd`], [`disk`], [`wire`], [`cgroup`], [`spawn`], [`proc`], [`registry`] do the work.
//! * [`fleet`] is thousands of simulated edges that speak the real protocol.
//! * [`names`], [`shape`], [`tar`], [`image`], [`args`], [`status`] are pure.
//!
//! Absent on purpose: simulated runtimes, fake API servers, and anything that listens beyond loopback and the
//! lab's own addresses. The product's crates know nothing of this one.

pub mod args;
pub mod balance;
pub mod bench;
pub mod cgroup;
pub mod cli;
pub mod cloud;
pub mod cluster;
pub mod conformance;
pub mod containerd;
pub mod cri;
pub mod demo;
pub mod disk;
pub mod edge;
pub mod fleet;
pub mod guard;
pub mod host;
pub mod image;
pub mod lab;
pub mod link;
pub mod names;
pub mod node;
mod ordinary;
pub mod power;
pub mod proc;
pub mod programs;
pub mod registry;
pub mod relay;
pub mod shape;
pub mod spawn;
pub mod state;
pub mod status;
pub mod storeload;
pub mod tar;
pub mod token;
pub mod view;
pub mod wire;

pub use edge::Edge;
pub use fleet::Fleet;
pub use guard::TestLab;
pub use lab::{Lab, UpOptions};
pub use shape::Shape;
pub use state::Runtime;
pub use wire::Traffic;
