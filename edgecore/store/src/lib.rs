//! SQLite: where everything on the edge meets.
//!
//! `sync` writes what the cloud wants ([`Store::apply`]); the pod engine reads it ([`Store::objects`],
//! [`Store::watch`]) and writes what became of it ([`Store::report`]); `sync` carries that up. Nobody calls anybody,
//! so cutting the link stops nothing.
//!
//! How it is built:
//! - One named thread writes. Whatever waits in its bounded queue becomes one transaction (group commit), and a caller
//!   is answered only after the commit is on the disk (`synchronous=FULL`). A caller that fails rolls back alone.
//! - Readers take one of a few read-only connections and see a snapshot.
//! - Nothing is written where nothing changes: every write compares first, and an empty transaction touches no page.
//! - The digest over the objects is changed in the transaction that changes their rows.
//! - What waits for the cloud is capped by stream ([`Limits`]), and whatever becomes of it is counted in the transaction
//!   that does it ([`Store::ledger`]). A store made anew begins new accounts, named by its id.
//! - Bodies of Secrets and tokens are sealed under a key that lies beside the database.
//!
//! States it may be found in: absent or empty (made anew), an older schema (migrated in one transaction), a newer one
//! (refused), corrupt (set aside, made anew with a new store id), sealed under a lost key (those rows count as
//! absent and come again), on a full disk (writes fail, nothing is lost, the next write tries again).
//!
//! Deliberately absent: knowledge of what a body means (but for which ConfigMaps and Secrets a pod names), and any
//! network.

mod error;
mod facade;
mod journal;
mod ledger;
mod limits;
mod meta;
mod names;
mod objects;
mod open;
mod peek;
mod pods;
mod readers;
mod refusals;
mod reports;
mod schema;
mod seal;
mod tokens;
mod types;
mod writer;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use facade::{Opened, Store};
pub use limits::{Limits, REPORTS, StreamLimit, WhenFull};
pub use peek::Peek;
pub use types::{
    Applied, Change, HIGHEST_PRIORITY, Held, JournalEntry, JournalRow, LedgerRow, Meta, Object, Refusal,
    ReportRow, Stamp, Token, TokenKey, WantedToken, Welcomed,
};
