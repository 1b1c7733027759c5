//! What can be wrong with keys and certificates.

use std::path::PathBuf;

use thiserror::Error;

/// Why a key, a certificate, a request or a TLS configuration is not usable.
#[derive(Debug, Error)]
pub enum PkiError {
    /// No randomness, so no keys.
    #[error("cannot make a key or serial number")]
    Random(#[source] kit::random::NoRandomness),
    /// A key could not be made or read.
    #[error("cannot use the key of {0}")]
    Key(&'static str, #[source] rcgen::Error),
    /// A certificate could not be made.
    #[error("cannot sign the certificate of {0}")]
    Sign(String, #[source] rcgen::Error),
    /// The signing request is not one, is not signed by its own key, or has a key of another kind.
    #[error("certificate signing request: {0}")]
    Request(&'static str),
    /// The certificate does not say what it must.
    #[error("certificate: {0}")]
    Certificate(&'static str),
    /// Not PEM, or not the items wanted.
    #[error("{0} is not the PEM expected")]
    Pem(&'static str),
    /// A node's name that Kubernetes would not take.
    #[error("{0}")]
    Name(String),
    /// Rustls refuses keys or certificates.
    #[error("TLS for {0} cannot be set up")]
    Tls(&'static str, #[source] rustls::Error),
    /// No verifier can be made of these CA certificates.
    #[error("CA certificates are not usable")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    /// A file cannot be read or written.
    #[error("cannot {what} {path}")]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
