//! Pure: a pod's spec → what the runtime is asked for, in upstream's semantics.
//!
//! The engine's order for a container: [`refused`] is empty for its pod; [`edgecore_volumes::plan()`] with
//! [`Values`] and publish; [`environment`]; [`mount_requests`] and [`edgecore_volumes::VolumeDirs::bind`];
//! [`container_spec`] with what was bound.

pub mod container;
pub mod context;
pub mod downward;
pub mod error;
pub mod honoured;
pub mod sandbox;

pub use container::{Paths, container_spec, environment, mount_requests};
pub use context::{ContainerContext, NodeFacts};
pub use downward::Values;
pub use error::SpecError;
pub use honoured::refused;
pub use sandbox::{SandboxPlan, Warning, etc_hosts, sandbox_spec};
