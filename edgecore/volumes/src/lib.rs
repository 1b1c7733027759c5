//! Files that pods see.
//!
//! In: a pod, and the ConfigMaps, Secrets and tokens it names ([`wants`], [`Sources`]). Pure in the middle:
//! [`plan()`] says what every volume must hold. Out: [`VolumeDirs`] makes the disk so.
//!
//! ConfigMaps lie on the disk of the state directory; Secrets, tokens and the downward API on a tmpfs each, as
//! upstream has it, so nothing secret is ever on the disk in clear and renewing a token writes no flash. After a
//! reboot everything is published anew from the store. Files change by the swap of one symbolic link: a reader sees
//! all of the old or all of the new. What is already as it must be is not written; what a power cut tore is, since
//! contents are compared, not names.
//!
//! Absent: persistent volumes, CSI, image volumes. Pods that want them are refused before they get here.

mod diff;
pub mod error;
pub mod io;
pub mod kinds;
pub mod layout;
pub mod mount;
mod nested;
mod payload;
pub mod plan;
pub mod quantity;
pub mod sources;

pub use error::{Trouble, VolumeError};
pub use io::{Published, Usage, VolumeDirs, usage};
pub use kinds::{Downward, Plan};
pub use mount::{BoundMount, MountError, MountRequest};
pub use plan::plan;
pub use quantity::Quantity;
pub use sources::{Sources, TokenWant, Wants, wants};
