//! The CA and what it signs.

use std::time::Duration;

use kit::WallTime;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::FromDer;

use crate::errors::PkiError;
use crate::names::{NODE_GROUP, NODE_PREFIX, check_node_name};
use crate::spki::Spki;

const DAY: u64 = 24 * 3600;
const CA_LIFE: Duration = Duration::from_secs(3650 * DAY);
const LEAF_LIFE: Duration = Duration::from_secs(365 * DAY);
/// Validity begins so long before the moment of signing, for verifiers whose clocks are behind.
const BACKDATE: Duration = Duration::from_hours(1);
/// Longest CSR taken, in bytes of PEM; one with a P-256 key has about 500.
const MAX_REQUEST: usize = 8 * 1024;

/// The CA: its certificate and its key. Whoever holds it can be any node.
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: kit::Masked<String>,
    issuer: Issuer<'static, KeyPair>,
    not_after: WallTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// A serving certificate with its chain (CA included) and key.
#[derive(Debug)]
pub struct Serving {
    /// Leaf first, the CA last: a joining node finds the pinned key there.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Makes a new CA, valid for ten years from `now`.
    pub fn create(now: WallTime) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| PkiError::Key("the CA", e))?;
        // A name of its own, so that verifiers tell an unknown CA from a forged signature, and bundles hold several.
        let number = u32::from_be_bytes(kit::random::bytes().map_err(PkiError::Random)?);
        let mut params = params(&format!("skerry-ca-{number:08x}"), None, now, CA_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&key).map_err(|e| PkiError::Sign("the CA".to_owned(), e))?;
        Self::load(&certificate.pem(), &key.serialize_pem())
    }

    /// Reads a CA from its certificate and PKCS#8 key, both PEM, and checks that they belong together.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| PkiError::Pem("the CA's certificate"))?;
        let key = KeyPair::from_pem(key_pem).map_err(|e| PkiError::Key("the CA", e))?;
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&certificate)
            .map_err(|_| PkiError::Certificate("the CA's is not a certificate"))?;
        if !parsed.is_ca() {
            return Err(PkiError::Certificate("the CA's may not sign others"));
        }
        if parsed.public_key().subject_public_key.as_ref() != key.public_key_raw() {
            return Err(PkiError::Certificate("the CA's is not of the CA's key"));
        }
        let not_after = WallTime(parsed.validity().not_after.timestamp().saturating_mul(1000));
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| PkiError::Key("the CA", e))?;
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: kit::Masked(key_pem.to_owned()),
            certificate,
            issuer,
            not_after,
        })
    }

    /// The CA's certificate, PEM: the trust bundle of everybody.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The CA's key, PKCS#8 PEM, for the Secret that keeps it and for nothing else.
    pub fn key_pem(&self) -> &kit::Masked<String> {
        &self.key_pem
    }

    /// When the CA's certificate ends.
    pub const fn not_after(&self) -> WallTime {
        self.not_after
    }

    /// The hash that join tokens pin.
    pub fn pin(&self) -> Result<Spki, PkiError> {
        Spki::of_certificate(&self.certificate)
    }

    /// The hashes of the keys of a trust bundle (PEM): what pins are compared with.
    pub fn bundle_pins(bundle_pem: &str) -> Result<Vec<Spki>, PkiError> {
        crate::identity::chain(bundle_pem)?.iter().map(|der| Spki::of_certificate(der)).collect()
    }

    /// Checks a node's CSR (PEM): it must be signed by its own key, which must be ECDSA P-256. Whatever it says of
    /// names, purposes or extensions is not looked at. Returns what [`Authority::issue_node`] signs.
    pub fn check_request(csr_pem: &str) -> Result<NodeRequest, PkiError> {
        if csr_pem.len() > MAX_REQUEST {
            return Err(PkiError::Request("longer than 8 KiB"));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
            .map_err(|_| PkiError::Request("not PEM"))?;
        // Parses and verifies the signature, which is the proof of possession.
        let request = CertificateSigningRequestParams::from_der(&der).map_err(|error| {
            PkiError::Request(if error == rcgen::Error::InvalidCertificationRequestSignature {
                "not signed by its own key"
            } else if error == rcgen::Error::UnsupportedExtension {
                "asks for extensions of an unknown kind"
            } else {
                "malformed"
            })
        })?;
        let (_, parsed) = x509_parser::certification_request::X509CertificationRequest::from_der(&der)
            .map_err(|_| PkiError::Request("malformed"))?;
        // The algorithm is told by the signature; a P-384 key may sign with SHA-256 too.
        let expected = request.public_key.subject_public_key_info();
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256
            || expected != parsed.certification_request_info.subject_pki.raw
        {
            return Err(PkiError::Request("key is not ECDSA P-256"));
        }
        Ok(NodeRequest { spki: Spki::of_key_info(&expected), request })
    }

    /// Signs a node's client certificate, PEM: the name given here, the group of nodes, client authentication, one
    /// year (or as long as the CA lives). Of the request only the key is used.
    pub fn issue_node(&self, node: &str, request: &NodeRequest, now: WallTime) -> Result<String, PkiError> {
        check_node_name(node)?;
        let mut params = params(&format!("{NODE_PREFIX}{node}"), Some(NODE_GROUP), now, self.life_from(now))?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&request.request.public_key, &self.issuer)
            .map_err(|e| PkiError::Sign(format!("node {node}"), e))?;
        Ok(certificate.pem())
    }

    /// Makes a key and signs a serving certificate for these DNS names and IP addresses, one year.
    pub fn issue_serving(&self, names: &[String], now: WallTime) -> Result<Serving, PkiError> {
        let what = || "cloudcore".to_owned();
        if names.is_empty() {
            return Err(PkiError::Certificate("cloudcore's needs at least one name"));
        }
        let key =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| PkiError::Key("cloudcore", e))?;
        let mut params = params("skerry-cloudcore", None, now, self.life_from(now))?;
        let named = CertificateParams::new(names.to_vec()).map_err(|e| PkiError::Sign(what(), e))?;
        params.subject_alt_names = named.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).map_err(|e| PkiError::Sign(what(), e))?;
        Ok(Serving {
            chain: vec![leaf.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// A leaf must not outlive its CA.
    fn life_from(&self, now: WallTime) -> Duration {
        let left = u64::try_from(self.not_after.0.saturating_sub(now.0)).unwrap_or(0);
        LEAF_LIFE.min(Duration::from_millis(left))
    }
}

/// A node's CSR that was checked.
#[derive(Debug)]
pub struct NodeRequest {
    spki: Spki,
    request: CertificateSigningRequestParams,
}

impl NodeRequest {
    /// The hash of the key the request was made with.
    pub const fn spki(&self) -> Spki {
        self.spki
    }
}

/// A node's key, made on the node and never leaving it.
pub struct NodeKey {
    key: KeyPair,
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey([masked])")
    }
}

impl NodeKey {
    /// Makes a key.
    pub fn generate() -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| PkiError::Key("the node", e))?;
        Ok(Self { key })
    }

    /// Reads a key, PKCS#8 PEM.
    pub fn load(pem: &str) -> Result<Self, PkiError> {
        Ok(Self { key: KeyPair::from_pem(pem).map_err(|e| PkiError::Key("the node", e))? })
    }

    /// The key, PKCS#8 PEM, for the file that keeps it.
    pub fn pem(&self) -> kit::Masked<String> {
        kit::Masked(self.key.serialize_pem())
    }

    /// The hash of its public key.
    pub fn spki(&self) -> Spki {
        Spki::of_key_info(&self.key.subject_public_key_info())
    }

    /// A signing request, PEM. The name in it is for whoever reads logs; the CA does not believe it.
    pub fn request(&self, node: &str) -> Result<String, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&format!("{NODE_PREFIX}{node}"), Some(NODE_GROUP));
        params
            .serialize_request(&self.key)
            .and_then(|request| request.pem())
            .map_err(|e| PkiError::Sign(format!("node {node}"), e))
    }
}

fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common);
    name
}

/// What every certificate of ours has: a name, a random serial number, and a validity from shortly before `now`.
fn params(
    common: &str,
    organization: Option<&str>,
    now: WallTime,
    life: Duration,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    let now = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATE);
    params.not_after = epoch + now.saturating_add(life);
    let mut serial = kit::random::bytes::<16>().map_err(PkiError::Random)?;
    // Positive, and never shorter than it looks (RFC 5280, 4.1.2.2).
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = name(common, organization);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
