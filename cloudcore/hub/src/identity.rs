//! Who a certificate belongs to: asked of the identity records, which are somebody else's.

use std::future::Future;

/// Why a certificate is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It is not (or no longer) the one on record.
    Revoked(String),
    /// It cannot be told for the moment.
    Unavailable(String),
}

/// The identity records.
pub trait Identities: Send + Sync + 'static {
    /// Whether this key is the one on record for this node.
    fn check(&self, identity: &pki::Identity) -> impl Future<Output = Result<(), Denied>> + Send;

    /// The UID of the Node that the node's key was last seen with. The error says why it cannot be told now.
    fn node_uid(&self, node: &str) -> impl Future<Output = Result<Option<String>, String>> + Send;

    /// When the node's record was made, by the API server's clock; `None` where it cannot be told from the record.
    fn since(&self, node: &str) -> impl Future<Output = Result<Option<kit::WallTime>, String>> + Send;

    /// The node's Node exists, with this UID. Called often; written once. The error says why it was not.
    fn registered(&self, node: &str, uid: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// The Node was deleted: its key is of no use any more. The error says why that could not be written.
    fn revoke(&self, node: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// CA certificates that the edge shall trust from now on, PEM.
    fn trust_bundle(&self) -> String;
}
