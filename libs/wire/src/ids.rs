//! Names of what is synchronised.

use std::fmt;

/// UID of an object in the cluster, as the API server gave it.
pub type Uid = String;

/// A kind of object that the cloud keeps in step on an edge.
///
/// On the wire it is its name, so that a peer which does not know a kind can still count and name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The node's own Node object.
    Node,
    /// Services whose environment variables pods want.
    Service,
    /// ServiceAccounts that pods name.
    ServiceAccount,
    /// ConfigMaps that pods name.
    ConfigMap,
    /// Secrets that pods name.
    Secret,
    /// Pods bound to the node.
    Pod,
}

/// Every kind, in dependency order: what others need comes first. Deletes go the other way round.
pub const KINDS: [Kind; 6] =
    [Kind::Node, Kind::Service, Kind::ServiceAccount, Kind::ConfigMap, Kind::Secret, Kind::Pod];

impl Kind {
    /// The Kubernetes kind, as it stands in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Service => "Service",
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Pod => "Pod",
        }
    }

    /// What it is in a short `Hello`. A number once given is never given to another.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Node => 0,
            Self::Service => 1,
            Self::ServiceAccount => 2,
            Self::ConfigMap => 3,
            Self::Secret => 4,
            Self::Pod => 5,
        }
    }

    /// The kind of that number, or `None` where this release does not know it.
    pub(crate) fn numbered(number: u32) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind of that name, or `None` where this release does not know it.
    pub fn parse(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an object is called: kind, namespace (empty for cluster-wide kinds) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Kind of the object.
    pub kind: Kind,
    /// Its namespace; empty for cluster-wide kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// A key from its parts.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Bytes of a UUID.
pub(crate) const UUID: usize = 16;

/// The bytes of a UUID that is spelled as [`uuid_text`] spells it.
pub(crate) fn uuid_bytes(text: &str) -> Option<[u8; UUID]> {
    let mut bytes = [0; UUID];
    let mut digits = text.bytes().filter(|digit| *digit != b'-');
    for byte in &mut bytes {
        let (high, low) =
            (char::from(digits.next()?).to_digit(16)?, char::from(digits.next()?).to_digit(16)?);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    (uuid_text(&bytes) == text).then_some(bytes)
}

/// A UUID in RFC 4122's spelling, lower case.
pub(crate) fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}
