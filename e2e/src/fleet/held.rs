//! What a simulated edge holds, and what it makes of the cloud's frames. Pure: a real edge's rules (`edgecore/sync`), with
//! memory for a store.

use std::collections::BTreeMap;

use serde_json::Value;
use wire::{
    Ack, Digest, DownFrame, GoAway, Inventory, InventoryItem, Kind, KindVersion, Mismatch, Picked, Rejected,
    UpFrame, Upsert, Version, WantInventory, WantReports, down_frame::Content,
};

/// Items in one frame of an inventory.
const PART: usize = 1000;

/// Kind and UID.
pub(super) type Key = (String, String);

/// An object held, or rejected: both count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: Version,
    /// A pod that is being deleted. Nothing of it runs here, so nothing of it is left.
    pub(super) deleting: bool,
}

/// An object that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Kind, by name.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Whether exactly this version was held already: it was sent in vain.
    pub again: bool,
}

/// What frames call for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Effects {
    pub(super) applied: Vec<Applied>,
    /// What to answer, in order, the acknowledgement first.
    pub(super) answers: Vec<UpFrame>,
    /// A comparison was made, and what is here is (or is not) what the cloud wants.
    pub(super) in_sync: Option<bool>,
    /// The cloud asks for reports.
    pub(super) wants: Vec<WantReports>,
    /// UIDs of pods that are being deleted since now.
    pub(super) deleting: Vec<String>,
    /// The next heartbeat carries the digest: the cloud believes in another.
    pub(super) doubted: bool,
    /// The cloud asks the edge to leave.
    pub(super) goodbye: Option<GoAway>,
    rejected: Vec<Rejected>,
    last: u64,
}

impl Effects {
    /// Acknowledges what was applied.
    pub(super) fn commit(&mut self) {
        let frame = std::mem::take(&mut self.last);
        if frame > 0 {
            let rejected = std::mem::take(&mut self.rejected);
            self.answers.push(Ack { frame, rejected }.into());
        }
    }
}

/// The cloud did what no cloud may do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

/// The objects of one simulated edge. They survive sessions, as a disk would.
#[derive(Debug, Default)]
pub(super) struct Held {
    objects: BTreeMap<Key, Object>,
    digest: Digest,
    seen: Vec<KindVersion>,
    /// Last numbered frame of this session.
    frame: u64,
}

impl Held {
    /// A session begins: frames are numbered anew.
    pub(super) const fn begin(&mut self) {
        self.frame = 0;
    }

    /// Digest and number of what is held.
    pub(super) fn digest(&self) -> (Digest, u32) {
        (self.digest, u32::try_from(self.objects.len()).unwrap_or(u32::MAX))
    }

    /// The resourceVersions of the last state that was whole.
    pub(super) fn seen(&self) -> &[KindVersion] {
        &self.seen
    }

    /// The last numbered frame of this session.
    pub(super) const fn frame(&self) -> u64 {
        self.frame
    }

    /// Everything held.
    pub(super) const fn objects(&self) -> &BTreeMap<Key, Object> {
        &self.objects
    }

    /// Takes a frame. `true` where the frame means something only after everything before it is on the disk: then, and
    /// where no other frame is there, [`Effects::commit`] is next.
    pub(super) fn take(&mut self, frame: DownFrame, effects: &mut Effects) -> Result<bool, Broken> {
        let Some(content) = frame.content else { return Ok(false) };
        match content {
            Content::Upsert(upsert) => {
                self.number(upsert.frame, effects)?;
                self.upsert(upsert, effects);
            }
            Content::Delete(delete) => {
                self.number(delete.frame, effects)?;
                self.drop_object(&(delete.kind, delete.uid));
            }
            Content::SyncPoint(point) => {
                self.number(point.frame, effects)?;
                effects.commit();
                self.compare(&point.digest, Some(point.count), point.seen, effects);
                return Ok(true);
            }
            Content::InSync(point) => {
                effects.commit();
                self.compare(&point.digest, None, point.seen, effects);
                return Ok(true);
            }
            Content::WantInventory(want) => {
                effects.commit();
                effects.in_sync = Some(false);
                effects.answers.extend(self.inventory(&want)?);
                return Ok(true);
            }
            Content::GoAway(goodbye) => {
                effects.goodbye = Some(goodbye);
                return Ok(true);
            }
            Content::HeartbeatAck(ack) => {
                effects.doubted |=
                    Digest::from_slice(&ack.digest).is_some_and(|theirs| theirs != self.digest);
            }
            Content::WantReports(wanted) => effects.wants.push(wanted),
            Content::Welcome(_) | Content::Refused(_) => {
                return Err(Broken("a frame that opens a session came within one".to_owned()));
            }
            Content::ReportAck(_)
            | Content::ReportRefused(_)
            | Content::CallReply(_)
            | Content::EntryAck(_) => {}
        }
        Ok(false)
    }

    fn number(&mut self, found: u64, effects: &mut Effects) -> Result<(), Broken> {
        if found != self.frame + 1 {
            return Err(Broken(format!("frame {found} came where {} was due", self.frame + 1)));
        }
        self.frame = found;
        effects.last = found;
        Ok(())
    }

    fn upsert(&mut self, upsert: Upsert, effects: &mut Effects) {
        let read = read(&upsert);
        let Upsert { kind, namespace, name, uid, version, .. } = upsert;
        let (deleting, reason) = match read {
            Ok(deleting) => (deleting, None),
            Err(reason) => (false, Some(reason)),
        };
        if let Some(version) = Version::from_slice(&version) {
            let before = self.drop_object(&(kind.clone(), uid.clone()));
            self.digest = self.digest.with(&kind, &uid, version);
            if deleting && !before.as_ref().is_some_and(|before| before.deleting) {
                effects.deleting.push(uid.clone());
            }
            let object = Object { namespace: namespace.clone(), name: name.clone(), version, deleting };
            self.objects.insert((kind.clone(), uid.clone()), object);
            if reason.is_none() {
                let again = before.is_some_and(|before| before.version == version);
                effects.applied.push(Applied {
                    kind: kind.clone(),
                    name: name.clone(),
                    uid: uid.clone(),
                    again,
                });
            }
        }
        if let Some(reason) = reason {
            effects.rejected.push(Rejected { kind, namespace, name, uid, reason });
        }
    }

    fn drop_object(&mut self, key: &Key) -> Option<Object> {
        let object = self.objects.remove(key)?;
        self.digest = self.digest.without(&key.0, &key.1, object.version);
        Some(object)
    }

    fn compare(&mut self, digest: &[u8], count: Option<u32>, seen: Vec<KindVersion>, effects: &mut Effects) {
        let (ours, our_count) = self.digest();
        let equal = Digest::from_slice(digest) == Some(ours) && count.is_none_or(|count| count == our_count);
        effects.in_sync = Some(equal);
        if equal {
            // Of a kind that is not named nothing was seen since.
            self.seen.retain(|known| seen.iter().all(|of| of.kind != known.kind));
            self.seen.extend(seen);
        } else {
            let mismatch = Mismatch { frame: self.frame, digest: ours.to_vec(), count: our_count };
            effects.answers.push(mismatch.into());
        }
    }

    fn inventory(&self, want: &WantInventory) -> Result<Vec<UpFrame>, Broken> {
        let item = |((kind, uid), object): (&Key, &Object)| InventoryItem {
            kind: kind.clone(),
            uid: uid.clone(),
            version: object.version.to_vec(),
        };
        let items = match want.pick(self.objects.iter().map(item).collect()) {
            Some(Picked::Objects(items)) => items,
            Some(Picked::Digests(digests)) => {
                return Ok(vec![Inventory { digests, last: true, ..Inventory::default() }.into()]);
            }
            None => return Err(Broken(format!("{} buckets were asked for", want.buckets))),
        };
        let parts = items.chunks(PART).map(<[_]>::to_vec).collect::<Vec<_>>();
        let parts = if parts.is_empty() { vec![Vec::new()] } else { parts };
        let count = parts.len();
        let part = |(at, items)| Inventory::grouped(items, at + 1 == count).into();
        Ok(parts.into_iter().enumerate().map(part).collect())
    }
}

/// Whether the pod it carries is being deleted; the error is why the object cannot be applied.
fn read(upsert: &Upsert) -> Result<bool, String> {
    let kind = Kind::parse(&upsert.kind).ok_or_else(|| format!("kind {:?} is unknown here", upsert.kind))?;
    let version = Version::from_slice(&upsert.version).ok_or("version is not 16 bytes")?;
    let body = upsert.body.as_ref().ok_or("body is missing")?;
    let body = body.unpack().map_err(|error| kit::errors::chain(&error))?;
    if Version::of(&body) != version {
        return Err("body does not have the version it says".to_owned());
    }
    if kind != Kind::Pod {
        return Ok(false);
    }
    let pod: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(pod.pointer("/metadata/deletionTimestamp").is_some())
}

#[cfg(test)]
#[path = "tests/held.rs"]
mod tests;
