//! Real TLS handshakes between two ends in memory.

use std::sync::Arc;

use kit::{Masked, WallTime};
use pki::{Authority, Identity, Serving, Spki, join_client, join_server, link_client, link_server, provider};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::{DAY, NOW, authority, clock_at, node};

/// Runs a handshake to its end; the identity the server saw, or the first error of either side.
fn handshake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: &str,
) -> Result<Option<Identity>, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().map_err(|e| format!("server: {e}"))?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|e| format!("client: {e}"))?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let peer = server.peer_certificates().and_then(|chain| chain.first());
    Ok(peer.map(|der| Identity::of_certificate(der).unwrap()))
}

fn serving(authority: &Authority) -> Serving {
    authority.issue_serving(&["cloud.example".to_owned(), "10.0.0.1".to_owned()], NOW).unwrap()
}

#[test]
fn a_node_is_known_by_its_certificate() {
    let ca = authority();
    let identity = node(&ca, "edge-1");
    let clock = clock_at(NOW);
    let server = link_server(&serving(&ca), ca.certificate_pem(), &clock).unwrap();
    let client = link_client(&identity, ca.certificate_pem(), &clock).unwrap();
    for name in ["cloud.example", "10.0.0.1"] {
        let seen = handshake(Arc::clone(&client), Arc::clone(&server), name).unwrap().unwrap();
        assert_eq!(&seen, identity.identity());
    }
    let error = handshake(client, server, "other.example").unwrap_err();
    assert!(error.starts_with("client"), "{error}");
}

#[test]
fn another_ca_is_refused_by_both_ends() {
    let (ours, theirs) = (authority(), authority());
    let clock = clock_at(NOW);
    let server = link_server(&serving(&ours), ours.certificate_pem(), &clock).unwrap();
    let stranger = link_client(&node(&theirs, "edge-1"), ours.certificate_pem(), &clock).unwrap();
    let error = handshake(stranger, Arc::clone(&server), "10.0.0.1").unwrap_err();
    assert!(error.starts_with("server"), "{error}");
    let wary = link_client(&node(&ours, "edge-1"), theirs.certificate_pem(), &clock).unwrap();
    let error = handshake(wary, server, "10.0.0.1").unwrap_err();
    assert!(error.starts_with("client"), "{error}");
}

#[test]
fn no_certificate_no_link() {
    let ca = authority();
    let clock = clock_at(NOW);
    let server = link_server(&serving(&ca), ca.certificate_pem(), &clock).unwrap();
    let error = handshake(join_client(ca.pin().unwrap(), &clock).unwrap(), server, "10.0.0.1").unwrap_err();
    assert!(error.starts_with("server"), "{error}");
}

#[test]
fn tls_1_2_is_refused_by_both_ends() {
    let ca = authority();
    let clock = clock_at(NOW);
    let identity = node(&ca, "edge-1");
    let old_client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let server = link_server(&serving(&ca), ca.certificate_pem(), &clock).unwrap();
    assert!(handshake(Arc::new(old_client), server, "10.0.0.1").is_err());
    let made = serving(&ca);
    let old_server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(made.chain, made.key)
        .unwrap();
    let client = link_client(&identity, ca.certificate_pem(), &clock).unwrap();
    assert!(handshake(client, Arc::new(old_server), "10.0.0.1").is_err());
}

#[test]
fn a_clock_that_is_behind_is_tolerated_by_the_node_and_expiry_never_is() {
    let ca = authority();
    let identity = node(&ca, "edge-1");
    let server = link_server(&serving(&ca), ca.certificate_pem(), &clock_at(NOW)).unwrap();
    let at = |wall| {
        let client = link_client(&identity, ca.certificate_pem(), &clock_at(wall)).unwrap();
        handshake(client, Arc::clone(&server), "10.0.0.1")
    };
    at(WallTime(0)).unwrap();
    at(NOW.plus_millis(364 * DAY)).unwrap();
    let error = at(NOW.plus_millis(366 * DAY)).unwrap_err();
    assert!(error.contains("xpired"), "{error}");
    // The cloud judges the node's certificate by the cloud's clock.
    let late =
        link_server(&serving(&ca), ca.certificate_pem(), &clock_at(NOW.plus_millis(366 * DAY))).unwrap();
    let client = link_client(&identity, ca.certificate_pem(), &clock_at(NOW)).unwrap();
    assert!(handshake(client, late, "10.0.0.1").unwrap_err().starts_with("server"));
}

#[test]
fn joining_trusts_the_pin_and_verifies_the_name() {
    let (ca, other) = (authority(), authority());
    let clock = clock_at(WallTime(0));
    let server = join_server(&serving(&ca), &clock_at(NOW)).unwrap();
    let join = |pin: Spki, name| handshake(join_client(pin, &clock).unwrap(), Arc::clone(&server), name);
    assert_eq!(join(ca.pin().unwrap(), "cloud.example").unwrap(), None);
    assert!(join(ca.pin().unwrap(), "other.example").unwrap_err().starts_with("client"));
    let error = join(other.pin().unwrap(), "cloud.example").unwrap_err();
    assert!(error.contains("wrong CA pin"), "{error}");
}

#[test]
fn a_node_cannot_stand_in_for_the_cloud() {
    let ca = authority();
    let identity = node(&ca, "edge-1");
    let Masked(pem) = identity.to_pem();
    let chain = vec![
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(),
        CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap(),
    ];
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let clock = clock_at(NOW);
    let server = join_server(&Serving { chain, key }, &clock).unwrap();
    assert!(handshake(join_client(ca.pin().unwrap(), &clock).unwrap(), server, "10.0.0.1").is_err());
}
