//! Whether an `Upsert` is what it says. What is not is rejected by name, and the rest goes on.

use serde::Deserialize;
use std::borrow::Cow;

use edgecore_store::Change;
use wire::{Kind, ObjectKey, Rejected, Upsert, Version};

/// Longest kind, namespace, name and UID: Kubernetes' own limits, rounded up.
const MAX_NAME: usize = 256;

/// What became of an `Upsert`.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What to write: the object, or its rejection; nothing where not even that can be kept.
    pub(crate) change: Option<Change>,
    /// What to tell the cloud.
    pub(crate) rejected: Option<Rejected>,
}

/// Checks an `Upsert`.
pub(crate) fn upsert(upsert: Upsert) -> Checked {
    match check(&upsert) {
        Ok(change) => Checked { change: Some(change), rejected: None },
        Err(reason) => reject(upsert, reason),
    }
}

fn reject(upsert: Upsert, reason: String) -> Checked {
    let Upsert { kind, namespace, name, uid, version, .. } = upsert;
    tracing::warn!(kind, namespace, name, uid, reason, "object rejected");
    let rejected = Rejected {
        kind: kind.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
        uid: uid.clone(),
        reason: reason.clone(),
    };
    // Without an identity or a version it cannot be counted; the digests will differ and say so.
    let countable =
        !uid.is_empty() && [&kind, &namespace, &name, &uid].iter().all(|part| part.len() <= MAX_NAME);
    let change = Version::from_slice(&version).filter(|_| countable).map(|version| Change::Reject {
        kind,
        namespace,
        name,
        uid,
        version,
        reason,
    });
    Checked { change, rejected: Some(rejected) }
}

fn check(upsert: &Upsert) -> Result<Change, String> {
    for (field, text) in [
        ("kind", &upsert.kind),
        ("namespace", &upsert.namespace),
        ("name", &upsert.name),
        ("uid", &upsert.uid),
    ] {
        if text.len() > MAX_NAME {
            return Err(format!("{field} is longer than {MAX_NAME} bytes"));
        }
    }
    if upsert.name.is_empty() || upsert.uid.is_empty() {
        return Err("name or uid is empty".to_owned());
    }
    let kind = Kind::parse(&upsert.kind).ok_or_else(|| format!("kind {:?} is unknown here", upsert.kind))?;
    let version = Version::from_slice(&upsert.version).ok_or_else(|| "version is not 16 bytes".to_owned())?;
    let body = upsert.body.as_ref().ok_or_else(|| "body is missing".to_owned())?;
    let body = body.unpack().map_err(|error| kit::errors::chain(&error))?;
    if Version::of(&body) != version {
        return Err("body does not have the version it says".to_owned());
    }
    identity(&body, upsert)?;
    let key = ObjectKey::new(kind, upsert.namespace.clone(), upsert.name.clone());
    Ok(Change::Upsert { key, uid: upsert.uid.clone(), version, body })
}

/// What a frame says of how far the cloud had seen its kind.
pub(crate) fn seen(kind: &str, version: String) -> Option<Change> {
    let known = Kind::parse(kind).filter(|_| !version.is_empty() && version.len() <= MAX_NAME)?;
    Some(Change::Seen { kind: known.name().to_owned(), resource_version: version })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(default, borrow)]
    namespace: Cow<'a, str>,
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    #[serde(default, borrow)]
    uid: Cow<'a, str>,
}

/// That the body is a JSON object about the object that the frame names.
fn identity(body: &[u8], upsert: &Upsert) -> Result<(), String> {
    if body.first() != Some(&b'{') {
        return Err("body is not a JSON object".to_owned());
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| format!("body is not a Kubernetes object: {error}"))?;
    let Metadata { namespace, name, uid } = envelope.metadata;
    for (field, found, said) in
        [("namespace", namespace, &upsert.namespace), ("name", name, &upsert.name), ("uid", uid, &upsert.uid)]
    {
        if found != said.as_str() {
            return Err(format!("metadata.{field} is {found:?} and the frame says {said:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Body;

    fn good() -> Upsert {
        let body = br#"{"metadata":{"name":"c","namespace":"default","uid":"u1"},"data":{"a":"b"}}"#;
        Upsert {
            frame: 1,
            kind: "ConfigMap".to_owned(),
            namespace: "default".to_owned(),
            name: "c".to_owned(),
            uid: "u1".to_owned(),
            version: Version::of(body).to_vec(),
            body: Some(Body::pack(body).unwrap()),
            seen: String::new(),
        }
    }

    fn with_body(text: &[u8]) -> Upsert {
        Upsert { version: Version::of(text).to_vec(), body: Some(Body::pack(text).unwrap()), ..good() }
    }

    #[test]
    fn a_good_one_is_taken() {
        let checked = upsert(good());
        assert!(checked.rejected.is_none());
        assert!(matches!(checked.change, Some(Change::Upsert { .. })));
    }

    #[test]
    fn each_fault_is_rejected_by_name_and_reason_and_counts() {
        let mut damaged = good();
        if let Some(body) = &mut damaged.body {
            body.length += 1;
        }
        let cases = [
            (damaged, "says"),
            (Upsert { body: None, ..good() }, "body is missing"),
            (Upsert { kind: "Gadget".to_owned(), ..good() }, "kind \"Gadget\" is unknown"),
            (Upsert { version: vec![7; 16], ..good() }, "does not have the version"),
            (Upsert { name: String::new(), ..good() }, "name or uid is empty"),
            (with_body(b"[1]"), "not a JSON object"),
            (with_body(b"{\"metadata\":"), "not a Kubernetes object"),
            (with_body(b"{}"), "metadata"),
            (
                with_body(br#"{"metadata":{"name":"c","namespace":"default","uid":"u2"}}"#),
                "metadata.uid is \"u2\"",
            ),
            (with_body(br#"{"metadata":{"name":"c","uid":"u1"}}"#), "metadata.namespace is \"\""),
        ];
        for (broken, why) in cases {
            let (name, uid) = (broken.name.clone(), broken.uid.clone());
            let checked = upsert(broken);
            let rejected = checked.rejected.unwrap();
            assert!(rejected.reason.contains(why), "{}", rejected.reason);
            assert_eq!((rejected.name, rejected.uid), (name, uid));
            assert!(matches!(checked.change, Some(Change::Reject { .. })), "{why}");
        }
    }

    #[test]
    fn what_cannot_be_counted_is_still_told() {
        let cases = [
            Upsert { version: vec![1; 3], ..good() },
            Upsert { uid: String::new(), ..good() },
            Upsert { name: "n".repeat(300), ..good() },
        ];
        for broken in cases {
            let checked = upsert(broken);
            assert!(checked.change.is_none() && checked.rejected.is_some());
        }
    }
}
