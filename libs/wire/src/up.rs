//! What the edge says.

use crate::body::Body;

/// One beat. The cloud renews the node's Lease on it while `engine_alive`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Heartbeat {
    /// Number of the beat within the session, from 1.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// The pod engine made a round lately.
    #[prost(bool, tag = "2")]
    pub engine_alive: bool,
    /// Now and then the digest of what the edge holds, 16 bytes; else empty.
    #[prost(bytes = "vec", tag = "3")]
    pub digest: Vec<u8>,
    /// Last frame that `digest` stands for.
    #[prost(uint64, tag = "4")]
    pub applied: u64,
}

/// Everything up to this frame is on the edge's disk.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Ack {
    /// Last frame committed.
    #[prost(uint64, tag = "1")]
    pub frame: u64,
    /// Objects among them that could not be applied.
    #[prost(message, repeated, tag = "2")]
    pub rejected: Vec<Rejected>,
}

/// An object that could not be applied. It counts in digest and inventory all the same, and is sent again only in
/// a new version or to a new agent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Rejected {
    /// Kind, by name.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// Name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// UID.
    #[prost(string, tag = "4")]
    pub uid: String,
    /// Why, for people.
    #[prost(string, tag = "5")]
    pub reason: String,
}

/// At a `SyncPoint` the edge's digest was another: it asks to be compared again.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Mismatch {
    /// The `SyncPoint`'s frame.
    #[prost(uint64, tag = "1")]
    pub frame: u64,
    /// The edge's digest, 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub digest: Vec<u8>,
    /// The edge's number of objects.
    #[prost(uint32, tag = "3")]
    pub count: u32,
}

/// The latest state of something the edge owns. Last value wins per UID.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Report {
    /// Id, growing within the store; the acknowledgement names it.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Kind, by name: `Pod` or `Node` so far.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// Namespace of the object.
    #[prost(string, tag = "3")]
    pub namespace: String,
    /// Name of the object.
    #[prost(string, tag = "4")]
    pub name: String,
    /// UID of the object; for a Node that does not exist yet, empty.
    #[prost(string, tag = "5")]
    pub uid: String,
    /// What is reported, canonical JSON, and always the whole of what the edge owns: a field that is left out is
    /// removed in the cluster. [`crate::owned`] lists the fields and the conditions that are taken; others are
    /// ignored. Times are RFC 3339 in whole seconds, quantities in canonical form.
    ///
    /// - Pod: `{"status":{…}}`. `conditions` as in [`crate::owned::POD_CONDITIONS`], each with type, status,
    ///   lastTransitionTime and, where there are any, reason and message.
    /// - Pod of which nothing is left on the edge (containers, sandbox, volumes): `{"deleted":true,"status":{…}}`
    ///   with its last status; the cloud finishes the deletion if the pod is being deleted.
    /// - Node: `{"labels":{…},"annotations":{…},"status":{…}}`. Conditions as in [`crate::owned::NODE_CONDITIONS`]
    ///   without lastHeartbeatTime and lastTransitionTime, which the cloud writes as upstream does. Labels that
    ///   NodeRestriction would refuse are left out by the cloud; `node-role.kubernetes.io/edge` it sets itself.
    #[prost(message, optional, tag = "6")]
    pub body: Option<Body>,
}

/// Hashes of the last report per key, in answer to `WantReports{inventory}`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReportInventory {
    /// Keys with hashes.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<ReportItem>,
    /// This is the last part.
    #[prost(bool, tag = "2")]
    pub last: bool,
}

/// The last report of one key.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReportItem {
    /// Kind, by name.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// UID of the object.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// [`crate::owned::report_hash`] of the report's body, 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub hash: Vec<u8>,
}

/// A question of the edge.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Call {
    /// Id within the session.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Milliseconds within which an answer is of use.
    #[prost(uint32, tag = "2")]
    pub deadline_ms: u32,
    /// The question.
    #[prost(oneof = "call::Request", tags = "3")]
    pub request: Option<call::Request>,
}

/// What may be asked.
pub mod call {
    /// The question itself.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Request {
        /// A service-account token for a pod of this node.
        #[prost(message, tag = "3")]
        Token(super::TokenRequest),
    }
}

/// Asks for a service-account token bound to a pod, with exactly the values of one projection in the pod's spec.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TokenRequest {
    /// Namespace of pod and service account.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Service account.
    #[prost(string, tag = "2")]
    pub service_account: String,
    /// Pod the token is bound to.
    #[prost(string, tag = "3")]
    pub pod_name: String,
    /// Its UID.
    #[prost(string, tag = "4")]
    pub pod_uid: String,
    /// Audiences; empty means the API server's own.
    #[prost(string, repeated, tag = "5")]
    pub audiences: Vec<String>,
    /// Seconds of life wanted.
    #[prost(int64, tag = "6")]
    pub expiration_seconds: i64,
}

/// An entry of the edge's journal: kept on its disk until acknowledged, at least once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// Sequence number; with the store's id it is the entry's identity for ever.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// What it is: `events` so far.
    #[prost(string, tag = "2")]
    pub stream: String,
    /// When it happened, milliseconds since 1970, corrected by the cloud's clock.
    #[prost(int64, tag = "3")]
    pub time_ms: i64,
    /// 0 (may be dropped first) to 9.
    #[prost(uint32, tag = "4")]
    pub priority: u32,
    /// Of no use after so many milliseconds since `time_ms`; 0 means never.
    #[prost(uint64, tag = "5")]
    pub expires_after_ms: u64,
    /// The content: for `events` an `events.k8s.io/v1` Event as JSON: `regarding` (kind, namespace, name, uid of a
    /// Pod of this node, or this Node), `reason`, `note`, `type` (`Normal` or `Warning`), and, if wanted, `action`,
    /// `reportingController`, `related`. The cloud fills in metadata (name, namespace), eventTime and
    /// reportingInstance.
    #[prost(message, optional, tag = "6")]
    pub body: Option<Body>,
}
