//! The hub with real links: sessions that open, are evicted, refused and ended.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its setup fails")]

mod leases;
mod rig;
mod sessions;
