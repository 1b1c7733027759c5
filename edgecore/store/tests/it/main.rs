//! The store against the death of its process.

mod crash;
