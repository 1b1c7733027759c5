//! Frames of the cloud become batches: everything that is there already is one transaction.

use thiserror::Error;
use wire::{DownFrame, Rejected, SyncPoint, down_frame::Content};

use edgecore_store::Change;

use crate::verify;

/// Frames in one batch at most.
const MAX_FRAMES: usize = 256;
/// Bytes of bodies in one batch at most (one body that is longer is a batch of its own).
const MAX_BYTES: usize = 1 << 20;

/// The cloud did what no cloud may do; the session ends and nothing else is touched.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Frames are numbered one by one; one is missing or came twice.
    #[error("frame {found} came where {wanted} was due")]
    Number {
        /// The number due.
        wanted: u64,
        /// The number that came.
        found: u64,
    },
    /// A frame that opens a session, within one.
    #[error("a {0} frame came within a session")]
    Unexpected(&'static str),
}

/// Checks the numbers of frames; one per session.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    last: u64,
}

/// What is taken from the queue at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Changes, for one transaction.
    pub(crate) changes: Vec<Change>,
    /// Those among them that are rejections, and those too broken to be kept even as that.
    pub(crate) rejected: Vec<Rejected>,
    /// Number of the last numbered frame; 0 where there is none.
    pub(crate) last: u64,
    /// Frames for others than the store's objects, in order.
    pub(crate) others: Vec<Content>,
    /// What ends the batch, to be dealt with once it is on the disk.
    pub(crate) end: Option<End>,
    bytes: usize,
    frames: usize,
}

/// Frames that mean something only after everything before them was applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    /// Compare digests.
    Point(SyncPoint),
    /// The cloud says that digests agree.
    InSync(wire::InSync),
    /// Send the inventory, or what is wanted of it.
    WantInventory(wire::WantInventory),
    /// Leave, and come back not before so many milliseconds.
    GoAway(wire::GoAway),
}

impl Batch {
    /// Whether one more frame may be put in.
    pub(crate) const fn open(&self) -> bool {
        self.end.is_none() && self.frames < MAX_FRAMES && self.bytes < MAX_BYTES
    }
}

impl Inbox {
    /// Puts a frame into the batch.
    pub(crate) fn take(&mut self, frame: DownFrame, batch: &mut Batch) -> Result<(), Broken> {
        batch.frames += 1;
        // A frame that this release does not know is skipped.
        let Some(content) = frame.content else { return Ok(()) };
        match content {
            Content::Upsert(upsert) => {
                self.number(upsert.frame, batch)?;
                batch.bytes += upsert.body.as_ref().map_or(0, |body| body.length as usize);
                batch.changes.extend(verify::seen(&upsert.kind, upsert.seen.clone()));
                let checked = verify::upsert(upsert);
                batch.rejected.extend(checked.rejected);
                batch.changes.extend(checked.change);
            }
            Content::Delete(delete) => {
                self.number(delete.frame, batch)?;
                batch.changes.extend(verify::seen(&delete.kind, delete.seen));
                batch.changes.push(Change::Delete { kind: delete.kind, uid: delete.uid });
            }
            Content::SyncPoint(point) => {
                self.number(point.frame, batch)?;
                batch.end = Some(End::Point(point));
            }
            Content::InSync(in_sync) => batch.end = Some(End::InSync(in_sync)),
            Content::WantInventory(want) => batch.end = Some(End::WantInventory(want)),
            Content::GoAway(bye) => batch.end = Some(End::GoAway(bye)),
            Content::Welcome(_) => return Err(Broken::Unexpected("Welcome")),
            Content::Refused(_) => return Err(Broken::Unexpected("Refused")),
            other @ (Content::HeartbeatAck(_)
            | Content::ReportAck(_)
            | Content::ReportRefused(_)
            | Content::WantReports(_)
            | Content::CallReply(_)
            | Content::EntryAck(_)) => batch.others.push(other),
        }
        Ok(())
    }

    fn number(&mut self, found: u64, batch: &mut Batch) -> Result<(), Broken> {
        let wanted = self.last.saturating_add(1);
        if found != wanted {
            return Err(Broken::Number { wanted, found });
        }
        self.last = found;
        batch.last = found;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Delete, HeartbeatAck, InSync};

    fn delete(frame: u64) -> DownFrame {
        Delete { frame, kind: "Pod".to_owned(), uid: "u".to_owned(), seen: String::new() }.into()
    }

    #[test]
    fn a_missing_or_repeated_number_ends_the_session() {
        for (second, wanted) in [(3, 2), (1, 2), (0, 2)] {
            let (mut inbox, mut batch) = (Inbox::default(), Batch::default());
            inbox.take(delete(1), &mut batch).unwrap();
            let broken = inbox.take(delete(second), &mut batch).unwrap_err();
            assert_eq!(broken, Broken::Number { wanted, found: second });
        }
    }

    #[test]
    fn what_compares_ends_the_batch_and_what_does_not_goes_along() {
        let (mut inbox, mut batch) = (Inbox::default(), Batch::default());
        inbox.take(delete(1), &mut batch).unwrap();
        inbox.take(HeartbeatAck::default().into(), &mut batch).unwrap();
        inbox.take(DownFrame { content: None }, &mut batch).unwrap();
        assert!(batch.open());
        inbox.take(SyncPoint { frame: 2, ..SyncPoint::default() }.into(), &mut batch).unwrap();
        assert!(!batch.open());
        assert_eq!((batch.changes.len(), batch.others.len(), batch.last), (1, 1, 2));

        let mut batch = Batch::default();
        inbox.take(InSync::default().into(), &mut batch).unwrap();
        assert!(!batch.open() && batch.last == 0);
    }

    #[test]
    fn how_far_a_kind_was_seen_goes_with_its_object() {
        let (mut inbox, mut batch) = (Inbox::default(), Batch::default());
        let delete = |frame: u64, kind: &str, seen: &str| -> DownFrame {
            Delete { frame, kind: kind.to_owned(), uid: "u".to_owned(), seen: seen.to_owned() }.into()
        };
        inbox.take(delete(1, "Pod", "12"), &mut batch).unwrap();
        inbox.take(delete(2, "Pod", ""), &mut batch).unwrap();
        inbox.take(delete(3, "Gadget", "12"), &mut batch).unwrap();
        inbox.take(delete(4, "Pod", &"9".repeat(10_000)), &mut batch).unwrap();
        let seen = Change::Seen { kind: "Pod".to_owned(), resource_version: "12".to_owned() };
        assert_eq!(batch.changes[0], seen);
        let others = batch.changes[1..].iter().all(|change| matches!(change, Change::Delete { .. }));
        assert!(others && batch.changes.len() == 5);
    }

    #[test]
    fn batches_are_bounded() {
        let (mut inbox, mut batch) = (Inbox::default(), Batch::default());
        let mut frame = 0;
        while batch.open() {
            frame += 1;
            inbox.take(delete(frame), &mut batch).unwrap();
        }
        assert_eq!(batch.changes.len(), MAX_FRAMES);
    }

    #[test]
    fn a_session_opens_once() {
        let refused = wire::Refused::default().into();
        let broken = Inbox::default().take(refused, &mut Batch::default()).unwrap_err();
        assert_eq!(broken, Broken::Unexpected("Refused"));
    }
}
