//! A deterministic simulation of both sides: the real sync, store (a real SQLite file), index, hub, status writer and
//! watches of both ends, in one thread, under everything that a seed can choose.
//!
//! Simulated are the socket between the two sides ([`net`]: connections that stall, break at either end first, and
//! lose or delay what is under way), the API server ([`api`]: late, failing, forgetting its answers, with watches that
//! lag, repeat, break and start over), time (tokio's, held still), chance, the order in which tasks run, and the life of
//! processes ([`exec`]: killed at any await, stopped and continued, rebooted). Everything else is what ships.
//!
//! A run is judged by what the API server and the store's rows show ([`judge`]). Whether the judgement is worth
//! something is shown by faults planted in the product ([`kit::faults`]): each must be caught.

#![cfg(feature = "testing")]

mod api;
mod chaos;
mod cloud;
mod edge;
mod exec;
mod judge;
mod many;
mod net;
mod points;
mod rng;
mod run;
mod tap;
mod told;
mod trace;

pub use many::{Caught, Report, Seeds, find, run_all};
pub use run::{Outcome, Runner};
