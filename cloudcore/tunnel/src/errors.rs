//! What can go wrong before a caller is answered.

use thiserror::Error;

/// Why the endpoint cannot serve.
#[derive(Debug, Error)]
pub enum TunnelError {
    /// The certificates cannot be used.
    #[error("cannot set up TLS for the kubelet's endpoints")]
    Tls(#[source] pki::PkiError),
    /// Nobody can be let in.
    #[error("cannot wait for callers of kubelets")]
    Door(#[source] std::io::Error),
    /// The cluster does not tell which CA its callers have.
    #[error("cannot read the CA of callers")]
    ClientCa(#[source] cloudcore_kube::KubeError),
}
