//! Joining over real TLS, with a small working store in the API server's place.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test ends where its setup fails")]

mod fake;
mod joining;
mod races;
mod rig;
mod sweeping;
