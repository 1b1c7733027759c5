//! How much each stream may hold, and what happens beyond.

use std::collections::BTreeMap;

/// Bytes that an entry costs beside its body: its times, its place in the indexes. So a cap holds for the disk also
/// where bodies are short.
pub(crate) const OVERHEAD: u64 = 160;

/// The stream that reports are counted under.
pub const REPORTS: &str = "reports";

/// What happens where a stream is full and another entry comes. What is expired leaves first, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest entries leave, counted as dropped for `full`.
    DropOldest,
    /// Entries of lowest priority leave, the oldest of them first, counted as dropped for `full`. Where only entries of
    /// higher priority are there, it is the new one.
    DropLowestPriority,
    /// The new entry is not taken, counted as dropped for `refused_full`; its producer is told.
    Refuse,
}

/// Limit of one stream of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimit {
    /// Bytes that its entries may take, with 160 for each beside its body.
    pub max_bytes: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
}

/// Limits of everything that waits for the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all reports' bodies. One report per object is kept, so this is reached by very many or very large
    /// objects only; a report beyond is dropped for `full`, and what was reported before stays.
    pub reports_max_bytes: u64,
    /// Streams of the journal, by name.
    pub streams: BTreeMap<&'static str, StreamLimit>,
}

impl Default for Limits {
    /// Events tell people what happened: some five thousand of the size that pods make, warnings kept longest. Messages
    /// are somebody's, who must know where one is not taken. Of readings the latest matter most.
    fn default() -> Self {
        let limit = |max_bytes, when_full| StreamLimit { max_bytes, when_full };
        Self {
            reports_max_bytes: 16 << 20,
            streams: BTreeMap::from([
                ("events", limit(4 << 20, WhenFull::DropLowestPriority)),
                ("messages", limit(8 << 20, WhenFull::Refuse)),
                ("readings", limit(32 << 20, WhenFull::DropOldest)),
            ]),
        }
    }
}

impl Limits {
    /// The limit of a stream; one that is not named here is small.
    pub(crate) fn of(&self, stream: &str) -> StreamLimit {
        let other = StreamLimit { max_bytes: 1 << 20, when_full: WhenFull::DropOldest };
        self.streams.get(stream).copied().unwrap_or(other)
    }
}

/// What an entry with a body of this length costs.
pub(crate) fn cost(body: usize) -> u64 {
    u64::try_from(body).unwrap_or(u64::MAX).saturating_add(OVERHEAD)
}
