//! What the cloud says.

use crate::body::Body;
use crate::hello::KindVersion;

/// The digests agree; nothing will be sent until something changes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct InSync {
    /// The digest both sides hold.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
    /// The resourceVersions the cloud's state was read at; hints. Those that the `Hello` says are left out.
    #[prost(message, repeated, tag = "2")]
    pub seen: Vec<KindVersion>,
}

/// Asks for the inventory (kind, uid, version) of what the edge holds: of everything where no buckets are named.
///
/// Only an edge that says [`crate::FEATURE_COMPACT`] is asked with buckets: first for the digest of each, and then for what
/// is in those that differ.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WantInventory {
    /// Into so many buckets what is held is put ([`crate::Buckets`]); 0 means no buckets.
    #[prost(uint32, tag = "1")]
    pub buckets: u32,
    /// The buckets whose objects are wanted, in ascending order. None asks for the digests.
    #[prost(uint32, repeated, tag = "2")]
    pub wanted: Vec<u32>,
}

/// An object as it should be.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Upsert {
    /// Number of the frame, growing by one within a session over `Upsert`, `Delete` and `SyncPoint`.
    #[prost(uint64, tag = "1")]
    pub frame: u64,
    /// Kind, by name.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// Namespace; empty for cluster-wide kinds.
    #[prost(string, tag = "3")]
    pub namespace: String,
    /// Name.
    #[prost(string, tag = "4")]
    pub name: String,
    /// UID in the cluster.
    #[prost(string, tag = "5")]
    pub uid: String,
    /// Hash of the canonical body, 16 bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub version: Vec<u8>,
    /// The projection, canonical JSON.
    #[prost(message, optional, tag = "7")]
    pub body: Option<Body>,
    /// The resourceVersion up to which the cloud had seen this kind; empty where it is the one last said of the kind by the
    /// `Hello` or with an object of this session. The edge keeps it with the object: a session may end before the
    /// `SyncPoint`, and a replica that has not seen the object yet must know that it lags.
    #[prost(string, tag = "8")]
    pub seen: String,
}

/// An object that should no longer be there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Delete {
    /// Number of the frame.
    #[prost(uint64, tag = "1")]
    pub frame: u64,
    /// Kind, by name.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// UID in the cluster: a successor of the same name is another object.
    #[prost(string, tag = "3")]
    pub uid: String,
    /// As [`Upsert::seen`].
    #[prost(string, tag = "4")]
    pub seen: String,
}

/// What was sent so far makes a whole: the edge compares digests here.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SyncPoint {
    /// Number of the frame.
    #[prost(uint64, tag = "1")]
    pub frame: u64,
    /// Digest of the desired set, 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub digest: Vec<u8>,
    /// Number of objects in it.
    #[prost(uint32, tag = "3")]
    pub count: u32,
    /// The resourceVersions the cloud's state was read at; hints.
    #[prost(message, repeated, tag = "4")]
    pub seen: Vec<KindVersion>,
}

/// Answer to a heartbeat.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HeartbeatAck {
    /// Number of the heartbeat answered.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// Now and then the digest the cloud believes the edge holds, 16 bytes; else empty.
    #[prost(bytes = "vec", tag = "2")]
    pub digest: Vec<u8>,
}

/// The API server took these reports.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReportAck {
    /// Ids of the reports.
    #[prost(uint64, repeated, tag = "1")]
    pub ids: Vec<u64>,
}

/// A report that will never be taken; the edge records it and does not send it again.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReportRefused {
    /// Id of the report.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Why, for people: the API server's words where they are its.
    #[prost(string, tag = "2")]
    pub reason: String,
}

/// Asks for reports to be sent again, because the cluster shows something else than was last reported.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WantReports {
    /// Send the inventory of all reports first ([`crate::ReportInventory`]); `uids` is then empty.
    #[prost(bool, tag = "1")]
    pub inventory: bool,
    /// UIDs of the objects whose reports are wanted.
    #[prost(string, repeated, tag = "2")]
    pub uids: Vec<String>,
}

/// The end of a call.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CallReply {
    /// Id of the call.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What came of it.
    #[prost(oneof = "call_reply::Result", tags = "2, 3")]
    pub result: Option<call_reply::Result>,
}

/// What a call may end in.
pub mod call_reply {
    /// Success or failure.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Result {
        /// The answer: the API server's JSON (for a token the whole TokenRequest).
        #[prost(bytes = "vec", tag = "2")]
        Ok(Vec<u8>),
        /// Why there is none.
        #[prost(message, tag = "3")]
        Err(Failure),
    }

    /// Why a call failed.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct Failure {
        /// HTTP status that fits: 400, 403, 404, 409, 422, 429, 503 or 504.
        #[prost(uint32, tag = "1")]
        pub status: u32,
        /// Why, for people.
        #[prost(string, tag = "2")]
        pub reason: String,
    }
}

/// The session ends because the cloud says so.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GoAway {
    /// Why, for people.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// Not before this many milliseconds.
    #[prost(uint32, tag = "2")]
    pub retry_after_ms: u32,
}

/// Journal entries that arrived for good.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EntryAck {
    /// Sequence numbers.
    #[prost(uint64, repeated, tag = "1")]
    pub seqs: Vec<u64>,
    /// Of those, the ones refused for good, with the reason at the same place in `reasons`.
    #[prost(uint64, repeated, tag = "2")]
    pub refused: Vec<u64>,
    /// Reasons of `refused`.
    #[prost(string, repeated, tag = "3")]
    pub reasons: Vec<String>,
}
