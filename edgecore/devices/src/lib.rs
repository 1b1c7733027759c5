//! The devices at a node: what their values are, what registers mean, and what became of what was wanted.
//!
//! In: a Device and its DeviceModel (crate `crds`), what a driver read, and what was asked for. Out: typed values
//! ([`value`]), values for raw registers and back ([`transform`]), and per property the twin ([`twin`], by what is in
//! [`settings`]): what is desired, what was reported, and what is to be done about it.
//!
//! What holds:
//! - No value is rounded on its way: integers of 64 bits and decimals are compared, scaled and printed exactly
//!   ([`decimal`]), or refused with the property, the value and what was expected.
//! - Whatever a device says is a value of its property's type or a reading of bad quality with a reason, never a crash.
//! - Everything here is pure: time is passed in, and what is to be done comes out as effects.
//!
//! Absent: drivers, sockets, the store. Who calls [`twin::step`] writes the twin down before it does what came out.

pub mod decimal;
pub mod settings;
pub mod transform;
pub mod twin;
pub mod value;

#[cfg(test)]
mod tests;
