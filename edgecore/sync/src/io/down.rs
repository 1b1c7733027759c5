//! The receiving loop.

use std::sync::Arc;

use edgecore_store::Change;
use futures::FutureExt;
use kit::faults::{self, Fault};
use link::FrameReceiver;
use wire::down_frame::Content;
use wire::{
    Ack, CallReply, Digest, EntryAck, Inventory, InventoryItem, KindVersion, Mismatch, Picked,
    ReportInventory, ReportItem, WantInventory, WantReports,
};

use super::session::{End as SessionEnd, Session, closed};
use crate::calls;
use crate::inbox::{Batch, End, Inbox};

/// Items in one frame of an inventory: some 70 bytes each, or 32 in a group.
const PART: usize = 1000;

impl Session<'_> {
    /// Takes frames until the session ends.
    pub(super) async fn receive(&self, receiver: &mut FrameReceiver) -> SessionEnd {
        let mut inbox = Inbox::default();
        let mut frame = 0;
        loop {
            let (batch, end) = match gather(&mut inbox, receiver).await {
                Ok(gathered) => gathered,
                Err(end) => return end,
            };
            frame = frame.max(batch.last);
            if let Err(end) = self.commit(batch, frame).await {
                return end;
            }
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Applies a batch, answers, and does what it ends with. `frame` is the last one of the session.
    async fn commit(&self, batch: Batch, frame: u64) -> Result<(), SessionEnd> {
        let Batch { changes, rejected, last, others, end, .. } = batch;
        if last > 0 && faults::on(Fault::AckedBeforeCommit) {
            self.send(Ack { frame: last, rejected: rejected.clone() }).await?;
        }
        if !changes.is_empty() {
            self.uplink().applied = None;
            let count = changes.iter().filter(|change| !matches!(change, Change::Seen { .. })).count();
            let since = self.clock().elapsed();
            let changes: Arc<[Change]> = changes.into();
            self.insist("apply what the cloud sent", || self.store().apply(Arc::clone(&changes))).await?;
            self.sync.metrics.applied(count, rejected.len(), self.clock().elapsed().since(since));
        }
        self.uplink().applied = Some(frame);
        for other in others {
            self.take(other).await?;
        }
        if last > 0 {
            self.send(Ack { frame: last, rejected }).await?;
        }
        match end {
            Some(End::Point(point)) => {
                self.compare(frame, &point.digest, Some(point.count), point.seen).await
            }
            Some(End::InSync(sync)) => self.compare(frame, &sync.digest, None, sync.seen).await,
            Some(End::WantInventory(want)) => self.send_inventory(&want).await,
            Some(End::GoAway(bye)) => {
                let wait = std::time::Duration::from_millis(bye.retry_after_ms.into());
                let retry_after = Some(wait).filter(|wait| !wait.is_zero());
                Err(SessionEnd::GoAway { reason: bye.reason, retry_after })
            }
            None => Ok(()),
        }
    }

    /// Compares what is here with what the cloud says should be.
    async fn compare(
        &self,
        frame: u64,
        digest: &[u8],
        count: Option<u32>,
        seen: Vec<KindVersion>,
    ) -> Result<(), SessionEnd> {
        let (ours, our_count) = self.store().digest();
        if Digest::from_slice(digest) == Some(ours) && count.is_none_or(|count| count == our_count) {
            let seen: Vec<_> = seen.into_iter().map(|of| (of.kind, of.resource_version)).collect();
            self.insist("note that all is here", || self.store().sync_point(seen.clone())).await?;
            self.in_sync();
            return Ok(());
        }
        tracing::warn!(frame, count = our_count, wanted = ?count, "what is here differs from what the cloud wants: comparing");
        self.sync.metrics.mismatch();
        self.uplink().resync = "mismatch";
        self.out_of_sync();
        self.send(Mismatch { frame, digest: ours.to_vec(), count: our_count }).await
    }

    async fn send_inventory(&self, want: &WantInventory) -> Result<(), SessionEnd> {
        // What is asked for after the digests belongs to the same comparison.
        if want.wanted.is_empty() {
            self.sync.metrics.resync(self.uplink().resync);
        }
        self.out_of_sync();
        let held = self.insist("read the inventory", || std::future::ready(self.store().inventory())).await?;
        let items = held.into_iter().map(|held| InventoryItem {
            kind: held.kind,
            uid: held.uid,
            version: held.version.to_vec(),
        });
        let items = match want.pick(items.collect()) {
            Some(Picked::Objects(items)) => items,
            Some(Picked::Digests(digests)) => {
                return self.send(Inventory { digests, last: true, ..Inventory::default() }).await;
            }
            None => return Err(SessionEnd::Broken(format!("it asked for {} buckets", want.buckets))),
        };
        for (items, last) in parts(items) {
            let part = if self.compact {
                Inventory::grouped(items, last)
            } else {
                Inventory { items, last, ..Inventory::default() }
            };
            self.send(part).await?;
        }
        Ok(())
    }

    async fn send_report_inventory(&self) -> Result<(), SessionEnd> {
        let held =
            self.insist("read the reports", || std::future::ready(self.store().reports_inventory())).await?;
        let items = held.into_iter().map(|held| ReportItem {
            kind: held.kind,
            uid: held.uid,
            hash: held.version.to_vec(),
        });
        for (items, last) in parts(items.collect()) {
            self.send(ReportInventory { items, last }).await?;
        }
        Ok(())
    }

    /// Frames that concern what the edge sent. Where the store fails, what was sent stays pending and goes out again:
    /// the cloud takes it twice as once.
    async fn take(&self, content: Content) -> Result<(), SessionEnd> {
        match content {
            Content::HeartbeatAck(ack) => self.beaten(&ack.digest),
            Content::ReportAck(ack) => {
                ack.ids.iter().for_each(|id| self.report_answered(*id));
                tolerate("note delivered reports", self.store().reports_acked(ack.ids).await);
                self.reports_moved.notify_one();
            }
            Content::ReportRefused(refused) => {
                tracing::info!(id = refused.id, reason = refused.reason, "the cloud refused a report");
                self.report_answered(refused.id);
                tolerate(
                    "note a refused report",
                    self.store().report_refused(refused.id, &refused.reason).await,
                );
                self.reports_moved.notify_one();
            }
            Content::WantReports(wanted) => self.want_reports(wanted).await?,
            Content::CallReply(reply) => self.replied(reply).await,
            Content::EntryAck(ack) => self.entries_taken(ack).await,
            Content::Welcome(_)
            | Content::Refused(_)
            | Content::InSync(_)
            | Content::WantInventory(_)
            | Content::Upsert(_)
            | Content::Delete(_)
            | Content::SyncPoint(_)
            | Content::GoAway(_) => {}
        }
        Ok(())
    }

    /// A place in the window is free.
    fn report_answered(&self, id: u64) {
        let sent = self.uplink().reports.done(id);
        if let Some(sent) = sent {
            self.sync.metrics.acknowledged(edgecore_store::REPORTS, self.clock().elapsed().since(sent));
        }
    }

    /// The cloud's idea of our digest. Its answers overtake its frames, so only the cloud can tell whether it is off.
    fn beaten(&self, theirs: &[u8]) {
        let settled = self.uplink().applied.is_some();
        let differs = Digest::from_slice(theirs).is_some_and(|theirs| theirs != self.store().digest().0);
        if settled && differs {
            self.uplink().beats.want_digest();
        }
    }

    async fn want_reports(&self, wanted: WantReports) -> Result<(), SessionEnd> {
        if wanted.inventory {
            self.send_report_inventory().await?;
        }
        if !wanted.uids.is_empty() {
            tolerate("send reports again", self.store().resend(wanted.uids).await);
            self.uplink().reports.rewind();
            self.reports_moved.notify_one();
        }
        Ok(())
    }

    async fn replied(&self, reply: CallReply) {
        let Some(key) = self.uplink().calls.answered(reply.id) else { return };
        let fate = match calls::read(reply.result, self.clock().wall()) {
            Ok(issued) => self
                .store()
                .put_token(&key, issued.token, issued.expires, issued.life)
                .await
                .map_err(|error| kit::errors::chain(&error)),
            Err(reason) => Err(reason),
        };
        let now = self.clock().elapsed();
        match fate {
            Ok(_) => {
                self.sync.metrics.token("issued");
                self.uplink().calls.succeeded(key, now);
            }
            Err(reason) => {
                tracing::warn!(pod = key.pod_name, namespace = key.namespace, reason, "no token");
                self.sync.metrics.token("failed");
                self.store().note_token_refused(&key, &reason);
                self.uplink().calls.failed(key, now, kit::random::unit());
            }
        }
        self.calls_moved.notify_one();
    }

    async fn entries_taken(&self, ack: EntryAck) {
        for seq in &ack.seqs {
            if let Some((stream, sent)) = self.uplink().journal.done(*seq) {
                self.sync.metrics.acknowledged(stream, self.clock().elapsed().since(sent));
            }
        }
        let (refused, taken): (Vec<u64>, Vec<u64>) =
            ack.seqs.into_iter().partition(|seq| ack.refused.contains(seq));
        tolerate("note delivered messages", self.store().journal_acked(taken).await);
        for seq in refused {
            let at = ack.refused.iter().position(|refused| *refused == seq);
            let reason = at.and_then(|at| ack.reasons.get(at)).map_or("no reason given", String::as_str);
            tolerate("note a refused message", self.store().journal_refused(seq, reason).await);
        }
        self.journal_moved.notify_one();
    }
}

/// Waits for a frame and takes everything that is there with it. Where the connection ended behind them, says so.
async fn gather(
    inbox: &mut Inbox,
    receiver: &mut FrameReceiver,
) -> Result<(Batch, Option<SessionEnd>), SessionEnd> {
    let mut batch = Batch::default();
    let mut next = receiver.recv().await;
    loop {
        match next {
            Ok(Some(bytes)) => {
                let frame = wire::decode_down(&bytes)
                    .map_err(|error| SessionEnd::Broken(kit::errors::chain(&error)))?;
                inbox.take(frame, &mut batch).map_err(|error| SessionEnd::Broken(error.to_string()))?;
            }
            Ok(None) => return Ok((batch, Some(closed(receiver)))),
            Err(error) => return Ok((batch, Some(SessionEnd::Link(error)))),
        }
        if !batch.open() {
            return Ok((batch, None));
        }
        match receiver.recv().now_or_never() {
            Some(ready) => next = ready,
            None => return Ok((batch, None)),
        }
    }
}

/// Cuts a list into parts, the last of which says so; an empty list is one empty part.
fn parts<T>(items: Vec<T>) -> Vec<(Vec<T>, bool)> {
    let mut parts = Vec::with_capacity(items.len() / PART + 1);
    let mut items = items.into_iter().peekable();
    loop {
        let part: Vec<T> = items.by_ref().take(PART).collect();
        let last = items.peek().is_none();
        parts.push((part, last));
        if last {
            return parts;
        }
    }
}

/// Notes a failure that heals itself.
fn tolerate(what: &str, done: Result<(), edgecore_store::StoreError>) {
    if let Err(error) = done {
        let error = kit::errors::chain(&error);
        tracing::warn!(error, "cannot {what}; it will come again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_part_and_the_last_says_so() {
        for count in [0, 1, PART, PART + 1, 3 * PART] {
            let parts = parts((0..count).collect());
            assert_eq!(parts.iter().filter(|(_, last)| *last).count(), 1);
            assert!(parts.last().is_some_and(|(_, last)| *last));
            assert!(parts.iter().all(|(part, _)| part.len() <= PART));
            let all: Vec<usize> = parts.into_iter().flat_map(|(part, _)| part).collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
