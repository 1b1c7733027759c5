//! Both ends over loopback, with real TLS.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test ends where its setup fails")]

mod closing;
mod frames;
mod network;
mod priorities;
mod proxies;
mod refusals;
mod rig;
mod streams;
