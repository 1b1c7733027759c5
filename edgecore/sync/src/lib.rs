//! Moves state between the link and the store; nothing else on the edge knows that there is a cloud.
//!
//! Down: [`Sync::run`] connects, says `Hello` from what the store knows, and applies what comes, batch by batch: all
//! that is in the receive queue is one transaction, acknowledged when it is on the disk. An object that is not what
//! it says is rejected by name and counted; the rest goes on. At a `SyncPoint` the digests are compared.
//!
//! Up: reports and journal entries, pipelined in bounded windows, sent again after a reconnect until acknowledged, by
//! priority where they have one; calls for the tokens that pods want; heartbeats, now and then with the digest. What
//! expires meanwhile is removed, with a link or without.
//!
//! States: never joined (waits for an identity), nobody answers, refused (says why, asks again seldom, stops
//! nothing), connected, in step; the store's disk full (holds the batch and tries again, heartbeats go on); the
//! cloud of another cluster (nothing adopted, nothing deleted).
//!
//! Decisions are pure (`inbox`, `verify`, `window`, `journal`, `beat`, `calls`, `hello`); sockets and tasks are under `io`.
//!
//! Deliberately absent: what objects mean.

mod beat;
mod calls;
mod hello;
mod inbox;
mod io;
mod journal;
mod metrics;
mod state;
mod verify;
mod window;

#[cfg(test)]
mod tests;

pub use io::{Config, Hooks, Sync, SyncError};
pub use metrics::Metrics;
pub use state::{LinkState, LinkStatus, PHASES, Phase};
