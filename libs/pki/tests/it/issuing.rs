//! Certificates, requests and the identity file.

use std::os::unix::fs::PermissionsExt;

use pki::{Authority, Identity, NodeIdentity, NodeKey, io};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::{DAY, NOW, authority, node};

#[test]
fn nothing_of_a_request_is_believed_but_its_key() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "system:node:other");
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.insert_extended_key_usage(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    let request = Authority::check_request(&csr).unwrap();
    let pem = authority.issue_node("edge-1", &request, NOW).unwrap();
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let identity = Identity::of_certificate(&der).unwrap();
    assert_eq!((identity.node.as_str(), identity.spki), ("edge-1", request.spki()));
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!parsed.is_ca());
    assert!(parsed.subject_alternative_name().unwrap().is_none());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert_eq!(parsed.subject().iter_organization().count(), 1);
    let not_after = parsed.validity().not_after.timestamp() * 1000;
    assert_eq!(not_after, NOW.0 + 365 * DAY);
    assert!(parsed.validity().not_before.timestamp() * 1000 < NOW.0);
}

#[test]
fn a_node_outlives_no_ca() {
    let authority = authority();
    let key = NodeKey::generate().unwrap();
    let request = Authority::check_request(&key.request("n").unwrap()).unwrap();
    let late = authority.not_after().plus_millis(-30 * DAY);
    let identity = NodeIdentity::new(&key, &authority.issue_node("n", &request, late).unwrap()).unwrap();
    assert_eq!(identity.not_after().unwrap(), authority.not_after());
}

#[test]
fn bad_requests_are_refused_by_reason() {
    let refused = |csr: &str| Authority::check_request(csr).unwrap_err().to_string();
    assert!(refused("no pem").contains("not PEM"));
    assert!(refused(&"x".repeat(9000)).contains("8 KiB"));
    let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = CertificateParams::default().serialize_request(&other).unwrap().pem().unwrap();
    assert!(refused(&csr).contains("P-256"));
    // The signature is in the last bytes of the request.
    let good = NodeKey::generate().unwrap().request("n").unwrap();
    let mut der =
        rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(good.as_bytes()).unwrap().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let forged = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
    assert!(refused(&forged).contains("own key"), "{}", refused(&forged));
}

#[test]
fn names_no_node_can_have_get_no_certificate() {
    let authority = authority();
    let key = NodeKey::generate().unwrap();
    let request = Authority::check_request(&key.request("x").unwrap()).unwrap();
    assert!(authority.issue_node("A/b", &request, NOW).is_err());
}

#[test]
fn only_node_certificates_are_identities() {
    let serving = authority().issue_serving(&["localhost".to_owned()], NOW).unwrap();
    for der in &serving.chain {
        assert!(Identity::of_certificate(der).is_err());
    }
    assert!(Identity::of_certificate(b"junk").is_err());
}

#[test]
fn a_ca_comes_back_from_its_secret_and_only_with_its_own_key() {
    let (one, two) = (authority(), authority());
    let back = Authority::load(one.certificate_pem(), &one.key_pem().0).unwrap();
    assert_eq!(back.pin().unwrap(), one.pin().unwrap());
    assert!(Authority::load(one.certificate_pem(), &two.key_pem().0).is_err());
    assert!(!format!("{one:?}").contains("PRIVATE"));
}

#[test]
fn the_identity_file_is_whole_private_and_of_one_key() {
    let authority = authority();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity.pem");
    assert!(io::load_identity(&path).unwrap().is_none());
    let identity = node(&authority, "edge-1");
    io::store_identity(&path, &identity).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let back = io::load_identity(&path).unwrap().unwrap();
    assert_eq!(back.identity(), identity.identity());
    assert!(!format!("{back:?}").contains("PRIVATE"));
    // A certificate for another key, and half a file.
    let pem = identity.to_pem().0;
    let foreign = node(&authority, "edge-1").to_pem().0;
    let cut = pem.find("-----BEGIN CERTIFICATE").unwrap();
    let mixed = format!("{}{}", &pem[..cut], &foreign[foreign.find("-----BEGIN CERTIFICATE").unwrap()..]);
    assert!(NodeIdentity::from_pem(&mixed).is_err());
    assert!(NodeIdentity::from_pem(&pem[..pem.len() / 2]).is_err());
    std::fs::write(&path, "junk").unwrap();
    assert!(io::load_identity(&path).is_err());
    let bundle = dir.path().join("ca.pem");
    assert!(io::store_bundle(&bundle, "no certificate").is_err());
    io::store_bundle(&bundle, authority.certificate_pem()).unwrap();
    assert_eq!(io::load_bundle(&bundle).unwrap().unwrap(), authority.certificate_pem());
}
