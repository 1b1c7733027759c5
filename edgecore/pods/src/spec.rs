//! Pure: a pod's spec → what the runtime is asked for, in upstream's semantics.
//!
//! The engine's order for a container: [`refused`] is empty for its pod; [`edgecore_volumes::plan()`] with
//! [`Values`] and publish; [`environment`]; [`mount_requests`] and [`edgecore_volumes::VolumeDirs::bind`];
//! [`container_spec`] with what was bound.

pub mod container;
pub mod context;
mod dns;
pub mod downward;
pub mod environment;
pub mod error;
mod expand;
pub mod honoured;
pub mod hostname;
pub mod mounts;
mod resources;
pub mod sandbox;
mod security;
mod services;
pub(crate) mod sysctls;

pub use container::{Paths, container_spec};
pub use context::{ContainerContext, NodeFacts};
pub use downward::Values;
pub use environment::environment;
pub use error::SpecError;
pub use honoured::refused;
pub use hostname::etc_hosts;
pub use mounts::mount_requests;
pub use sandbox::{SandboxPlan, Warning, sandbox_spec};
