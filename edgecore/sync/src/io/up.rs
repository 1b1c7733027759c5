//! The sending loops: heartbeats, reports, journal, calls; and streams, which the cloud opens.

use std::time::Duration;

use edgecore_store::{JournalRow, ReportRow, StoreError};
use kit::faults::{self, Fault};
use link::Streams;
use wire::{Body, Call, Entry, Heartbeat, Report, UpFrame, call};

use super::session::{End, Session};
use crate::calls::{DEADLINE, question};

/// Rows read from the store at once: bodies of some kilobytes each.
const AT_ONCE: usize = 16;
/// A read that failed is tried again after so long.
const READ_AGAIN: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Heartbeats, in front of everything else.
    pub(super) async fn beat(&self) -> End {
        loop {
            let due = self.uplink().beats.due();
            self.clock().sleep_until(due).await;
            let Some(frame) = self.heartbeat() else { continue };
            if let Err(error) = self.sender.send_urgent(wire::encode(&UpFrame::from(frame))).await {
                return End::Link(error);
            }
        }
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        let mut uplink = self.uplink();
        let beat = uplink.beats.step(self.clock().elapsed())?;
        let mut frame = Heartbeat {
            seq: beat.seq,
            engine_alive: (self.sync.hooks.engine_alive)(),
            ..Heartbeat::default()
        };
        if beat.with_digest {
            match uplink.applied {
                Some(applied) => {
                    frame.applied = applied;
                    frame.digest = self.store().digest().0.to_vec();
                }
                // In the middle of a batch it would belong to no frame.
                None => uplink.beats.want_digest(),
            }
        }
        Some(frame)
    }

    /// Reports, as many in flight as the window holds.
    pub(super) async fn send_reports(&self) -> End {
        let mut news = self.store().watch_reports();
        loop {
            news.mark_unchanged();
            if let Err(end) = self.drain_reports().await {
                return end;
            }
            kit::select! {
                changed = news.changed() => if changed.is_err() { return End::Store(StoreError::Closed) },
                () = self.reports_moved.notified() => {}
            }
        }
    }

    async fn drain_reports(&self) -> Result<(), End> {
        loop {
            let (after, room) = {
                let uplink = self.uplink();
                (uplink.reports.after(), uplink.reports.room())
            };
            if room == 0 {
                return Ok(());
            }
            let rows = match self.store().pending_reports(after, room.min(AT_ONCE)) {
                Ok(rows) => rows,
                Err(error) => {
                    self.read_failed("reports", &error).await;
                    continue;
                }
            };
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                self.send_report(row).await?;
            }
        }
    }

    async fn send_report(&self, row: ReportRow) -> Result<(), End> {
        let ReportRow { id, key, uid, body, .. } = row;
        let now = self.clock().elapsed();
        if !self.uplink().reports.take(id, &format!("{}/{uid}", key.kind), now) {
            return Ok(());
        }
        let body = match Body::pack(&body) {
            Ok(body) => Some(body),
            Err(error) => {
                let reason = kit::errors::chain(&error);
                tracing::error!(%key, reason, "report cannot be sent");
                self.uplink().reports.done(id);
                return self.insist("give up a report", || self.store().report_refused(id, &reason)).await;
            }
        };
        if faults::on(Fault::OutboxEmptiedAtSend) {
            self.insist("empty the outbox", || self.store().reports_acked(vec![id])).await?;
        }
        let kind = key.kind.name().to_owned();
        self.send(Report { id, kind, namespace: key.namespace, name: key.name, uid, body }).await
    }

    /// Journal entries, of each stream as many in flight as its window holds.
    pub(super) async fn send_journal(&self) -> End {
        let mut news = self.store().watch_journal();
        loop {
            news.mark_unchanged();
            if let Err(end) = self.drain_journal().await {
                return end;
            }
            kit::select! {
                changed = news.changed() => if changed.is_err() { return End::Store(StoreError::Closed) },
                () = self.journal_moved.notified() => {}
            }
        }
    }

    /// A few of each stream in turn, until nothing waits or there is no room.
    async fn drain_journal(&self) -> Result<(), End> {
        let mut moved = true;
        while moved {
            moved = false;
            let streams = self.read("the journal", || self.store().journal_streams()).await?;
            for stream in streams {
                moved |= self.send_some(&stream).await?;
            }
        }
        Ok(())
    }

    /// A few entries of one stream; answers whether there were any.
    async fn send_some(&self, stream: &str) -> Result<bool, End> {
        let (after, most) = {
            let mut uplink = self.uplink();
            let sending = uplink.journal.stream(stream);
            (*sending.after(), sending.room().min(AT_ONCE))
        };
        if most == 0 {
            return Ok(false);
        }
        let waiting = self.read("the journal", || self.store().journal_waiting(stream, &after, most)).await?;
        let picked = self.uplink().journal.stream(stream).pick(&waiting, most, self.clock().elapsed());
        let rows = self.read("the journal", || self.store().journal_rows(&picked)).await?;
        // Some may have been dropped or have expired meanwhile.
        for seq in &picked {
            if !rows.iter().any(|row| row.seq == *seq) {
                self.uplink().journal.done(*seq);
            }
        }
        for row in rows {
            self.send_entry(row).await?;
        }
        Ok(!picked.is_empty())
    }

    async fn send_entry(&self, row: JournalRow) -> Result<(), End> {
        let seq = row.seq;
        let body = match Body::pack(&row.body) {
            Ok(body) => Some(body),
            Err(error) => {
                let reason = kit::errors::chain(&error);
                self.uplink().journal.done(seq);
                return self.insist("give up a message", || self.store().journal_refused(seq, &reason)).await;
            }
        };
        if faults::on(Fault::JournalEmptiedAtSend) {
            self.insist("empty the journal", || self.store().journal_acked(vec![seq])).await?;
        }
        let time_ms = row.at.corrected(&self.store().stamp()).0;
        let millis = |life: Duration| u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        self.send(Entry {
            seq,
            stream: row.stream,
            time_ms,
            priority: row.priority.into(),
            expires_after_ms: row.expires_after.map_or(0, millis),
            body,
        })
        .await
    }

    /// Calls for tokens that pods want, have lost, or will need soon.
    pub(super) async fn call_for_tokens(&self) -> End {
        let mut news = self.store().watch_tokens();
        loop {
            news.mark_unchanged();
            let wanted = match self.store().wanted_tokens() {
                Ok(wanted) => wanted,
                Err(error) => {
                    self.read_failed("tokens", &error).await;
                    continue;
                }
            };
            let due = self.uplink().calls.step(&wanted, &self.store().stamp(), kit::random::unit());
            for key in due.late {
                self.sync.metrics.token("late");
                self.store().note_token_refused(&key, "the cloud did not answer in time");
            }
            for (id, key) in due.send {
                let deadline_ms = u32::try_from(DEADLINE.as_millis()).unwrap_or(u32::MAX);
                let request = Some(call::Request::Token(question(&key)));
                if let Err(end) = self.send(Call { id, deadline_ms, request }).await {
                    return end;
                }
            }
            let wake = async {
                match due.wake {
                    Some(at) => self.clock().sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            kit::select! {
                changed = news.changed() => if changed.is_err() { return End::Store(StoreError::Closed) },
                () = self.calls_moved.notified() => {}
                () = wake => {}
            }
        }
    }

    /// Hands on what the cloud opens. That the connection ended is told by the receiving loop, with the reason.
    pub(super) async fn take_streams(&self, streams: &mut Streams) -> End {
        loop {
            match streams.accept().await {
                Ok(Some(stream)) => (self.sync.hooks.stream)(stream),
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Reads from the store, and tries again for as long as it takes.
    async fn read<T>(&self, what: &str, read: impl Fn() -> Result<T, StoreError>) -> Result<T, End> {
        loop {
            match read() {
                Ok(found) => return Ok(found),
                Err(StoreError::Closed) => return Err(End::Store(StoreError::Closed)),
                Err(error) => self.read_failed(what, &error).await,
            }
        }
    }

    async fn read_failed(&self, what: &str, error: &StoreError) {
        let error = kit::errors::chain(error);
        tracing::warn!(error, "cannot read {what}; trying again");
        self.clock().sleep(READ_AGAIN).await;
    }
}
