//! Who a node is: what its certificate says, and the file it keeps.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::FromDer;

use crate::authority::NodeKey;
use crate::errors::PkiError;
use crate::names::{NODE_GROUP, NODE_PREFIX, check_node_name};
use crate::spki::Spki;

/// Who a peer is, read from the client certificate that TLS has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the node.
    pub node: String,
    /// Hash of its public key, to be compared with the identity record.
    pub spki: Spki,
}

impl Identity {
    /// From a verified certificate: exactly one common name `system:node:NAME` and the organisation `system:nodes`.
    pub fn of_certificate(der: &[u8]) -> Result<Self, PkiError> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
            .map_err(|_| PkiError::Certificate("not a certificate"))?;
        let subject = certificate.subject();
        let mut names = subject.iter_common_name();
        let (Some(common), None) = (names.next(), names.next()) else {
            return Err(PkiError::Certificate("must have exactly one common name"));
        };
        let node = common
            .as_str()
            .ok()
            .and_then(|name| name.strip_prefix(NODE_PREFIX))
            .ok_or(PkiError::Certificate("common name is not that of a node"))?;
        check_node_name(node)?;
        if !subject.iter_organization().any(|group| group.as_str() == Ok(NODE_GROUP)) {
            return Err(PkiError::Certificate("organisation is not that of nodes"));
        }
        Ok(Self { node: node.to_owned(), spki: Spki::of_key_info(certificate.public_key().raw) })
    }
}

/// A node's key and certificate chain, as `identity.pem` keeps them: one file, so that they cannot part.
pub struct NodeIdentity {
    key_pem: kit::Masked<String>,
    chain_pem: String,
    identity: Identity,
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeIdentity").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl NodeIdentity {
    /// Puts a key and the chain that was signed for it together; refuses a chain for another key.
    pub fn new(key: &NodeKey, chain_pem: &str) -> Result<Self, PkiError> {
        let leaf = chain(chain_pem)?.into_iter().next().ok_or(PkiError::Pem("certificate chain"))?;
        let identity = Identity::of_certificate(&leaf)?;
        if identity.spki != key.spki() {
            return Err(PkiError::Certificate("is not of the node's key"));
        }
        Ok(Self { key_pem: key.pem(), chain_pem: chain_pem.to_owned(), identity })
    }

    /// Reads what [`NodeIdentity::to_pem`] wrote.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        let end = "-----END PRIVATE KEY-----";
        let at = text.find(end).ok_or(PkiError::Pem("identity"))? + end.len();
        let (key, chain) = text.split_at_checked(at).ok_or(PkiError::Pem("identity"))?;
        Self::new(&NodeKey::load(key)?, chain.trim_start())
    }

    /// The file's content: the key, then the chain.
    pub fn to_pem(&self) -> kit::Masked<String> {
        kit::Masked(format!("{}\n{}", self.key_pem.0.trim_end(), self.chain_pem))
    }

    /// Its key, to make requests with.
    pub fn key(&self) -> Result<NodeKey, PkiError> {
        NodeKey::load(&self.key_pem.0)
    }

    /// Who this is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> Result<kit::WallTime, PkiError> {
        let leaf = chain(&self.chain_pem)?.into_iter().next().ok_or(PkiError::Pem("certificate chain"))?;
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&leaf)
            .map_err(|_| PkiError::Certificate("not a certificate"))?;
        Ok(kit::WallTime(certificate.validity().not_after.timestamp().saturating_mul(1000)))
    }

    /// What rustls presents.
    pub(crate) fn for_tls(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.0.as_bytes())
            .map_err(|_| PkiError::Pem("the node's key"))?;
        Ok((chain(&self.chain_pem)?, key))
    }
}

/// Certificates of a PEM text, in order; at least one.
pub(crate) fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    /// More certificates than any chain or bundle of ours has.
    const MOST: usize = 32;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| PkiError::Pem("certificate chain"))?;
    if certificates.is_empty() || certificates.len() > MOST {
        return Err(PkiError::Pem("certificate chain"));
    }
    Ok(certificates)
}
