//! How a session opens.

/// Lowest protocol version this release speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Highest protocol version this release speaks.
pub const PROTOCOL_MAX: u32 = 1;
/// Version of the projection that bodies are made by: a change of what is projected changes every object's version,
/// and both sides then know that it is not the objects that changed. 2: with conditions that readiness gates name.
pub const PROJECTION_VERSION: u32 = 2;
/// Optional abilities of this release, by name.
pub const FEATURES: [&str; 4] = ["zstd", "streams", FEATURE_DICTIONARY, FEATURE_COMPACT];
/// Reads bodies that are packed by the dictionary `kubernetes-1` ([`crate::Encoding::ZstdKubernetes1`]).
pub const FEATURE_DICTIONARY: &str = "dict1";
/// Of an edge: answers a `WantInventory` that names buckets, and takes a `Welcome` that leaves out what the `Hello` said. Of
/// a cloud: reads an `Inventory` with groups.
pub const FEATURE_COMPACT: &str = "compact";

/// First frame of the edge.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// Lowest protocol version spoken.
    #[prost(uint32, tag = "1")]
    pub protocol_min: u32,
    /// Highest protocol version spoken.
    #[prost(uint32, tag = "2")]
    pub protocol_max: u32,
    /// Abilities, by name; unknown ones are skipped.
    #[prost(string, repeated, tag = "3")]
    pub features: Vec<String>,
    /// Kinds the edge understands, by name.
    #[prost(string, repeated, tag = "4")]
    pub kinds: Vec<String>,
    /// Name of the node; must be the one in the certificate.
    #[prost(string, tag = "5")]
    pub node_name: String,
    /// UID of the Node object the edge knows; empty before the first registration.
    #[prost(string, tag = "6")]
    pub node_uid: String,
    /// UID of the cluster's `kube-system` namespace; empty before the first session.
    #[prost(string, tag = "7")]
    pub cluster_id: String,
    /// Random id of the edge's store, made when it was created: a new one means the state was lost.
    #[prost(string, tag = "8")]
    pub store_id: String,
    /// Boot id of the machine.
    #[prost(string, tag = "9")]
    pub boot_id: String,
    /// Epoch of the last session; 0 before the first.
    #[prost(uint64, tag = "10")]
    pub last_epoch: u64,
    /// Highest resourceVersion seen per kind: a hint by which a replica that lags behind knows that it does.
    #[prost(message, repeated, tag = "11")]
    pub seen: Vec<KindVersion>,
    /// Projection the edge's versions were made by.
    #[prost(uint32, tag = "12")]
    pub projection_version: u32,
    /// Digest of what the edge holds, 16 bytes.
    #[prost(bytes = "vec", tag = "13")]
    pub digest: Vec<u8>,
    /// Number of objects the edge holds.
    #[prost(uint32, tag = "14")]
    pub count: u32,
    /// Version of the agent, for people.
    #[prost(string, tag = "15")]
    pub agent_version: String,
    /// Digest of the last reports per key, 16 bytes, made as an object digest with the report's hash as version.
    #[prost(bytes = "vec", tag = "16")]
    pub reports_digest: Vec<u8>,
    /// Number of keys in `reports_digest`.
    #[prost(uint32, tag = "17")]
    pub reports_count: u32,
    /// [`crate::Version::of`] the trust bundle that the edge has, 16 bytes: the cloud leaves it out of `Welcome` where it is
    /// the same. Empty asks for it.
    #[prost(bytes = "vec", tag = "18")]
    pub trust_bundle: Vec<u8>,
    /// Only as it travels ([`Hello::short`]): a byte whose bits say which of `node_uid`, `store_id` and `boot_id` (lowest
    /// first) are UUIDs, and their bytes, 16 each, in that order.
    #[prost(bytes = "vec", tag = "19")]
    pub uuids: Vec<u8>,
    /// Only as it travels: those of `kinds` that have a number, a bit each.
    #[prost(uint64, tag = "20")]
    pub kind_numbers: u64,
    /// Only as it travels: what belongs into `seen` for each kind in `kind_numbers`, lowest first; 0 where nothing does.
    #[prost(uint64, repeated, tag = "21")]
    pub seen_numbers: Vec<u64>,
}

/// The highest resourceVersion seen of a kind.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct KindVersion {
    /// Kind, by name.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// resourceVersion as the API server wrote it.
    #[prost(string, tag = "2")]
    pub resource_version: String,
}

/// The cloud's answer where it takes the session.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Welcome {
    /// Protocol version of this session.
    #[prost(uint32, tag = "1")]
    pub protocol: u32,
    /// Abilities of the cloud, by name.
    #[prost(string, repeated, tag = "2")]
    pub features: Vec<String>,
    /// Number of this session; grows by every session of the node, whichever replica opens it.
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    /// Wall time of the cloud, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub cloud_time_ms: i64,
    /// Where the node may connect, all of them, best first.
    #[prost(string, repeated, tag = "5")]
    pub endpoints: Vec<String>,
    /// CA certificates (PEM) to verify the cloud by from now on; empty means unchanged.
    #[prost(string, tag = "6")]
    pub trust_bundle: String,
    /// UID of the cluster's `kube-system` namespace.
    #[prost(string, tag = "7")]
    pub cluster_id: String,
    /// Milliseconds between two heartbeats of the edge.
    #[prost(uint32, tag = "8")]
    pub heartbeat_ms: u32,
    /// Kinds that will be kept in step in this session, by name.
    #[prost(string, repeated, tag = "9")]
    pub kinds: Vec<String>,
    /// Projection the cloud's versions are made by.
    #[prost(uint32, tag = "10")]
    pub projection_version: u32,
    /// UID of the Node object, empty where there is none yet.
    #[prost(string, tag = "11")]
    pub node_uid: String,
    /// Name of the replica, for people.
    #[prost(string, tag = "12")]
    pub replica: String,
    /// `cluster_id`, `node_uid` and `kinds` are as the `Hello` says, and left out here.
    #[prost(bool, tag = "13")]
    pub as_said: bool,
}

impl Welcome {
    /// As it is sent in answer to this `Hello`: an edge that says [`FEATURE_COMPACT`] is not told what it said.
    #[must_use]
    pub fn without_what_was_said(self, hello: &Hello) -> Self {
        let compact = hello.features.iter().any(|feature| feature == FEATURE_COMPACT);
        let all_kinds =
            self.kinds.len() == hello.kinds.len() && self.kinds.iter().all(|kind| hello.kinds.contains(kind));
        let same = all_kinds && self.cluster_id == hello.cluster_id && self.node_uid == hello.node_uid;
        if !compact || !same {
            return self;
        }
        Self { cluster_id: String::new(), node_uid: String::new(), kinds: Vec::new(), as_said: true, ..self }
    }

    /// As it is meant in answer to this `Hello`.
    #[must_use]
    pub fn with_what_was_said(self, hello: &Hello) -> Self {
        if !self.as_said {
            return self;
        }
        let Hello { cluster_id, node_uid, kinds, .. } = hello.clone();
        Self { cluster_id, node_uid, kinds, as_said: false, ..self }
    }
}

/// Why a session was not opened. The number stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum RefusedCode {
    /// Something else; the reason says what.
    Other = 0,
    /// No protocol version in common.
    Protocol = 1,
    /// The name in `Hello` is not the one in the certificate.
    WrongName = 2,
    /// The certificate is not (or no longer) the one on record for this node.
    Revoked = 3,
    /// The edge belongs to another cluster: nothing is adopted and nothing deleted.
    WrongCluster = 4,
    /// The replica is not ready or lags behind; try again, or elsewhere.
    NotReady = 5,
    /// Another session of this node is newer.
    Superseded = 6,
}

/// The cloud's answer where it does not take the session.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Refused {
    /// Why, for programs.
    #[prost(enumeration = "RefusedCode", tag = "1")]
    pub code: i32,
    /// Why, for people.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// Not before this many milliseconds; 0 leaves it to the edge.
    #[prost(uint32, tag = "3")]
    pub retry_after_ms: u32,
}

/// The highest version that both sides speak.
pub const fn agree(ours: (u32, u32), theirs: (u32, u32)) -> Option<u32> {
    let high = if ours.1 < theirs.1 { ours.1 } else { theirs.1 };
    let low = if ours.0 > theirs.0 { ours.0 } else { theirs.0 };
    if low <= high { Some(high) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_welcome_leaves_out_what_was_said_where_all_of_it_is_the_same_and_the_edge_takes_that() {
        let hello = Hello {
            features: vec![FEATURE_COMPACT.to_owned()],
            kinds: vec!["Pod".to_owned(), "Node".to_owned()],
            cluster_id: "c".to_owned(),
            node_uid: "n".to_owned(),
            ..Hello::default()
        };
        let welcome = Welcome {
            epoch: 7,
            kinds: vec!["Node".to_owned(), "Pod".to_owned()],
            cluster_id: "c".to_owned(),
            node_uid: "n".to_owned(),
            ..Welcome::default()
        };
        let short = welcome.clone().without_what_was_said(&hello);
        assert_eq!(short, Welcome { epoch: 7, as_said: true, ..Welcome::default() });
        let whole = short.with_what_was_said(&hello);
        assert_eq!(whole, Welcome { kinds: hello.kinds.clone(), ..welcome.clone() });
        let told = |welcome: &Welcome, hello: &Hello| {
            let sent = welcome.clone().without_what_was_said(hello);
            assert_eq!(&sent, welcome);
            assert_eq!(&sent.with_what_was_said(hello), welcome);
        };
        told(&welcome, &Hello { features: Vec::new(), ..hello.clone() });
        // A Node that is gone is not one that stayed.
        told(&Welcome { node_uid: String::new(), ..welcome.clone() }, &hello);
        told(&Welcome { kinds: vec!["Pod".to_owned()], ..welcome.clone() }, &hello);
        told(&welcome, &Hello { cluster_id: String::new(), ..hello });
    }

    #[test]
    fn highest_common_version_wins() {
        assert_eq!(agree((1, 2), (1, 1)), Some(1));
        assert_eq!(agree((1, 3), (2, 5)), Some(3));
        assert_eq!(agree((1, 1), (2, 3)), None);
    }
}
