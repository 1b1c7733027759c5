//! What edges report becomes what the cluster shows, and nothing else does.
//!
//! In: reports, inventories of reports and journal entries of the edges' sessions ([`Statuses`]). Out: writes to the
//! API server, made as the node they are for; acknowledgements and refusals to the edge ([`Answers`]).
//!
//! - `report` (pure): what an edge may report at all.
//! - `plan` (pure): what has to be written so that the cluster shows a report. Only what the edge owns
//!   ([`wire::owned`]) is touched; conditions and fields of others stay.
//! - `compare` (pure): level-triggering. Where the cluster shows something else than the edge last said, the edge is
//!   asked, at first soon and then ever more rarely.
//! - `queue` (pure): the latest report per object, fair between nodes, so many at once.
//! - `event` (pure): journal entries as Events.
//! - `verdict` (pure): what comes of a request, by the API server's answer.
//!
//! A report is acknowledged when the API server took the write, or shows the same already; it is refused, by the API
//! server's words, when it never will. Every status write carries the UID and the resourceVersion it was planned on, and
//! between that read and the write the Lease is asked whose the node is, so a replica that slept cannot overwrite a newer
//! status. When a session is over, nothing more is written for it.
//!
//! Deliberately absent: sessions, what an edge should have, and any state that outlives the process.

mod compare;
mod event;
mod io;
mod metrics;
mod origin;
mod plan;
mod queue;
mod report;
#[cfg(test)]
mod tests;
mod verdict;

pub use io::Statuses;
pub use origin::{Answers, Opened};
