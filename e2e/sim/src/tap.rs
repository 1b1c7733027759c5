//! Listens on one connection: whether what is acknowledged was true when it was said; and plays a newer cloud, which
//! packs some bodies in a way that this release does not know.

use wire::{Digest, Version, down_frame, up_frame};

use crate::judge::Judge;
use crate::net::{CLOUD, EDGE};
use crate::trace::{Trace, say};
use link::MemoryFrame;

/// How a newer release packs a body.
const UNKNOWN_ENCODING: i32 = 99;

/// What arrived at the edge of one object.
struct Told {
    frame: u64,
    kind: String,
    uid: String,
    /// None: it shall be gone.
    version: Option<Version>,
}

/// Listens on one connection.
pub(crate) struct Tap {
    judge: Judge,
    trace: Trace,
    id: u64,
    replica: usize,
    told: Vec<Told>,
}

impl Tap {
    pub(crate) const fn new(judge: Judge, trace: Trace, id: u64, replica: usize) -> Self {
        Self { judge, trace, id, replica, told: Vec::new() }
    }

    /// A frame leaves an end.
    pub(crate) fn sent(&self, from: usize, frame: MemoryFrame) -> MemoryFrame {
        if from == EDGE {
            self.left_the_edge(&frame);
            return frame;
        }
        Self::repacked(frame)
    }

    fn left_the_edge(&self, frame: &MemoryFrame) {
        let Ok(up) = wire::decode_up(&frame.bytes) else { return };
        match up.content {
            Some(up_frame::Content::Ack(ack)) => {
                say!(self.trace, "edge", "link {}: acknowledges frame {}", self.id, ack.frame);
                self.check(ack.frame);
            }
            Some(up_frame::Content::Report(report)) => {
                say!(
                    self.trace,
                    "edge",
                    "link {}: reports {} {} as {}",
                    self.id,
                    report.kind,
                    report.uid,
                    report.id
                );
            }
            Some(up_frame::Content::Entry(entry)) => {
                say!(self.trace, "edge", "link {}: sends entry {}", self.id, entry.seq);
            }
            Some(up_frame::Content::Mismatch(mismatch)) => {
                say!(self.trace, "edge", "link {}: differs at frame {}", self.id, mismatch.frame);
            }
            Some(up_frame::Content::Hello(hello)) => {
                let digest = Digest::from_slice(&hello.digest).unwrap_or_default();
                say!(self.trace, "edge", "link {}: hello, holds {} {digest}", self.id, hello.count);
            }
            _ => {}
        }
    }

    /// Whatever an acknowledged frame said is on the disk, unless a later one says something else.
    fn check(&self, acknowledged: u64) {
        for (at, told) in self.told.iter().enumerate().filter(|(_, told)| told.frame <= acknowledged) {
            let about = |other: &&Told| other.kind == told.kind && other.uid == told.uid;
            let later: Vec<&Told> = self.told.iter().skip(at + 1).filter(about).collect();
            if later.iter().any(|later| later.frame <= acknowledged) {
                continue;
            }
            let may_be: Vec<Option<Version>> =
                std::iter::once(told.version).chain(later.iter().map(|later| later.version)).collect();
            self.judge.acknowledged(told.frame, &told.kind, &told.uid, &may_be);
        }
    }

    /// Bodies of objects that only a newer release understands.
    fn repacked(frame: MemoryFrame) -> MemoryFrame {
        let Ok(mut down) = wire::decode_down(&frame.bytes) else { return frame };
        if let Some(down_frame::Content::Upsert(upsert)) = &mut down.content
            && upsert.name.starts_with("newer")
            && let Some(body) = &mut upsert.body
        {
            body.encoding = UNKNOWN_ENCODING;
            return MemoryFrame { bytes: wire::encode(&down), urgent: frame.urgent };
        }
        frame
    }

    /// A frame arrives at the other end.
    pub(crate) fn arrives(&mut self, from: usize, frame: &MemoryFrame) {
        if from != CLOUD {
            return;
        }
        let Ok(down) = wire::decode_down(&frame.bytes) else { return };
        match down.content {
            Some(down_frame::Content::Upsert(upsert)) => {
                say!(
                    self.trace,
                    "edge",
                    "link {}: frame {}, {} {}",
                    self.id,
                    upsert.frame,
                    upsert.kind,
                    upsert.uid
                );
                self.judge.sent(&upsert.uid, self.replica);
                let version = Version::from_slice(&upsert.version);
                self.told.push(Told { frame: upsert.frame, kind: upsert.kind, uid: upsert.uid, version });
            }
            Some(down_frame::Content::Delete(delete)) => {
                say!(
                    self.trace,
                    "edge",
                    "link {}: frame {}, delete {} {}",
                    self.id,
                    delete.frame,
                    delete.kind,
                    delete.uid
                );
                self.told.push(Told {
                    frame: delete.frame,
                    kind: delete.kind,
                    uid: delete.uid,
                    version: None,
                });
            }
            Some(down_frame::Content::Welcome(welcome)) => {
                say!(self.trace, "edge", "link {}: welcome, epoch {}", self.id, welcome.epoch);
            }
            Some(down_frame::Content::Refused(refused)) => {
                say!(self.trace, "edge", "link {}: refused, {}", self.id, refused.reason);
            }
            Some(down_frame::Content::GoAway(bye)) => {
                say!(self.trace, "edge", "link {}: go away, {}", self.id, bye.reason);
            }
            Some(down_frame::Content::SyncPoint(point)) => {
                say!(self.trace, "edge", "link {}: sync point {}", self.id, point.frame);
            }
            Some(down_frame::Content::InSync(_)) => say!(self.trace, "edge", "link {}: in sync", self.id),
            Some(down_frame::Content::ReportAck(ack)) => {
                say!(self.trace, "edge", "link {}: reports {:?} taken", self.id, ack.ids);
            }
            _ => {}
        }
    }
}
