//! Faults that the simulation plants: places where the product does the wrong thing on purpose.
//!
//! A fault is on only where the feature `testing` is compiled in, which no shipped build enables, and the simulation
//! that runs on this thread asks for it ([`crate::sim`]). Everywhere else [`on`] is the constant `false`, and the
//! compiler takes the wrong path out. Each of them must be caught by the simulation's judgement, so that a green run
//! says something.

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The edge's store answers a writer before the commit.
    AnsweredBeforeCommit,
    /// The edge acknowledges frames before they are on the disk.
    AckedBeforeCommit,
    /// The edge's digest leaves the UID out.
    DigestWithoutUid,
    /// A rejected object does not count in the edge's digest.
    RejectedForgotten,
    /// A report leaves the outbox when it is sent, not when it is acknowledged.
    OutboxEmptiedAtSend,
    /// A journal entry leaves the store when it is sent.
    JournalEmptiedAtSend,
    /// A journal entry gets a number that an acknowledged one had before.
    SequenceReused,
    /// A superseded report counts twice in the ledger.
    SupersededTwice,
    /// A report that is wanted again does not count as produced again.
    ResendUncounted,
    /// A later report of an object keeps the id of the earlier one, whose acknowledgement then counts for it.
    ReportIdKept,
    /// The cloud sends a pod before the Secret it names.
    PodBeforeItsSecret,
    /// A list that broke off is taken for a whole one.
    PartOfAListIsAll,
    /// What a new list lacks is kept.
    RelistKeepsTheGone,
    /// The cloud never sends a sync point.
    SyncPointSkipped,
    /// A replica serves an edge that has seen newer state than it has itself.
    CatchUpSkipped,
    /// A report is acknowledged when it arrives.
    ReportAckedBeforeWrite,
    /// A journal entry is acknowledged when it arrives.
    EntryAckedBeforeWrite,
    /// A replica writes for a session although the node's Lease names a newer one.
    OlderEpochAccepted,
    /// Of two reports that wait for one write the older is kept.
    OlderReportKept,
    /// A body that was read for one version of an object is taken for that of another.
    BodyOfAnotherVersion,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 20] = [
        Self::AnsweredBeforeCommit,
        Self::AckedBeforeCommit,
        Self::DigestWithoutUid,
        Self::RejectedForgotten,
        Self::OutboxEmptiedAtSend,
        Self::JournalEmptiedAtSend,
        Self::SequenceReused,
        Self::SupersededTwice,
        Self::ResendUncounted,
        Self::ReportIdKept,
        Self::PodBeforeItsSecret,
        Self::PartOfAListIsAll,
        Self::RelistKeepsTheGone,
        Self::SyncPointSkipped,
        Self::CatchUpSkipped,
        Self::ReportAckedBeforeWrite,
        Self::EntryAckedBeforeWrite,
        Self::OlderEpochAccepted,
        Self::OlderReportKept,
        Self::BodyOfAnotherVersion,
    ];
}

/// Whether the fault is planted.
#[cfg(feature = "testing")]
pub fn on(fault: Fault) -> bool {
    crate::sim::fault(fault)
}

/// Whether the fault is planted: never.
#[cfg(not(feature = "testing"))]
pub const fn on(_fault: Fault) -> bool {
    false
}
