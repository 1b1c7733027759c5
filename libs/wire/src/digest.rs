//! Versions of objects and the digest of a set of them.
//!
//! A version is a hash of the canonical body, so nothing that the edge does not act on changes it. The digest of a
//! set is the sum, modulo 2¹²⁸, of one hash per member: adding and removing a member are one addition each, and
//! the order of changes does not matter.

use std::fmt;

use ring::digest::{Context, SHA256};

/// 128-bit hash of an object's canonical body: the first half of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub [u8; 16]);

impl Version {
    /// The version of a body in canonical form.
    pub fn of(canonical: &[u8]) -> Self {
        let hash = ring::digest::digest(&SHA256, canonical);
        Self(first_half(hash.as_ref()))
    }

    /// From the wire; `None` unless it is 16 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes as a prost field wants them.
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Digest of a set of (kind, uid, version): equal digests mean equal sets.
///
/// Strong enough against accident, and each side computes its own from what it holds, so a hostile peer gains
/// nothing by a collision but its own confusion.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(pub u128);

impl Digest {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// With this member added.
    #[must_use]
    pub fn with(self, kind: &str, uid: &str, version: Version) -> Self {
        Self(self.0.wrapping_add(member(kind, uid, version)))
    }

    /// With this member, which must have been added before, taken out.
    #[must_use]
    pub fn without(self, kind: &str, uid: &str, version: Version) -> Self {
        Self(self.0.wrapping_sub(member(kind, uid, version)))
    }

    /// From the wire; `None` unless it is 16 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(u128::from_be_bytes(bytes)))
    }

    /// The bytes as a prost field wants them.
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Hash of one member. Lengths stand in front so that no two members share an encoding.
fn member(kind: &str, uid: &str, version: Version) -> u128 {
    let mut context = Context::new(&SHA256);
    for part in [kind.as_bytes(), uid.as_bytes()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.update(&version.0);
    u128::from_be_bytes(first_half(context.finish().as_ref()))
}

/// The first 16 bytes of a SHA-256.
fn first_half(hash: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(hash) {
        *to = *from;
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_of_changes_does_not_matter(mut members in proptest::collection::vec(("[A-Z][a-z]{0,8}", "[a-f0-9-]{1,36}", any::<[u8; 16]>()), 0..20)) {
            let sum = |members: &[(String, String, [u8; 16])]| {
                members.iter().fold(Digest::EMPTY, |d, (k, u, v)| d.with(k, u, Version(*v)))
            };
            let forward = sum(&members);
            members.reverse();
            prop_assert_eq!(forward, sum(&members));
            let emptied = members.iter().fold(forward, |d, (k, u, v)| d.without(k, u, Version(*v)));
            prop_assert_eq!(emptied, Digest::EMPTY);
        }
    }

    #[test]
    fn border_between_kind_and_uid_counts() {
        let version = Version::of(b"{}");
        assert_ne!(Digest::EMPTY.with("Pod", "x", version), Digest::EMPTY.with("Po", "dx", version));
    }

    #[test]
    fn a_wrong_length_is_no_digest() {
        assert_eq!(Digest::from_slice(&[0; 15]), None);
        assert_eq!(Version::from_slice(&[0; 17]), None);
    }
}
