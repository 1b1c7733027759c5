//! A load for the store, and a look at what is in it: what the tests of power cuts run on a disk that they cut.
//!
//! The load opens the store as edgecore does, tells what it found ([`Line::Seen`]), and then writes of everything
//! there is: objects, reports, tokens, journal, the pod engine's memory, the welcome, the identity and the trust
//! bundle. Whatever was acknowledged it tells on its standard output, outside of the disk ([`Line::Ack`]).
//!
//! Everything written bears a number, and each [`Thing`] is written in order, one at a time. So what is found after a
//! cut must be what was acknowledged last, or the one write that was under way.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use kit::Clock;
use serde::{Deserialize, Serialize};

mod load;
mod look;

/// How many objects, reports and pod states are written in turn.
pub const SLOTS: u64 = 5;

/// What is written, each in an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Thing {
    /// A batch of a Secret, a ConfigMap and a Pod of one slot, and a Service in place of its namesake.
    Batch,
    /// A report on the pod of a slot.
    Report,
    /// A service-account token.
    Token,
    /// An entry of the journal; its number is its sequence number.
    Entry,
    /// Entries that the cloud took, up to this sequence number.
    Delivered,
    /// The pod engine's memory of a slot.
    Memory,
    /// A welcome; its number is the session's.
    Welcome,
    /// `pki/identity.pem`: a new key and a certificate for it.
    Identity,
    /// `pki/ca.pem`.
    Bundle,
}

/// Where each thing's numbers stand; one that is missing was never written.
pub type Numbers = BTreeMap<Thing, u64>;

/// What the load says, one line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// What was found when the store was opened.
    Seen(Box<Seen>),
    /// This will be written now.
    Try(Thing, u64),
    /// This is on the disk.
    Ack(Thing, u64),
}

/// What is in a store and beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Id of the store.
    pub store_id: String,
    /// It was made just now.
    pub fresh: bool,
    /// It was found damaged, and put here.
    pub set_aside: Option<String>,
    /// What does not fit together: digests, versions, accounts, files.
    pub wrong: Vec<String>,
    /// Number of each Secret, ConfigMap and Pod, by `KIND SLOT`.
    pub objects: BTreeMap<String, u64>,
    /// Numbers of the Services there are; there should be one.
    pub services: Vec<u64>,
    /// Number of each report, by slot.
    pub reports: BTreeMap<u64, u64>,
    /// Number of the token.
    pub token: Option<u64>,
    /// Sequence numbers of the journal.
    pub entries: Vec<u64>,
    /// Number of each pod's memory, by slot.
    pub memory: BTreeMap<u64, u64>,
    /// Last session.
    pub epoch: u64,
    /// Number of the identity, from the name in its certificate.
    pub identity: Option<u64>,
    /// Number of the trust bundle, from the comment above it.
    pub bundle: Option<u64>,
}

/// Opens the store in `dir`, tells what is there and, unless it is only to look, writes until it is killed.
///
/// # Errors
/// The store does not open, a write fails, or nobody listens.
pub fn run(dir: &Path, only_look: bool) -> Result<()> {
    kit::files::sync_dir(dir)?;
    let pki = dir.join("pki");
    std::fs::create_dir_all(&pki)?;
    kit::files::sync_dir(dir)?;
    let opened = edgecore_store::Store::open(dir, Clock::system()).context("the store does not open")?;
    let seen = look::look(dir, &opened)?;
    let numbers = seen.numbers();
    say(&Line::Seen(Box::new(seen)))?;
    if only_look {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(load::write_everything(&opened.store, &pki, &numbers))
}

impl Seen {
    /// The last number of each thing.
    pub fn numbers(&self) -> Numbers {
        let last = |numbers: &BTreeMap<u64, u64>| numbers.values().max().copied();
        let found = [
            (Thing::Batch, self.services.iter().max().copied()),
            (Thing::Report, last(&self.reports)),
            (Thing::Token, self.token),
            (Thing::Entry, self.entries.iter().max().copied()),
            (Thing::Memory, last(&self.memory)),
            (Thing::Welcome, Some(self.epoch).filter(|epoch| *epoch > 0)),
            (Thing::Identity, self.identity),
            (Thing::Bundle, self.bundle),
        ];
        found.into_iter().filter_map(|(thing, number)| Some((thing, number?))).collect()
    }
}

fn say(line: &Line) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    // In one write: a line is told whole or not at all.
    let mut out = std::io::stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).context("nobody listens")
}
