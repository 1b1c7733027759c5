//! One session's down side: what the edge holds, what it should hold, and what is sent in between. Pure.
//!
//! ```text
//! opened ──digests equal──▶ InSync ──▶ live
//!        └─else─▶ WantInventory ──inventory──▶ differences in a window ──▶ SyncPoint ──▶ live
//!                 (of buckets first, and then of those that differ, where the edge can)
//! live   ──changes──▶ Upsert, Delete, SyncPoint          ──drift, Mismatch──▶ WantInventory (backing off)
//! ```

mod comparing;
mod order;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cloudcore_index::{Object, Subscription};
use kit::faults::{self, Fault};
use kit::{Backoff, Elapsed};
use thiserror::Error;
use wire::{
    Ack, Buckets, Digest, DownFrame, Heartbeat, HeartbeatAck, InSync, Inventory, Kind, KindVersion, Mismatch,
    Rejected, SyncPoint, Version, WantInventory,
};

use crate::admit::Agreed;
use comparing::Comparing;

/// Frames sent and not acknowledged.
const WINDOW_FRAMES: usize = 64;
/// Bytes of them; one frame may go beyond.
const WINDOW_BYTES: usize = 256 << 10;
/// One acknowledged heartbeat in so many carries the digest.
const DIGEST_EVERY: u64 = 6;
/// First wait before an edge that differed is compared again, and the longest.
const COMPARE_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// The desired set, as the index has it.
pub trait Desired {
    /// An object of the set.
    fn get(&self, kind: Kind, uid: &str) -> Option<Arc<Object>>;
    /// Every object's version.
    fn snapshot(&self) -> Vec<(Kind, Arc<str>, Version)>;
    /// Whether what is not in the set is known not to belong there.
    fn may_delete(&self, kind: Kind, uid: &str) -> bool;
    /// Whether the set is still this session's: once a newer session has it, it looks empty from here.
    fn is_current(&self) -> bool;
    /// Whether no pod can be missing in the set.
    fn has_all_pods(&self) -> bool;
    /// The resourceVersions the set was read at.
    fn seen(&self) -> Vec<KindVersion>;
    /// The one of a kind, as new at least as whatever was taken of it before; empty where it is not known.
    fn seen_of(&self, kind: Kind) -> String;
}

impl Desired for Subscription {
    fn get(&self, kind: Kind, uid: &str) -> Option<Arc<Object>> {
        Self::get(self, kind, uid)
    }

    fn snapshot(&self) -> Vec<(Kind, Arc<str>, Version)> {
        Self::snapshot(self)
    }

    fn may_delete(&self, kind: Kind, uid: &str) -> bool {
        Self::may_delete(self, kind, uid)
    }

    fn is_current(&self) -> bool {
        Self::is_current(self)
    }

    fn has_all_pods(&self) -> bool {
        Self::has_all_pods(self)
    }

    fn seen(&self) -> Vec<KindVersion> {
        self.index().seen()
    }

    fn seen_of(&self, kind: Kind) -> String {
        self.index().seen_at_most(kind).map(|version| version.to_string()).unwrap_or_default()
    }
}

/// The edge did what no edge may do. The session ends with this reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the edge broke the protocol: {0}")]
pub struct Broken(pub String);

/// A frame to be sent, and what it counts as.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The frame.
    pub frame: DownFrame,
    /// Kind and operation, for a frame that carries an object.
    pub counts: Option<(Kind, &'static str)>,
}

type Key = (Kind, Arc<str>);

/// What an acknowledgement says.
#[derive(Debug, Clone, PartialEq)]
pub struct Acked {
    /// Objects that could not be applied.
    pub rejected: Vec<Rejected>,
    /// How long the first of the frames waited; none where nothing is acknowledged that was not before.
    pub waited: Option<Duration>,
}

/// A frame sent and not acknowledged.
#[derive(Debug)]
struct Sent {
    frame: u64,
    bytes: usize,
    at: Elapsed,
}

/// One session's down side.
#[derive(Debug)]
pub struct Session {
    kinds: BTreeSet<Kind>,
    /// The edge reads bodies that are packed by the dictionary.
    dictionary: bool,
    /// What the edge holds once everything sent is applied.
    held: BTreeMap<Key, Version>,
    digest: Digest,
    /// Objects of kinds that are not kept in step: they count in the edge's digest and are left alone.
    foreign: (Digest, u32),
    /// Keys that may differ from what is desired.
    dirty: BTreeSet<Key>,
    comparing: Option<Comparing>,
    compare_at: Option<Elapsed>,
    backoff: Backoff,
    last_frame: u64,
    unacked: VecDeque<Sent>,
    unacked_bytes: usize,
    sync_due: bool,
    /// No pod was in the edge's store when it was last compared, and no sync point came since. It may have been emptied
    /// while pods run there, and the first sync point lets it end those that it does not know: so all of them must be
    /// known before.
    podless: bool,
    drifts: u64,
    /// Up to which resourceVersion of each kind the edge knows for sure that the cloud has seen it: by its `Hello`, and by
    /// the objects of this session. What a `SyncPoint` says an edge keeps only where the digests agree.
    told_seen: BTreeMap<Kind, String>,
    /// What could not be sent at the last pump.
    lacking: Vec<Arc<Object>>,
}

impl Session {
    /// Opens a session with an edge that says it holds this, and last saw these resourceVersions. Answers the first frame.
    pub fn open(
        agreed: Agreed,
        digest: &[u8],
        count: u32,
        said: &[KindVersion],
        desired: &impl Desired,
    ) -> (Self, DownFrame) {
        let mut session = Self {
            kinds: agreed.kinds,
            dictionary: agreed.dictionary,
            held: BTreeMap::new(),
            digest: Digest::EMPTY,
            foreign: (Digest::EMPTY, 0),
            dirty: BTreeSet::new(),
            comparing: None,
            compare_at: None,
            backoff: Backoff::new(COMPARE_AGAIN.0, COMPARE_AGAIN.1),
            last_frame: 0,
            unacked: VecDeque::new(),
            unacked_bytes: 0,
            sync_due: false,
            podless: true,
            drifts: 0,
            told_seen: said
                .iter()
                .filter_map(|said| Some((Kind::parse(&said.kind)?, said.resource_version.clone())))
                .collect(),
            lacking: Vec::new(),
        };
        for (kind, uid, version) in desired.snapshot() {
            if session.kinds.contains(&kind) {
                session.hold((kind, uid), Some(version));
            }
        }
        session.podless = !session.holds_pods();
        let equal =
            Digest::from_slice(digest) == Some(session.digest) && count as usize == session.held.len();
        if equal && session.may_vouch(desired) {
            session.podless = false;
            let mut seen = desired.seen();
            // An edge keeps what it saw last of a kind that is not named.
            seen.retain(|of| !said.contains(of));
            let frame = InSync { digest: session.digest.to_vec(), seen }.into();
            return (session, frame);
        }
        // An edge may say that it holds whatever it likes: there are never more buckets than `MAX_BUCKETS`.
        let buckets = Buckets::best(count).filter(|_| agreed.compact);
        let frame = session.compare(buckets);
        (session, frame)
    }

    /// Forgets what the edge was believed to hold, and asks: for the digests of so many buckets, or for everything.
    fn compare(&mut self, buckets: Option<u32>) -> DownFrame {
        self.held.clear();
        self.digest = Digest::EMPTY;
        self.foreign = (Digest::EMPTY, 0);
        self.comparing = Some(Comparing::begin(buckets));
        WantInventory { buckets: buckets.unwrap_or_default(), wanted: Vec::new() }.into()
    }

    /// Keys changed in the index.
    pub fn changed(&mut self, keys: impl IntoIterator<Item = Key>) {
        let kinds = &self.kinds;
        self.dirty.extend(keys.into_iter().filter(|(kind, _)| kinds.contains(kind)));
    }

    /// A part of the inventory asked for. Answers what to ask for next.
    pub fn inventory(
        &mut self,
        part: Inventory,
        desired: &impl Desired,
    ) -> Result<Option<DownFrame>, Broken> {
        let Some(comparing) = &mut self.comparing else {
            return Err(Broken("an inventory that nobody asked for".to_owned()));
        };
        if let Some(buckets) = comparing.buckets.take() {
            return self.narrow(buckets, &part.digests, desired);
        }
        let last = part.last;
        comparing.take(part)?;
        if last {
            self.compared(desired);
        }
        Ok(None)
    }

    /// What is in the buckets whose digests are as they should be is held; what is in the others is asked for.
    fn narrow(
        &mut self,
        count: u32,
        theirs: &[u8],
        desired: &impl Desired,
    ) -> Result<Option<DownFrame>, Broken> {
        let wrong =
            || Broken(format!("{} bytes of digests where {count} buckets were asked for", theirs.len()));
        let mut ours = Buckets::new(count).ok_or_else(wrong)?;
        let mut set = desired.snapshot();
        set.retain(|(kind, ..)| self.kinds.contains(kind));
        for (kind, uid, version) in &set {
            ours.add(kind.name(), uid, *version);
        }
        let wanted = ours.differing(theirs).ok_or_else(wrong)?;
        for (kind, uid, version) in set {
            if wanted.binary_search(&ours.of(kind.name(), &uid)).is_err() {
                self.hold((kind, uid), Some(version));
            }
        }
        if wanted.is_empty() {
            self.compared(desired);
            return Ok(None);
        }
        Ok(Some(WantInventory { buckets: count, wanted }.into()))
    }

    /// The edge said all that it was asked for.
    fn compared(&mut self, desired: &impl Desired) {
        for (item, version) in self.comparing.take().unwrap_or_default().items {
            if let Some(kind) = Kind::parse(&item.kind).filter(|kind| self.kinds.contains(kind)) {
                self.hold((kind, Arc::from(item.uid)), Some(version));
            } else {
                self.foreign.0 = self.foreign.0.with(&item.kind, &item.uid, version);
                self.foreign.1 = self.foreign.1.saturating_add(1);
            }
        }
        self.podless = !self.holds_pods();
        self.dirty.extend(self.held.keys().cloned());
        self.changed(desired.snapshot().into_iter().map(|(kind, uid, _)| (kind, uid)));
        self.sync_due = true;
    }

    /// Everything up to a frame is on the edge's disk.
    pub fn ack(&mut self, ack: Ack, now: Elapsed) -> Result<Acked, Broken> {
        if ack.frame > self.last_frame {
            return Err(Broken(format!("frame {} acknowledged, of {} sent", ack.frame, self.last_frame)));
        }
        let mut waited = None;
        while let Some(sent) = self.unacked.pop_front_if(|sent| sent.frame <= ack.frame) {
            self.unacked_bytes = self.unacked_bytes.saturating_sub(sent.bytes);
            waited = waited.or_else(|| Some(now.since(sent.at)));
        }
        Ok(Acked { rejected: ack.rejected, waited })
    }

    /// Frames sent and not acknowledged, and their bytes, as the window counts them.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.unacked.len(), self.unacked_bytes)
    }

    /// At a sync point the edge held something else.
    pub fn mismatch(&mut self, mismatch: &Mismatch, now: Elapsed, random: f64) {
        // An earlier sync point than the last: what came after may have healed it, and the last one will tell.
        if mismatch.frame == self.last_frame {
            self.drifted(now, random);
        }
    }

    /// A beat. Answers what to say back.
    pub fn heartbeat(&mut self, beat: &Heartbeat, now: Elapsed, random: f64) -> HeartbeatAck {
        let quiet = self.is_quiet();
        if quiet && beat.applied == self.last_frame {
            match Digest::from_slice(&beat.digest) {
                Some(digest) if digest == self.told().0 => self.backoff.reset(),
                Some(_) => self.drifted(now, random),
                None => {}
            }
        }
        let digest =
            if quiet && beat.seq.is_multiple_of(DIGEST_EVERY) { self.told().0.to_vec() } else { Vec::new() };
        HeartbeatAck { seq: beat.seq, digest }
    }

    /// Nothing is under way, so both sides must hold the same.
    fn is_quiet(&self) -> bool {
        self.comparing.is_none() && self.compare_at.is_none() && self.unacked.is_empty() && !self.sync_due
    }

    fn drifted(&mut self, now: Elapsed, random: f64) {
        if self.comparing.is_none() && self.compare_at.is_none() {
            self.drifts += 1;
            self.compare_at = Some(now.plus(self.backoff.next(random)));
        }
    }

    /// Times that the edge held something else than was believed, since the last call.
    pub const fn take_drifts(&mut self) -> u64 {
        std::mem::replace(&mut self.drifts, 0)
    }

    /// Objects that could not be sent at the last [`Session::pump`], since their bodies are not here.
    pub fn lacking(&self) -> &[Arc<Object>] {
        &self.lacking
    }

    /// They are here now; the next [`Session::pump`] tells what is still missing.
    pub fn lacks_nothing(&mut self) {
        self.lacking.clear();
    }

    /// When [`Session::pump`] has something to do by itself.
    pub const fn deadline(&self) -> Option<Elapsed> {
        self.compare_at
    }

    /// What is to be sent now: as much as fits the window, and nothing from a session that was superseded.
    pub fn pump(&mut self, desired: &impl Desired, now: Elapsed) -> Vec<Outgoing> {
        self.lacking.clear();
        if !desired.is_current() {
            return Vec::new();
        }
        if self.compare_at.is_some_and(|at| at <= now) {
            self.compare_at = None;
            // Of everything: equal digests of buckets that differ may be what brought this about.
            return vec![Outgoing { frame: self.compare(None), counts: None }];
        }
        if self.comparing.is_some() {
            return Vec::new();
        }
        let mut out = Vec::new();
        let (work, lacking) = order::work(&mut self.dirty, &self.held, desired);
        let mut sent_all = lacking.is_empty();
        self.lacking = lacking;
        for step in work {
            if self.window_is_full() {
                sent_all = false;
                break;
            }
            out.push(self.send(step, desired, now));
        }
        // Asked again: where the set was lost in between, what it was read from says nothing of the rest.
        let skipped = faults::on(Fault::SyncPointSkipped);
        if sent_all && !skipped && self.sync_due && !self.window_is_full() && self.may_vouch(desired) {
            out.push(self.sync_point(desired, now));
        }
        out
    }

    /// Whether the edge may take what it holds for all that it should hold. One that has pods does not wait: what of
    /// them is not sure is not deleted, and a pod that cannot be read, on whatever node, shall hold up nobody else.
    fn may_vouch(&self, desired: &impl Desired) -> bool {
        desired.is_current() && (!self.podless || desired.has_all_pods())
    }

    fn holds_pods(&self) -> bool {
        self.held.keys().any(|(kind, _)| *kind == Kind::Pod)
    }

    fn window_is_full(&self) -> bool {
        self.unacked.len() >= WINDOW_FRAMES || self.unacked_bytes >= WINDOW_BYTES
    }

    fn send(&mut self, step: order::Step, desired: &impl Desired, now: Elapsed) -> Outgoing {
        self.last_frame += 1;
        self.sync_due = true;
        let (key, version, outgoing, bytes) = match step {
            order::Step::Upsert(object, body) => {
                let key = (object.key.kind, Arc::clone(&object.uid));
                // One that cannot be unpacked goes as it is, and the edge says so.
                let as_it_is = Cow::Borrowed(&*body);
                let body =
                    if self.dictionary { as_it_is } else { body.without_dictionary().unwrap_or(as_it_is) };
                let bytes = body.data.len() + 256;
                // Asked after the object was taken, so that it is as new as the object at least.
                let seen = self.news_of(object.key.kind, desired);
                let frame = order::upsert(&object, &body, self.last_frame, seen);
                (
                    key,
                    Some(object.version),
                    Outgoing { frame, counts: Some((object.key.kind, "upsert")) },
                    bytes,
                )
            }
            order::Step::Delete(key) => {
                let seen = self.news_of(key.0, desired);
                let frame = order::delete(&key, self.last_frame, seen);
                let counts = Some((key.0, "delete"));
                (key, None, Outgoing { frame, counts }, 128)
            }
        };
        self.dirty.remove(&key);
        self.hold(key, version);
        self.wait_for_ack(bytes, now);
        outgoing
    }

    /// The last frame waits for its acknowledgement.
    fn wait_for_ack(&mut self, bytes: usize, now: Elapsed) {
        self.unacked.push_back(Sent { frame: self.last_frame, bytes, at: now });
        self.unacked_bytes += bytes;
    }

    /// The resourceVersion that a kind was seen at, where the edge does not know it yet.
    fn news_of(&mut self, kind: Kind, desired: &impl Desired) -> String {
        let seen = desired.seen_of(kind);
        let told = self.told_seen.entry(kind).or_default();
        if *told == seen {
            return String::new();
        }
        told.clone_from(&seen);
        seen
    }

    fn sync_point(&mut self, desired: &impl Desired, now: Elapsed) -> Outgoing {
        self.last_frame += 1;
        self.sync_due = false;
        self.podless = false;
        self.wait_for_ack(64, now);
        let (digest, count) = self.told();
        let frame =
            SyncPoint { frame: self.last_frame, digest: digest.to_vec(), count, seen: desired.seen() }.into();
        Outgoing { frame, counts: None }
    }

    /// What the edge holds by now, foreign objects included.
    fn told(&self) -> (Digest, u32) {
        let count = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        (Digest(self.digest.0.wrapping_add(self.foreign.0.0)), count.saturating_add(self.foreign.1))
    }

    fn hold(&mut self, key: Key, version: Option<Version>) {
        let (kind, uid) = (key.0.name(), Arc::clone(&key.1));
        let old = match version {
            Some(version) => self.held.insert(key, version),
            None => self.held.remove(&key),
        };
        if let Some(old) = old {
            self.digest = self.digest.without(kind, &uid, old);
        }
        if let Some(version) = version {
            self.digest = self.digest.with(kind, &uid, version);
        }
    }
}
