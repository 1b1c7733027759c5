//! Who may open a session, and on what terms. Pure.

use std::collections::BTreeSet;

use wire::{
    FEATURE_COMPACT, FEATURE_DICTIONARY, Hello, Kind, PROTOCOL_MAX, PROTOCOL_MIN, Refused, RefusedCode, agree,
};

/// Longest text taken in a field of `Hello`, in bytes.
const MAX_TEXT: usize = 253;
/// Most entries taken in a list of `Hello`.
const MAX_LIST: usize = 64;

/// No session has a higher number: a node that opens one each millisecond gets there in a hundred thousand years.
const MAX_EPOCH: u64 = 1 << 52;

/// What the cloud's side of the terms is.
#[derive(Debug, Clone)]
pub struct Terms {
    /// UID of the namespace `kube-system`.
    pub cluster_id: String,
    /// Kinds of which no complete list was read yet.
    pub unlisted: Vec<Kind>,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Protocol version.
    pub protocol: u32,
    /// Kinds kept in step.
    pub kinds: BTreeSet<Kind>,
    /// The edge has [`wire::FEATURE_DICTIONARY`].
    pub dictionary: bool,
    /// The edge has [`wire::FEATURE_COMPACT`].
    pub compact: bool,
}

/// Judges a `Hello` of a node whose certificate says `certified`.
pub fn admit(hello: &Hello, certified: &str, terms: &Terms) -> Result<Agreed, Refused> {
    let refuse = |code: RefusedCode, reason: String, retry_after_ms: u32| {
        Err(Refused { code: code.into(), reason, retry_after_ms })
    };
    if let Some(field) = oversized(hello) {
        return refuse(RefusedCode::Other, format!("{field} in Hello is longer than the limit"), 60_000);
    }
    if hello.last_epoch > MAX_EPOCH {
        // Taken, it would stand in the Lease, and no later session of the node could be newer.
        return refuse(
            RefusedCode::Other,
            format!("last_epoch {} in Hello is no session's", hello.last_epoch),
            60_000,
        );
    }
    if hello.node_name != certified {
        let reason = format!(
            "the certificate is that of node {certified}, and Hello claims to be {}",
            hello.node_name
        );
        return refuse(RefusedCode::WrongName, reason, 60_000);
    }
    let Some(protocol) = agree((PROTOCOL_MIN, PROTOCOL_MAX), (hello.protocol_min, hello.protocol_max)) else {
        let reason = format!(
            "no protocol in common: the cloud speaks {PROTOCOL_MIN} to {PROTOCOL_MAX}, the edge {} to {}",
            hello.protocol_min, hello.protocol_max
        );
        return refuse(RefusedCode::Protocol, reason, 60_000);
    };
    if !hello.cluster_id.is_empty() && hello.cluster_id != terms.cluster_id {
        let reason =
            format!("this is cluster {}, and the edge belongs to {}", terms.cluster_id, hello.cluster_id);
        return refuse(RefusedCode::WrongCluster, reason, 60_000);
    }
    let kinds: BTreeSet<Kind> = hello.kinds.iter().filter_map(|name| Kind::parse(name)).collect();
    let missing: Vec<&str> =
        terms.unlisted.iter().filter(|kind| kinds.contains(kind)).map(|kind| kind.name()).collect();
    if !missing.is_empty() {
        let reason = format!("not everything is listed yet: {}", missing.join(", "));
        return refuse(RefusedCode::NotReady, reason, 500);
    }
    let has = |feature: &str| hello.features.iter().any(|known| known == feature);
    Ok(Agreed { protocol, kinds, dictionary: has(FEATURE_DICTIONARY), compact: has(FEATURE_COMPACT) })
}

/// The first field that is longer than any honest one.
fn oversized(hello: &Hello) -> Option<&'static str> {
    let texts = [
        ("node_name", &hello.node_name),
        ("node_uid", &hello.node_uid),
        ("cluster_id", &hello.cluster_id),
        ("store_id", &hello.store_id),
        ("boot_id", &hello.boot_id),
        ("agent_version", &hello.agent_version),
    ];
    let text = texts.into_iter().find(|(_, text)| text.len() > MAX_TEXT).map(|(field, _)| field);
    let lists =
        [("features", hello.features.len()), ("kinds", hello.kinds.len()), ("seen", hello.seen.len())];
    text.or_else(|| lists.into_iter().find(|(_, length)| *length > MAX_LIST).map(|(field, _)| field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            protocol_min: 1,
            protocol_max: 1,
            kinds: vec!["Pod".into(), "Node".into(), "Gadget".into()],
            node_name: "edge-1".into(),
            ..Hello::default()
        }
    }

    fn terms() -> Terms {
        Terms { cluster_id: "c".into(), unlisted: Vec::new() }
    }

    fn code(hello: &Hello, terms: &Terms) -> i32 {
        admit(hello, "edge-1", terms).unwrap_err().code
    }

    #[test]
    fn unknown_kinds_are_left_out_and_the_rest_agreed_on() {
        let agreed = admit(&hello(), "edge-1", &terms()).unwrap();
        let kinds = BTreeSet::from([Kind::Pod, Kind::Node]);
        assert_eq!(agreed, Agreed { protocol: 1, kinds, dictionary: false, compact: false });
    }

    #[test]
    fn every_refusal_has_its_reason() {
        assert_eq!(
            code(&Hello { node_name: "edge-2".into(), ..hello() }, &terms()),
            RefusedCode::WrongName as i32
        );
        assert_eq!(
            code(&Hello { cluster_id: "d".into(), ..hello() }, &terms()),
            RefusedCode::WrongCluster as i32
        );
        assert_eq!(
            code(&Hello { protocol_min: 2, protocol_max: 3, ..hello() }, &terms()),
            RefusedCode::Protocol as i32
        );
        assert_eq!(
            code(&Hello { boot_id: "x".repeat(1000), ..hello() }, &terms()),
            RefusedCode::Other as i32
        );
        assert_eq!(code(&Hello { last_epoch: u64::MAX, ..hello() }, &terms()), RefusedCode::Other as i32);
        let unlisted = Terms { unlisted: vec![Kind::Pod], ..terms() };
        assert_eq!(code(&hello(), &unlisted), RefusedCode::NotReady as i32);
        assert!(admit(&hello(), "edge-1", &Terms { unlisted: vec![Kind::Secret], ..terms() }).is_ok());
        assert!(admit(&Hello { cluster_id: "c".into(), ..hello() }, "edge-1", &terms()).is_ok());
    }
}
