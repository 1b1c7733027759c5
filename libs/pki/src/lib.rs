//! Keys, certificates and join tokens, for both sides.
//!
//! One CA per installation ([`Authority`], in a Secret of the cluster) signs two kinds of certificate: the serving
//! certificate of each cloudcore replica, and one client certificate per edge node. An edge makes its key itself
//! ([`NodeKey`]), proves that it holds it by a CSR, and of that CSR nothing but the public key is believed: name,
//! group, purpose and validity are written by the CA. Who somebody is ([`Identity`]) is read from a verified client
//! certificate and from nowhere else.
//!
//! A node that joins trusts the CA by the hash of its public key in the [`JoinToken`]; afterwards by its stored
//! trust bundle. All TLS is version 1.3 with one provider ([`provider`]), passed explicitly: nothing here installs a
//! process-wide default. Time comes from [`kit::Clock`]; a certificate that is "not yet valid" by an edge's clock is
//! taken (that clock may be years behind after a boot, and only the cloud can correct it), an expired one never is.
//!
//! Deliberately absent: sockets (`link`, `cloudcore-join`), Kubernetes, and rotation rules (they come with renewal).

mod authority;
mod errors;
mod identity;
pub mod io;
mod join;
mod names;
mod spki;
mod subject;
mod tls;
mod token;
mod verify;

pub use authority::{Authority, NodeKey, NodeRequest, Serving};
pub use errors::PkiError;
pub use identity::{Identity, NodeIdentity};
pub use join::{JoinAnswer, JoinRefusal, JoinRequest, MAX_JOIN_BODY};
pub use names::{NODE_GROUP, NODE_PREFIX, check_node_name, check_pattern, matches_pattern};
pub use spki::{BadSpki, Spki};
pub use subject::Subject;
pub use tls::{join_client, join_server, kubelet_server, link_client, link_server, provider};
pub use token::{Bound, JoinToken, MAX_TOKEN, SecretHash, TokenError, TokenSecret};
