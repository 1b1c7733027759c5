//! Files that pods see.
//!
//! In: a pod, and the ConfigMaps, Secrets and tokens it names ([`wants`], [`Sources`]). Pure in the middle:
//! [`plan()`] says what every volume must hold. Out: [`VolumeDirs`] makes the disk so.

pub mod error;
pub mod io;
pub mod layout;
pub mod mount;
pub mod plan;
pub mod quantity;
pub mod sources;

pub use error::{Trouble, VolumeError};
pub use io::{Published, VolumeDirs};
pub use mount::{BoundMount, MountRequest};
pub use plan::{Downward, Plan, plan};
pub use quantity::Quantity;
pub use sources::{Sources, TokenWant, Wants, wants};
