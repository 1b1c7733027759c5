//! What the edge holds, told in few bytes.
//!
//! Two things save: objects of a kind go as one group, their UIDs and versions as bytes ([`InventoryGroup`]), and where most
//! is the same, both sides first compare a digest per bucket ([`Buckets`]), so that only what is in the buckets that differ
//! is told one by one. Two buckets that differ may have equal digests, once in 2³²; the digest at the sync point tells, and
//! then everything is compared.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::digest::{Digest, Version};
use crate::down::WantInventory;
use crate::ids::{UUID, uuid_bytes, uuid_text};

/// Most buckets.
pub const MAX_BUCKETS: u32 = 1024;
/// So few objects are told at once: the round trip would cost more.
const FEW: u32 = 32;
/// Bytes of a UID, of a version.
const ID: usize = UUID;
/// Bytes of a bucket's digest.
const BUCKET: usize = 4;

/// Part of what the edge holds, in answer to `WantInventory`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Inventory {
    /// Objects that are in no group.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<InventoryItem>,
    /// This is the last part.
    #[prost(bool, tag = "2")]
    pub last: bool,
    /// More objects. Only for a cloud that says [`crate::FEATURE_COMPACT`].
    #[prost(message, repeated, tag = "3")]
    pub groups: Vec<InventoryGroup>,
    /// Where those were asked for, and then nothing else: the digests of the buckets, 4 bytes each.
    #[prost(bytes = "vec", tag = "4")]
    pub digests: Vec<u8>,
}

/// An object the edge holds, or has rejected: both count.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct InventoryItem {
    /// Kind, by name.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// UID in the cluster.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// Version held, 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub version: Vec<u8>,
}

/// Objects of one kind, all of whose UIDs are UUIDs in the API server's spelling.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct InventoryGroup {
    /// Kind, by name.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// UIDs, 16 bytes each.
    #[prost(bytes = "vec", tag = "2")]
    pub uids: Vec<u8>,
    /// Versions in the same order, 16 bytes each.
    #[prost(bytes = "vec", tag = "3")]
    pub versions: Vec<u8>,
}

/// A group is not as many UIDs as versions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{kind} in the inventory: {uids} bytes of UIDs and {versions} of versions are not the same number of 16 bytes"
)]
pub struct Uneven {
    kind: String,
    uids: usize,
    versions: usize,
}

impl Inventory {
    /// A part that holds these, grouped.
    pub fn grouped(items: Vec<InventoryItem>, last: bool) -> Self {
        let mut part = Self { last, ..Self::default() };
        let mut groups: BTreeMap<String, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
        for item in items {
            match (uuid_bytes(&item.uid), item.version.len()) {
                (Some(uid), ID) => {
                    let (uids, versions) = groups.entry(item.kind).or_default();
                    uids.extend(uid);
                    versions.extend(item.version);
                }
                _ => part.items.push(item),
            }
        }
        part.groups = groups
            .into_iter()
            .map(|(kind, (uids, versions))| InventoryGroup { kind, uids, versions })
            .collect();
        part
    }

    /// Number of objects, before any of them is unpacked.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.uids.len() / ID).sum::<usize>() + self.items.len()
    }

    /// The objects, one by one: a group that says much is unpacked no further than it is read.
    pub fn unpack(self) -> Result<impl Iterator<Item = InventoryItem>, Uneven> {
        for group in &self.groups {
            let (uids, versions) = (group.uids.len(), group.versions.len());
            if uids != versions || !uids.is_multiple_of(ID) {
                return Err(Uneven { kind: group.kind.clone(), uids, versions });
            }
        }
        Ok(self.items.into_iter().chain(self.groups.into_iter().flat_map(InventoryGroup::unpack)))
    }
}

impl InventoryGroup {
    fn unpack(self) -> impl Iterator<Item = InventoryItem> {
        let Self { kind, uids, versions } = self;
        (0..uids.len() / ID).filter_map(move |at| {
            let of = at * ID..(at + 1) * ID;
            let (uid, version) = (uids.get(of.clone())?, versions.get(of)?);
            Some(InventoryItem { kind: kind.clone(), uid: uuid_text(uid), version: version.to_vec() })
        })
    }
}

/// What of what the edge holds is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picked {
    /// The digests of the buckets.
    Digests(Vec<u8>),
    /// These objects.
    Objects(Vec<InventoryItem>),
}

impl WantInventory {
    /// Picks what is asked for; `None` where more buckets are named than there may be.
    pub fn pick(&self, mut held: Vec<InventoryItem>) -> Option<Picked> {
        if self.buckets == 0 {
            return Some(Picked::Objects(held));
        }
        let mut buckets = Buckets::new(self.buckets)?;
        if self.wanted.is_empty() {
            for item in &held {
                buckets.add(&item.kind, &item.uid, Version::from_slice(&item.version).unwrap_or_default());
            }
            return Some(Picked::Digests(buckets.to_vec()));
        }
        held.retain(|item| self.wanted.contains(&buckets.of(&item.kind, &item.uid)));
        Some(Picked::Objects(held))
    }
}

/// Objects by a hash of kind and UID, and for each bucket the last 4 bytes of its [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets(Vec<Digest>);

impl Buckets {
    /// How many buckets serve best where so many objects are held and few differ; `None` where none do.
    pub fn best(objects: u32) -> Option<u32> {
        // One that differs costs the digests and the objects beside it: 4·n + 32·objects/n bytes.
        (objects >= FEW).then(|| objects.saturating_mul(8).isqrt().min(MAX_BUCKETS))
    }

    /// So many empty ones; `None` for none and for more than [`MAX_BUCKETS`].
    pub fn new(count: u32) -> Option<Self> {
        (1..=MAX_BUCKETS).contains(&count).then(|| Self(vec![Digest::EMPTY; count as usize]))
    }

    /// Puts an object in.
    pub fn add(&mut self, kind: &str, uid: &str, version: Version) {
        let at = self.of(kind, uid);
        if let Some(bucket) = self.0.get_mut(at as usize) {
            *bucket = bucket.with(kind, uid, version);
        }
    }

    /// The bucket of an object.
    pub fn of(&self, kind: &str, uid: &str) -> u32 {
        let hash = Digest::EMPTY.with(kind, uid, Version::default()).0;
        u32::try_from(hash % self.0.len() as u128).unwrap_or_default()
    }

    /// The digests, as [`Inventory`] carries them.
    pub fn to_vec(&self) -> Vec<u8> {
        self.digests().flatten().collect()
    }

    /// The buckets that the other side's digests say differ; `None` where those are not as many.
    pub fn differing(&self, theirs: &[u8]) -> Option<Vec<u32>> {
        let differ = self.digests().zip(theirs.chunks(BUCKET)).zip(0..);
        (theirs.len() == self.0.len() * BUCKET)
            .then(|| differ.filter(|((ours, theirs), _)| ours != theirs).map(|(_, at)| at).collect())
    }

    fn digests(&self) -> impl Iterator<Item = [u8; BUCKET]> {
        self.0.iter().map(|digest| {
            let [.., a, b, c, d] = digest.0.to_be_bytes();
            [a, b, c, d]
        })
    }
}

#[cfg(test)]
#[path = "tests/inventory.rs"]
mod tests;
