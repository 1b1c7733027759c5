//! One line of a watch.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::name::{self, Named};

/// What a line says.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// An object was made or changed.
    Applied {
        /// The object.
        raw: &'a [u8],
        /// Its resourceVersion; empty where it cannot be read.
        resource_version: String,
    },
    /// An object is gone.
    Deleted {
        /// Its UID.
        uid: String,
        /// ResourceVersion of the deletion.
        resource_version: String,
    },
    /// Nothing changed up to here.
    Bookmark {
        /// ResourceVersion.
        resource_version: String,
    },
    /// The API server ends the watch.
    Error {
        /// HTTP status.
        code: u16,
        /// In its words.
        message: String,
    },
    /// Cannot be read.
    Malformed {
        /// Of which object, as far as known.
        named: Named,
        /// Why.
        reason: String,
    },
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned<'a> {
    /// Raw, because a struct would be read from a list too.
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    uid: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Status {
    code: u16,
    message: String,
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Event<'_> {
    let malformed = |error: &dyn std::fmt::Display| Event::Malformed {
        named: name::name(line),
        reason: error.to_string(),
    };
    let read: RawLine<'_> = match serde_json::from_slice(line) {
        Ok(read) => read,
        Err(error) => return malformed(&error),
    };
    let raw = read.object.get().as_bytes();
    if read.kind == "ERROR" {
        let status: Status = serde_json::from_slice(raw).unwrap_or_default();
        return Event::Error { code: status.code, message: status.message };
    }
    let metadata = match metadata(raw) {
        Ok(metadata) => metadata,
        Err(error) => return malformed(&error),
    };
    let resource_version = metadata.resource_version;
    match read.kind.as_str() {
        "ADDED" | "MODIFIED" => Event::Applied { raw, resource_version },
        "DELETED" if metadata.uid.is_empty() => malformed(&"metadata.uid is missing"),
        "DELETED" => Event::Deleted { uid: metadata.uid, resource_version },
        "BOOKMARK" => Event::Bookmark { resource_version },
        other => malformed(&format!("event type {other:?} is unknown")),
    }
}

fn metadata(raw: &[u8]) -> Result<Version, serde_json::Error> {
    let object: Versioned<'_> = serde_json::from_slice(raw)?;
    if !object.metadata.get().starts_with('{') {
        return Err(serde::de::Error::custom("metadata is no object"));
    }
    serde_json::from_str(object.metadata.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_told_apart() {
        let applied = parse(br#"{"type":"ADDED","object":{"metadata":{"uid":"u","resourceVersion":"5"}}}"#);
        assert!(matches!(applied, Event::Applied { resource_version, .. } if resource_version == "5"));
        let deleted = parse(br#"{"type":"DELETED","object":{"metadata":{"uid":"u","resourceVersion":"6"}}}"#);
        assert!(matches!(deleted, Event::Deleted { uid, .. } if uid == "u"));
        let bookmark = parse(br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#);
        assert!(matches!(bookmark, Event::Bookmark { .. }));
        let gone = parse(br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#);
        assert!(matches!(gone, Event::Error { code: 410, .. }));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for line in [
            &br#"{"type":"ADDED","object":{"metadata":["name","n1"],"x":{"name":"n1"}}}"#[..],
            br#"{"type":"MODIFIED","object":{"metadata":{"name":"n1","resourceVersion":5}}}"#,
            br#"{"type":"MODIFIED","object":{"metadata":{"name":"n1","#,
            br#"{"type":"DELETED","object":{"metadata":{"name":"n1"}}}"#,
            br#"{"type":"NONSENSE","object":{"metadata":{"name":"n1"}}}"#,
        ] {
            assert!(matches!(parse(line), Event::Malformed { named, .. } if named.name == "n1"));
        }
    }
}
