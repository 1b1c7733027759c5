//! What goes into the store and comes out of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kit::{Elapsed, Masked, WallTime};
use wire::{Digest, ObjectKey, Uid, Version};

/// When something happened, in all the ways that may be needed to tell later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Boot of the machine in which it happened; elapsed times compare only within one.
    pub boot_id: String,
    /// Time since that boot.
    pub elapsed: Elapsed,
    /// Wall time as it was believed then.
    pub wall: WallTime,
    /// Whether that wall time had been confirmed by the cloud.
    pub trusted: bool,
}

impl Stamp {
    /// How long ago this was, seen from `now`. Elapsed time where both are of one boot; else the difference of wall
    /// times where both are trusted; else `None`: nobody knows.
    pub fn age(&self, now: &Self) -> Option<Duration> {
        if self.boot_id == now.boot_id {
            return Some(now.elapsed.since(self.elapsed));
        }
        let both = self.trusted && now.trusted;
        both.then(|| {
            Duration::from_millis(u64::try_from(now.wall.0.saturating_sub(self.wall.0)).unwrap_or(0))
        })
    }

    /// The wall time this happened at, as well as it is known now: corrected by what was learned since, where both
    /// are of one boot.
    pub fn corrected(&self, now: &Self) -> WallTime {
        if self.boot_id == now.boot_id && now.trusted {
            let age = i64::try_from(now.elapsed.since(self.elapsed).as_millis()).unwrap_or(i64::MAX);
            return now.wall.plus_millis(age.saturating_neg());
        }
        self.wall
    }
}

/// Who the store is and what it knows of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Random, made with the store: another one means the state was lost.
    pub store_id: String,
    /// UID of the cluster's `kube-system` namespace; none before the first session.
    pub cluster_id: Option<String>,
    /// UID of the Node object; none before it is known.
    pub node_uid: Option<Uid>,
    /// Epoch of the last session; 0 before the first.
    pub last_epoch: u64,
    /// Whether what is here was ever known to be whole (a `SyncPoint` or `InSync` held). Before that, absence of an
    /// object means nothing.
    pub first_sync_done: bool,
    /// Where the cloud may be reached, as the cloud said last; empty before.
    pub endpoints: Vec<String>,
    /// Highest resourceVersion seen, by kind.
    pub seen: Vec<(String, String)>,
    /// CA certificates (PEM) as the cloud said last.
    pub trust_bundle: Option<String>,
    /// Latest wall time that the cloud confirmed, milliseconds since 1970; 0 before.
    pub last_trusted_ms: i64,
    /// Projection that the versions here were made by; 0 before the first session.
    pub projection_version: u32,
    /// Version of the agent that wrote last; empty before.
    pub agent_version: String,
}

/// What a `Welcome` says that must survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcomed {
    /// UID of `kube-system`.
    pub cluster_id: String,
    /// Number of the session.
    pub epoch: u64,
    /// Endpoints; empty means unchanged.
    pub endpoints: Vec<String>,
    /// CA certificates; `None` means unchanged.
    pub trust_bundle: Option<String>,
    /// UID of the Node object; `None` where there is none yet.
    pub node_uid: Option<Uid>,
    /// Projection the cloud's versions are made by.
    pub projection_version: u32,
}

/// An object as the cloud wants it.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is called.
    pub key: ObjectKey,
    /// UID in the cluster.
    pub uid: Uid,
    /// Version of `body`.
    pub version: Version,
    /// Canonical JSON.
    pub body: Arc<[u8]>,
    /// No longer wanted, and kept only because of what still runs: a Pod until it is retired
    /// ([`crate::Store::retire_pod`]), a ConfigMap, Secret or ServiceAccount as long as a pod names it.
    pub deleting: bool,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("key", &self.key)
            .field("uid", &self.uid)
            .field("version", &self.version)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("deleting", &self.deleting)
            .finish()
    }
}

/// A change of what the cloud wants.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// An object as it should be.
    Upsert {
        /// What it is called.
        key: ObjectKey,
        /// UID in the cluster.
        uid: Uid,
        /// Hash of `body`.
        version: Version,
        /// Canonical JSON.
        body: Vec<u8>,
    },
    /// An object that should no longer be there.
    Delete {
        /// Kind, by name: it may be one that this release does not know.
        kind: String,
        /// UID in the cluster.
        uid: Uid,
    },
    /// An object that cannot be applied: it counts as held in this version, and what was held before stays in use.
    Reject {
        /// Kind, by name.
        kind: String,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// UID in the cluster.
        uid: Uid,
        /// The version rejected.
        version: Version,
        /// Why, for people.
        reason: String,
    },
    /// How far the cloud had seen a kind when it sent the change that comes with this one.
    Seen {
        /// Kind, by name.
        kind: String,
        /// resourceVersion as the cloud wrote it.
        resource_version: String,
    },
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upsert { key, uid, version, .. } => write!(f, "Upsert({key}, {uid}, {version})"),
            Self::Delete { kind, uid } => write!(f, "Delete({kind}, {uid})"),
            Self::Reject { kind, uid, version, reason, .. } => {
                write!(f, "Reject({kind}, {uid}, {version}, {reason:?})")
            }
            Self::Seen { kind, resource_version } => write!(f, "Seen({kind}, {resource_version})"),
        }
    }
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Digest of what is held now.
    pub digest: Digest,
    /// Number of objects in it.
    pub count: u32,
    /// Changes of the batch that changed anything.
    pub changed: usize,
}

/// What the edge holds of one object: what it answers when asked for its inventory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// Kind, by name.
    pub kind: String,
    /// UID.
    pub uid: Uid,
    /// Version held or rejected.
    pub version: Version,
    /// Why it was rejected, where it was.
    pub rejected: Option<String>,
}

/// A report that the cloud has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// Id, growing within the store.
    pub id: u64,
    /// What it is about.
    pub key: ObjectKey,
    /// UID of that; empty for a Node not registered yet.
    pub uid: Uid,
    /// [`wire::owned::report_hash`] of `body`.
    pub hash: Version,
    /// Canonical JSON.
    pub body: Vec<u8>,
}

/// Which token: exactly the values of one projection in a pod's spec.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey {
    /// UID of the pod it is bound to.
    pub pod_uid: Uid,
    /// Namespace of pod and service account.
    pub namespace: String,
    /// Name of the pod.
    pub pod_name: String,
    /// Service account.
    pub service_account: String,
    /// Audiences; empty means the API server's own.
    pub audiences: Vec<String>,
    /// Seconds of life wanted.
    pub expiration_seconds: i64,
}

/// A service-account token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token itself.
    pub token: Masked<String>,
    /// When it arrived.
    pub issued: Stamp,
    /// When it expires, as the API server said.
    pub expires: WallTime,
    /// How long it lives from `issued` on.
    pub life: Duration,
}

impl Token {
    /// Whether it is time for a new one: four fifths of its life are over, or nobody knows how old it is.
    pub fn wants_renewal(&self, now: &Stamp) -> bool {
        self.issued.age(now).is_none_or(|age| age >= self.life.mul_f64(0.8))
    }

    /// Whether its nominal life is over, as far as anybody can tell.
    pub fn expired(&self, now: &Stamp) -> bool {
        self.issued.age(now).is_some_and(|age| age >= self.life)
    }
}

/// A token that a pod wants, with the one it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedToken {
    /// Which.
    pub key: TokenKey,
    /// What there is, if anything.
    pub token: Option<Token>,
}

/// The highest priority of a journal entry; the lowest is 0.
pub const HIGHEST_PRIORITY: u8 = 9;

/// Something to be kept in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Which stream: `events`, `messages` or `readings`.
    pub stream: &'static str,
    /// 0 (sent last, may be dropped first) to 9. Entries of one stream and one priority stay in order.
    pub priority: u8,
    /// Of no use after so long; `None` means never.
    pub expires_after: Option<Duration>,
    /// The content, JSON.
    pub body: Vec<u8>,
}

/// A journal entry that the cloud has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Sequence number; with the store's id the entry's identity for ever.
    pub seq: u64,
    /// Stream.
    pub stream: String,
    /// When it happened.
    pub at: Stamp,
    /// 0 to 9.
    pub priority: u8,
    /// Of no use after so long.
    pub expires_after: Option<Duration>,
    /// The content, JSON.
    pub body: Vec<u8>,
}

/// Accounts of one stream: `produced = delivered + superseded + expired + dropped + queued`, always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerRow {
    /// `reports`, or a stream of the journal.
    pub stream: String,
    /// Taken in.
    pub produced: u64,
    /// Taken by the cloud.
    pub delivered: u64,
    /// Replaced by a later value before it was delivered.
    pub superseded: u64,
    /// Of no use any more before it was delivered.
    pub expired: u64,
    /// Given up, by reason.
    pub dropped: Vec<(String, u64)>,
    /// Still here.
    pub queued: u64,
    /// Bytes of bodies on the disk; of reports also those delivered, which are kept as the last word.
    pub bytes: u64,
}

/// Something the cloud refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `reports`, or a stream of the journal.
    pub stream: String,
    /// The object reported on, or the entry.
    pub about: String,
    /// Why, by the cloud's words.
    pub reason: String,
    /// When, by the wall clock of the edge.
    pub at: WallTime,
}

impl LedgerRow {
    /// Whether the accounts are in balance.
    pub fn balanced(&self) -> bool {
        let dropped: u64 = self.dropped.iter().map(|(_, n)| n).sum();
        self.produced == self.delivered + self.superseded + self.expired + dropped + self.queued
    }
}
