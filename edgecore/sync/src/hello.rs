//! How a session opens: what the edge says of itself, and what it makes of the answer.

use std::time::Duration;

use edgecore_store::{Meta, Welcomed};
use thiserror::Error;
use wire::{
    Digest, DownFrame, FEATURES, Hello, KINDS, KindVersion, PROTOCOL_MAX, PROTOCOL_MIN, RefusedCode, Version,
    Welcome, down_frame::Content,
};

/// Who the edge is, besides what its store says.
#[derive(Debug, Clone)]
pub(crate) struct Who<'a> {
    pub(crate) node_name: &'a str,
    pub(crate) boot_id: &'a str,
    pub(crate) agent_version: &'a str,
    /// The trust bundle; empty where there is none that can be read.
    pub(crate) trust_bundle: &'a str,
}

/// The first frame.
pub(crate) fn hello(who: &Who<'_>, meta: &Meta, objects: (Digest, u32), reports: (Digest, u32)) -> Hello {
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        features: FEATURES.map(str::to_owned).to_vec(),
        kinds: KINDS.map(|kind| kind.name().to_owned()).to_vec(),
        node_name: who.node_name.to_owned(),
        node_uid: meta.node_uid.clone().unwrap_or_default(),
        cluster_id: meta.cluster_id.clone().unwrap_or_default(),
        store_id: meta.store_id.clone(),
        boot_id: who.boot_id.to_owned(),
        last_epoch: meta.last_epoch,
        seen: meta
            .seen
            .iter()
            .map(|(kind, version)| KindVersion { kind: kind.clone(), resource_version: version.clone() })
            .collect(),
        projection_version: meta.projection_version,
        digest: objects.0.to_vec(),
        count: objects.1,
        agent_version: who.agent_version.to_owned(),
        reports_digest: reports.0.to_vec(),
        reports_count: reports.1,
        trust_bundle: Version::of(who.trust_bundle.as_bytes()).to_vec(),
        ..Hello::default()
    }
}

/// Why no session came of an answer. What runs on the node goes on in every case.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NotWelcome {
    /// The cloud refused.
    #[error("the cloud refused the session ({code:?}): {reason}")]
    Refused {
        /// Why, for programs.
        code: RefusedCode,
        /// Why, for people.
        reason: String,
        /// When to come back, where it said that.
        retry_after: Option<Duration>,
    },
    /// The cloud is another cluster's than the one whose objects are here.
    #[error(
        "the cloud is of cluster {found} and this node belongs to {ours}: nothing adopted, nothing deleted"
    )]
    OtherCluster {
        /// The cluster known here.
        ours: String,
        /// The cluster that answered.
        found: String,
    },
    /// It speaks another protocol.
    #[error("the cloud chose protocol {0}, which this release does not speak")]
    Protocol(u32),
    /// It sent something else first.
    #[error("the cloud's first frame was neither Welcome nor Refused")]
    Unexpected,
}

impl NotWelcome {
    /// Whether coming back soon is of no use: somebody has to do something first.
    pub(crate) const fn lasting(&self) -> bool {
        match self {
            Self::Refused { code, .. } => matches!(
                code,
                RefusedCode::Protocol
                    | RefusedCode::WrongName
                    | RefusedCode::Revoked
                    | RefusedCode::WrongCluster
            ),
            Self::OtherCluster { .. } | Self::Protocol(_) => true,
            Self::Unexpected => false,
        }
    }

    /// A lasting refusal is asked about again every half a minute at the least: a person may have put it right.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let said = match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::OtherCluster { .. } | Self::Protocol(_) | Self::Unexpected => None,
        };
        let lasting = self.lasting().then_some(Duration::from_secs(30));
        said.max(lasting)
    }
}

/// What the cloud's first frame means, in answer to this `Hello`.
pub(crate) fn judge(answer: DownFrame, hello: &Hello, meta: &Meta) -> Result<Welcome, NotWelcome> {
    let welcome = match answer.content {
        Some(Content::Welcome(welcome)) => welcome.with_what_was_said(hello),
        Some(Content::Refused(refused)) => {
            return Err(NotWelcome::Refused {
                code: refused.code(),
                retry_after: Some(Duration::from_millis(refused.retry_after_ms.into()))
                    .filter(|wait| !wait.is_zero()),
                reason: refused.reason,
            });
        }
        _ => return Err(NotWelcome::Unexpected),
    };
    if !(PROTOCOL_MIN..=PROTOCOL_MAX).contains(&welcome.protocol) {
        return Err(NotWelcome::Protocol(welcome.protocol));
    }
    if let Some(ours) = meta.cluster_id.as_ref().filter(|ours| **ours != welcome.cluster_id) {
        return Err(NotWelcome::OtherCluster { ours: ours.clone(), found: welcome.cluster_id });
    }
    Ok(welcome)
}

/// What of a `Welcome` goes into the store.
pub(crate) fn kept(welcome: &Welcome) -> Welcomed {
    Welcomed {
        cluster_id: welcome.cluster_id.clone(),
        epoch: welcome.epoch,
        endpoints: welcome.endpoints.clone(),
        trust_bundle: Some(welcome.trust_bundle.clone()).filter(|bundle| !bundle.is_empty()),
        node_uid: Some(welcome.node_uid.clone()).filter(|uid| !uid.is_empty()),
        projection_version: welcome.projection_version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Refused;

    fn meta(cluster: Option<&str>) -> Meta {
        Meta { cluster_id: cluster.map(str::to_owned), ..Meta::default() }
    }

    fn welcome(cluster: &str) -> Welcome {
        Welcome { protocol: 1, cluster_id: cluster.to_owned(), ..Welcome::default() }
    }

    #[test]
    fn the_first_cluster_is_adopted_and_no_other() {
        let judge = |welcome: Welcome, ours| judge(welcome.into(), &Hello::default(), &meta(ours));
        assert!(judge(welcome("c"), None).is_ok());
        assert!(judge(welcome("c"), Some("c")).is_ok());
        let refusal = judge(welcome("d"), Some("c")).unwrap_err();
        assert!(refusal.lasting() && refusal.to_string().contains("nothing deleted"));
    }

    #[test]
    fn what_the_cloud_leaves_out_is_what_the_hello_said() {
        let hello = Hello { cluster_id: "c".to_owned(), node_uid: "n".to_owned(), ..Hello::default() };
        let short = Welcome { as_said: true, ..welcome("") };
        let kept = kept(&judge(short.into(), &hello, &meta(Some("c"))).unwrap());
        assert_eq!((kept.cluster_id.as_str(), kept.node_uid.as_deref()), ("c", Some("n")));
    }

    #[test]
    fn refusals_say_why_and_when_to_come_back() {
        let refused = |code: RefusedCode, retry_after_ms| {
            let refused = Refused { code: code.into(), reason: "because".to_owned(), retry_after_ms };
            judge(refused.into(), &Hello::default(), &meta(None)).unwrap_err()
        };
        let soon = refused(RefusedCode::NotReady, 1500);
        assert_eq!((soon.lasting(), soon.retry_after()), (false, Some(Duration::from_millis(1500))));
        assert!(soon.to_string().contains("because"));
        let revoked = refused(RefusedCode::Revoked, 0);
        assert_eq!((revoked.lasting(), revoked.retry_after()), (true, Some(Duration::from_secs(30))));
        assert_eq!(refused(RefusedCode::Superseded, 0).retry_after(), None);
        // A code newer than this release is something else, not a fault.
        let newer = Refused { code: 77, ..Refused::default() };
        assert!(!judge(newer.into(), &Hello::default(), &meta(None)).unwrap_err().lasting());
    }

    #[test]
    fn anything_else_is_no_answer() {
        let judge = |frame: DownFrame| judge(frame, &Hello::default(), &meta(None)).unwrap_err();
        assert_eq!(judge(wire::InSync::default().into()), NotWelcome::Unexpected);
        let future = Welcome { protocol: 9, ..welcome("c") };
        assert_eq!(judge(future.into()), NotWelcome::Protocol(9));
    }

    #[test]
    fn the_hello_carries_what_the_store_knows() {
        let meta = Meta {
            seen: vec![("Pod".to_owned(), "9".to_owned())],
            last_epoch: 4,
            projection_version: 1,
            ..meta(Some("c"))
        };
        let who = Who { node_name: "n", boot_id: "b", agent_version: "v", trust_bundle: "PEM" };
        let hello = hello(&who, &meta, (Digest(1), 2), (Digest(3), 4));
        assert_eq!((hello.cluster_id.as_str(), hello.last_epoch, hello.count), ("c", 4, 2));
        assert_eq!((hello.reports_count, hello.seen.len(), hello.kinds.len()), (4, 1, KINDS.len()));
        assert_eq!(Digest::from_slice(&hello.digest), Some(Digest(1)));
        assert_eq!(hello.trust_bundle, Version::of(b"PEM").to_vec());
    }
}
