//! Who somebody of the cluster is, by a client certificate.

use x509_parser::prelude::FromDer;

use crate::errors::PkiError;

/// The user that a client certificate of the cluster's CA names, as the API server reads it: the common name is the
/// user, each organisation a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Name of the user.
    pub name: String,
    /// Groups of the user.
    pub groups: Vec<String>,
}

impl Subject {
    /// From a certificate (DER) that TLS has verified. One without a common name is nobody's.
    pub fn of_certificate(der: &[u8]) -> Result<Self, PkiError> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
            .map_err(|_| PkiError::Certificate("not a certificate"))?;
        let subject = certificate.subject();
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().map(str::to_owned).map_err(|_| PkiError::Certificate("its subject is no text"))
        };
        // Where it names several, Go's reading takes the last.
        let name = subject.iter_common_name().last().map(text).transpose()?.filter(|name| !name.is_empty());
        let name = name.ok_or(PkiError::Certificate("has no common name"))?;
        Ok(Self { name, groups: subject.iter_organization().map(text).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, NodeKey};
    use kit::WallTime;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    #[test]
    fn common_name_and_organisations() {
        let authority = Authority::create(WallTime(0)).unwrap();
        let request = Authority::check_request(&NodeKey::create().unwrap().request().unwrap()).unwrap();
        let pem = authority.issue_node("edge", &request, WallTime(0)).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let subject = Subject::of_certificate(&der).unwrap();
        assert_eq!((&*subject.name, &*subject.groups[0]), ("system:node:edge", "system:nodes"));
        assert_eq!(subject.groups.len(), 1);
        assert!(Subject::of_certificate(b"x").is_err());
    }
}
