//! What travels when a node joins: `POST /v1/join` on the join endpoint, JSON both ways.

use kit::Masked;
use serde::{Deserialize, Serialize};

/// Longest body of a request or an answer, in bytes.
pub const MAX_JOIN_BODY: usize = 64 * 1024;

/// What the node sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRequest {
    /// Id of the join token.
    pub token_id: String,
    /// Its secret.
    pub token_secret: Masked<String>,
    /// The name the node wants.
    pub node_name: String,
    /// CSR, PEM; only its key and the proof that the node holds it are used.
    pub csr: String,
}

/// What the node gets, with status 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinAnswer {
    /// The node's certificate and what leads from it to the CA, PEM.
    pub certificate: String,
    /// CA certificates to verify the cloud by, PEM.
    pub trust_bundle: String,
    /// Where to connect, best first.
    pub endpoints: Vec<String>,
    /// UID of the cluster's `kube-system` namespace.
    pub cluster_id: String,
    /// Wall time of the cloud, milliseconds since 1970.
    #[serde(default)]
    pub cloud_time_ms: i64,
}

/// What the node gets with any other status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRefusal {
    /// Why, in one line, for people.
    pub reason: String,
}
