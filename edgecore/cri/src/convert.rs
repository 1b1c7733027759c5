//! Pure: what [`edgecore_pods::runtime`] describes → CRI's messages.

pub(crate) mod container;
pub(crate) mod image;
pub(crate) mod mounts;
pub(crate) mod sandbox;
pub(crate) mod security;
