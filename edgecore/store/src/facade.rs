//! [`Store`]: every call there is, each handed to the module that knows how.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kit::{Clock, Masked, WallTime};
use tokio::sync::watch;
use wire::{Digest, Kind, ObjectKey, Uid};

use crate::error::StoreError;
use crate::limits::Limits;
use crate::open::{self, Inner};
use crate::peek::{self, Peek};
use crate::types::{
    Applied, Change, Held, JournalEntry, JournalRow, LedgerRow, Meta, Object, Refusal, ReportRow, Stamp,
    Token, TokenKey, WantedToken, Welcomed,
};
use crate::{journal, ledger, objects, pods, refusals, reports, tokens};

/// The store. Clones are one and the same; the last one closes it.
///
/// What writes is `async` and returns when it is on the disk. What reads is short and synchronous.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// A store, opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// It was made just now: it knows nothing of what may be running.
    pub fresh: bool,
    /// Where a corrupt predecessor went.
    pub set_aside: Option<PathBuf>,
}

// === opening, identity ===

impl Store {
    /// Opens the store in a directory, or makes one.
    pub fn open(dir: &Path, clock: Clock) -> Result<Opened, StoreError> {
        Self::open_with(dir, clock, Limits::default())
    }

    /// As [`Store::open`], with other limits than the usual ones. A stream that holds more than it now may is brought
    /// below its cap by the next entry.
    pub fn open_with(dir: &Path, clock: Clock, limits: Limits) -> Result<Opened, StoreError> {
        let boot_id = open::machine_boot_id()?;
        Self::open_in_boot_with(dir, clock, &boot_id, limits)
    }

    /// As [`Store::open`], with the boot id given: for tests in which machines reboot.
    pub fn open_in_boot(dir: &Path, clock: Clock, boot_id: &str) -> Result<Opened, StoreError> {
        Self::open_in_boot_with(dir, clock, boot_id, Limits::default())
    }

    /// As [`Store::open_with`], with the boot id given.
    pub fn open_in_boot_with(
        dir: &Path,
        clock: Clock,
        boot_id: &str,
        limits: Limits,
    ) -> Result<Opened, StoreError> {
        let opened = open::open(dir, clock, boot_id, limits)?;
        Ok(Opened {
            store: Self { inner: Arc::new(opened.inner) },
            fresh: opened.fresh,
            set_aside: opened.set_aside,
        })
    }

    /// As [`Store::open_in_boot`], for a simulation, which also runs the task that writes.
    #[cfg(feature = "testing")]
    pub fn open_simulated(
        dir: &Path,
        clock: Clock,
        boot_id: &str,
    ) -> Result<(Opened, impl Future<Output = ()> + use<>), StoreError> {
        let (opened, writer) = open::open_simulated(dir, clock, boot_id)?;
        let store = Self { inner: Arc::new(opened.inner) };
        Ok((Opened { store, fresh: opened.fresh, set_aside: opened.set_aside }, writer))
    }

    /// Boot id of the machine, as `Hello` wants it.
    pub fn boot_id(&self) -> &str {
        &self.inner.boot_id
    }

    /// Now, in the form in which rows carry times.
    pub fn stamp(&self) -> Stamp {
        self.inner.stamp()
    }

    /// Returns when the file turned out to be damaged: the process should end, and its next start sets it aside.
    pub async fn damaged(&self) -> StoreError {
        self.inner.damaged().await
    }

    /// Who the store is and what it knows of the cluster.
    pub fn meta(&self) -> Meta {
        self.inner.state().meta
    }

    /// Keeps what a `Welcome` said.
    pub async fn set_welcome(&self, welcomed: Welcomed) -> Result<(), StoreError> {
        self.inner.write(move |work| work.welcome(&welcomed)).await
    }

    /// Keeps the UID of the Node object.
    pub async fn set_node_uid(&self, uid: &str) -> Result<(), StoreError> {
        let uid = Some(uid.to_owned()).filter(|uid| !uid.is_empty());
        self.inner
            .write(move |work| {
                work.state.meta.node_uid = uid;
                Ok(())
            })
            .await
    }

    /// Says which agent runs. A new agent may understand what an older one rejected: rejections are forgotten, so that
    /// the cloud sends those objects again.
    pub async fn set_agent(&self, version: &str) -> Result<(), StoreError> {
        let version = version.to_owned();
        self.inner.write(move |work| objects::set_agent(work, &version)).await
    }
}

// === objects ===

impl Store {
    /// Applies a batch in one transaction; only `sync` calls this. Behind an `Arc` it can be tried again cheaply.
    pub async fn apply(&self, batch: impl Into<Arc<[Change]>>) -> Result<Applied, StoreError> {
        let batch = batch.into();
        self.inner.write(move |work| objects::apply(work, &batch)).await
    }

    /// What is held is whole: the digests agreed. `seen` are resourceVersions by kind.
    pub async fn sync_point(&self, seen: Vec<(String, String)>) -> Result<(), StoreError> {
        self.inner
            .write(move |work| {
                work.sync_point(seen);
                Ok(())
            })
            .await
    }

    /// Digest and number of the objects held.
    pub fn digest(&self) -> (Digest, u32) {
        let state = self.inner.state();
        (state.digest, state.count)
    }

    /// Every object of a kind that can be acted on, by namespace and name, older UIDs of a name first. Those no longer
    /// wanted but still in use are among them ([`Object::deleting`]).
    pub fn objects(&self, kind: Kind) -> Result<Vec<Object>, StoreError> {
        self.inner.read(|conn| objects::list(conn, &self.inner.seal, kind))
    }

    /// The object of that name; where several UIDs bear it, the newest one that is wanted.
    pub fn object(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        self.inner.read(|conn| objects::by_name(conn, &self.inner.seal, key))
    }

    /// The object of that UID.
    pub fn object_by_uid(&self, kind: Kind, uid: &str) -> Result<Option<Object>, StoreError> {
        self.inner.read(|conn| objects::by_uid(conn, &self.inner.seal, kind, uid))
    }

    /// What is held, rejected objects included: the rows that the digest is made of.
    pub fn inventory(&self) -> Result<Vec<Held>, StoreError> {
        self.inner.read(objects::inventory)
    }

    /// Grows with every change of objects of that kind, with every retired pod, and at the first sync point.
    pub fn watch(&self, kind: Kind) -> watch::Receiver<u64> {
        self.inner.watches.kind(kind).subscribe()
    }
}

// === the pod engine's memory ===

impl Store {
    /// Nothing of that pod is left on the machine: its row, tokens, state and report leave, and with them the
    /// ConfigMaps, Secrets and ServiceAccounts that only it kept. `false` where the pod is (again) wanted: then
    /// nothing leaves.
    pub async fn retire_pod(&self, uid: &str) -> Result<bool, StoreError> {
        let uid = uid.to_owned();
        self.inner.write(move |work| pods::retire(work, &uid)).await
    }

    /// What the pod engine remembers, by pod UID.
    pub fn pod_states(&self) -> Result<Vec<(Uid, Vec<u8>)>, StoreError> {
        self.inner.read(pods::states)
    }

    /// Remembers for the pod engine; `false` where that was remembered already and nothing was written.
    pub async fn put_pod_state(&self, uid: &str, state: &[u8]) -> Result<bool, StoreError> {
        let (uid, state) = (uid.to_owned(), state.to_vec());
        self.inner.write(move |work| pods::put_state(work, &uid, &state)).await
    }
}

// === reports ===

impl Store {
    /// Takes the latest state of something the edge owns, canonical JSON. `false` where it equals the last report, and
    /// nothing was written. At most one report of kind Node is kept, whatever its UID.
    pub async fn report(&self, key: ObjectKey, uid: &str, body: Vec<u8>) -> Result<bool, StoreError> {
        let uid = uid.to_owned();
        self.inner.write(move |work| reports::put(work, &key, &uid, &body)).await
    }

    /// Reports not taken by the cloud yet, with ids above `after`, oldest first.
    pub fn pending_reports(&self, after: u64, limit: usize) -> Result<Vec<ReportRow>, StoreError> {
        self.inner.read(|conn| reports::pending(conn, after, limit))
    }

    /// The cloud took these; a later report of the same key stays pending.
    pub async fn reports_acked(&self, ids: Vec<u64>) -> Result<(), StoreError> {
        self.inner.write(move |work| reports::acked(work, &ids)).await
    }

    /// The cloud will never take this one; it is not sent again.
    pub async fn report_refused(&self, id: u64, reason: &str) -> Result<(), StoreError> {
        let reason = reason.to_owned();
        self.inner.write(move |work| reports::refused(work, id, &reason)).await
    }

    /// Digest and number of the last reports of all keys, made as an object digest with the hash as version.
    pub fn reports_digest(&self) -> Result<(Digest, u32), StoreError> {
        let held = self.reports_inventory()?;
        let digest =
            held.iter().fold(Digest::EMPTY, |sum, item| sum.with(&item.kind, &item.uid, item.version));
        Ok((digest, u32::try_from(held.len()).unwrap_or(u32::MAX)))
    }

    /// Kind, UID and hash of the last report of each key.
    pub fn reports_inventory(&self) -> Result<Vec<Held>, StoreError> {
        self.inner.read(reports::inventory)
    }

    /// The last reports of these objects are pending again.
    pub async fn resend(&self, uids: Vec<Uid>) -> Result<(), StoreError> {
        self.inner.write(move |work| reports::resend(work, &uids)).await
    }

    /// The last report of the object of that name, whether or not the cloud took it.
    pub fn last_report(&self, key: &ObjectKey) -> Result<Option<ReportRow>, StoreError> {
        self.inner.read(|conn| reports::last(conn, key))
    }

    /// Drops the report of an object that is gone.
    pub async fn forget_report(&self, uid: &str) -> Result<(), StoreError> {
        let uid = uid.to_owned();
        self.inner.write(move |work| reports::forget(work, &uid)).await
    }

    /// Grows when a report becomes pending.
    pub fn watch_reports(&self) -> watch::Receiver<u64> {
        self.inner.watches.reports.subscribe()
    }
}

// === tokens ===

impl Store {
    /// A pod of this node wants a token; `false` where that was known, or the pod is not (any more) in the store.
    pub async fn want_token(&self, key: TokenKey) -> Result<bool, StoreError> {
        self.inner.write(move |work| tokens::want(work, &key)).await
    }

    /// The token, if there is one; it may be past its life.
    pub fn token(&self, key: &TokenKey) -> Result<Option<Token>, StoreError> {
        self.inner.read(|conn| tokens::get(conn, &self.inner.seal, key))
    }

    /// Every token wanted, with what there is.
    pub fn wanted_tokens(&self) -> Result<Vec<WantedToken>, StoreError> {
        self.inner.read(|conn| tokens::wanted(conn, &self.inner.seal))
    }

    /// Keeps a token that arrived now, in place of an older one. `false` where the pod is gone.
    pub async fn put_token(
        &self,
        key: &TokenKey,
        token: Masked<String>,
        expires: WallTime,
        life: Duration,
    ) -> Result<bool, StoreError> {
        self.inner.token_problem(key, None);
        let key = key.clone();
        self.inner.write(move |work| tokens::put(work, &key, &token, expires, life)).await
    }

    /// Why the cloud gave no token when it was last asked; forgotten when the process ends.
    pub fn token_refusal(&self, key: &TokenKey) -> Option<String> {
        self.inner.token_problems().get(key).cloned()
    }

    /// Remembers why the cloud gave no token.
    pub fn note_token_refused(&self, key: &TokenKey, reason: &str) {
        self.inner.token_problem(key, Some(reason.to_owned()));
    }

    /// Grows when a token is wanted, arrives, is refused or leaves.
    pub fn watch_tokens(&self) -> watch::Receiver<u64> {
        self.inner.watches.tokens.subscribe()
    }
}

// === journal, ledger ===

impl Store {
    /// Adds to the journal and returns the sequence number. Beyond the cap of its stream what is expired leaves, then
    /// what its policy says ([`crate::WhenFull`]); all of it is counted. [`StoreError::StreamFull`] and
    /// [`StoreError::TooLarge`] are the policy's answer: the entry is counted as produced and dropped.
    pub async fn append(&self, entry: JournalEntry) -> Result<u64, StoreError> {
        self.inner.write(move |work| journal::append(work, entry)).await.flatten()
    }

    /// Entries with sequence numbers above `after`, oldest first.
    pub fn journal(&self, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.inner.read(|conn| journal::entries(conn, after, limit))
    }

    /// Streams of the journal that hold something.
    pub fn journal_streams(&self) -> Result<Vec<String>, StoreError> {
        self.inner.read(ledger::queued)
    }

    /// What of a stream waits: by priority (index 0 is priority 0) the first `limit` sequence numbers above `after` of
    /// that priority.
    pub fn journal_waiting(
        &self,
        stream: &str,
        after: &[u64],
        limit: usize,
    ) -> Result<Vec<Vec<u64>>, StoreError> {
        self.inner.read(|conn| journal::waiting(conn, stream, after, limit))
    }

    /// These entries, in this order; those that are gone meanwhile are left out.
    pub fn journal_rows(&self, seqs: &[u64]) -> Result<Vec<JournalRow>, StoreError> {
        self.inner.read(|conn| journal::rows(conn, seqs))
    }

    /// The cloud has these for good.
    pub async fn journal_acked(&self, seqs: Vec<u64>) -> Result<(), StoreError> {
        self.inner.write(move |work| journal::acked(work, &seqs)).await
    }

    /// The cloud will never take this entry.
    pub async fn journal_refused(&self, seq: u64, reason: &str) -> Result<(), StoreError> {
        let reason = reason.to_owned();
        self.inner.write(move |work| journal::refused(work, seq, &reason)).await
    }

    /// Removes entries that are of no use any more, and counts them; answers whether there were any.
    pub async fn expire_journal(&self) -> Result<bool, StoreError> {
        self.inner.write(|work| journal::expire(work)).await
    }

    /// How long it is until [`Store::expire_journal`] has something to do, as far as is known now; `None` where nothing
    /// expires.
    pub fn next_expiry(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.stamp();
        self.inner.read(|conn| journal::next_expiry(conn, &now))
    }

    /// Grows when an entry is added.
    pub fn watch_journal(&self) -> watch::Receiver<u64> {
        self.inner.watches.journal.subscribe()
    }

    /// The accounts, by stream.
    pub fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        self.inner.read(|conn| ledger::rows(conn, &self.inner.limits))
    }

    /// The latest refusals, newest first.
    pub fn refusals(&self) -> Result<Vec<Refusal>, StoreError> {
        self.inner.read(refusals::list)
    }

    /// What the store of an agent that does not run says of itself; nothing is written, nor made where there is none.
    pub fn peek(dir: &Path, limits: &Limits) -> Result<Peek, StoreError> {
        peek::peek(dir, limits)
    }
}

#[cfg(test)]
impl Store {
    /// For tests that need a transaction of their own.
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}
