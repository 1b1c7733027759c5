//! A `Hello` in few bytes: what is a UUID or a decimal resourceVersion needs no text.
//!
//! It is said before anything is known of the cloud, which may be a release older and read text only. So what keeps objects
//! from being taken for unwanted stays text, the cluster's id and the kinds; what is short is told to that cloud by nothing,
//! as by an edge that does not know it yet.
//!
//! Sessions are opened often and mostly find nothing to do, so that the `Hello` is most of what they cost. What has no
//! short form stays as text, field by field.

use thiserror::Error;

use crate::hello::{Hello, KindVersion};
use crate::ids::{Kind, UUID, uuid_bytes, uuid_text};

/// What is short in a `Hello` does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// Not as many UUIDs as the first byte says.
    #[error("uuids in Hello: {found} bytes where the first byte says {said} UUIDs")]
    Uuids {
        /// UUIDs by the first byte.
        said: u32,
        /// Bytes behind it.
        found: usize,
    },
    /// Not as many resourceVersions as kinds.
    #[error("seen_numbers in Hello: {found} resourceVersions of {said} kinds")]
    Seen {
        /// Kinds that have numbers.
        said: u32,
        /// resourceVersions.
        found: usize,
    },
}

impl Hello {
    /// As it is sent. [`crate::decode_up`] gives it back as it was, but for the order of what was seen.
    #[must_use]
    pub fn short(mut self) -> Self {
        self.shorten_ids();
        self.shorten_seen();
        self
    }

    /// As it was before [`Hello::short`].
    pub(crate) fn long(mut self) -> Result<Self, Unfit> {
        self.lengthen_seen()?;
        self.lengthen_ids()?;
        Ok(self)
    }

    /// The fields that mostly are UUIDs, in the order of their bits.
    fn ids(&mut self) -> [&mut String; 3] {
        [&mut self.node_uid, &mut self.store_id, &mut self.boot_id]
    }

    fn shorten_ids(&mut self) {
        let (mut which, mut bytes) = (0_u8, Vec::new());
        for (bit, id) in self.ids().into_iter().enumerate() {
            if let Some(uuid) = uuid_bytes(id) {
                which |= 1 << bit;
                bytes.extend(uuid);
                id.clear();
            }
        }
        if which != 0 {
            bytes.insert(0, which);
            self.uuids = bytes;
        }
    }

    /// UUIDs beyond those that this release knows are skipped.
    fn lengthen_ids(&mut self) -> Result<(), Unfit> {
        let packed = std::mem::take(&mut self.uuids);
        let Some((which, bytes)) = packed.split_first() else { return Ok(()) };
        if bytes.len() != which.count_ones() as usize * UUID {
            return Err(Unfit::Uuids { said: which.count_ones(), found: bytes.len() });
        }
        let mut uuids = bytes.chunks(UUID);
        for (bit, id) in self.ids().into_iter().enumerate() {
            if which & 1 << bit != 0
                && let Some(uuid) = uuids.next()
            {
                *id = uuid_text(uuid);
            }
        }
        Ok(())
    }

    fn shorten_seen(&mut self) {
        for kind in self.kinds.iter().filter_map(|name| Kind::parse(name)) {
            self.kind_numbers |= 1 << kind.number();
        }
        let mut numbers = Vec::new();
        for number in bits(self.kind_numbers) {
            let of_kind =
                |seen: &KindVersion| Kind::parse(&seen.kind).is_some_and(|kind| kind.number() == number);
            let at =
                self.seen.iter().position(|seen| of_kind(seen) && decimal(&seen.resource_version).is_some());
            let seen = at.map(|at| self.seen.remove(at));
            numbers.push(seen.and_then(|seen| decimal(&seen.resource_version)).unwrap_or_default());
        }
        if numbers.iter().any(|number| *number != 0) {
            self.seen_numbers = numbers;
        }
    }

    /// Kinds whose number this release does not know are skipped, as those are whose name it does not know.
    fn lengthen_seen(&mut self) -> Result<(), Unfit> {
        let kinds = std::mem::take(&mut self.kind_numbers);
        let numbers = std::mem::take(&mut self.seen_numbers);
        if !numbers.is_empty() && numbers.len() != kinds.count_ones() as usize {
            return Err(Unfit::Seen { said: kinds.count_ones(), found: numbers.len() });
        }
        let seen = numbers.into_iter().chain(std::iter::repeat(0));
        for (kind, seen) in bits(kinds).map(Kind::numbered).zip(seen) {
            let Some(kind) = kind else { continue };
            if seen != 0 {
                let resource_version = seen.to_string();
                self.seen.push(KindVersion { kind: kind.name().to_owned(), resource_version });
            }
        }
        Ok(())
    }
}

/// The numbers of the bits that are set, lowest first.
fn bits(set: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| set & 1 << bit != 0)
}

/// The number that is spelled like that and in no other way; 0 stands for none.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| *number != 0 && number.to_string() == text)
}

#[cfg(test)]
#[path = "tests/short.rs"]
mod tests;
