//! The five TLS configurations. All are TLS 1.3 only, with the one provider, and keep no sessions to resume: a
//! resumed session would cost memory per peer and skip the look at the certificate.

use std::sync::Arc;
use std::time::Duration;

use kit::Clock;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::UnixTime;

use crate::authority::Serving;
use crate::errors::PkiError;
use crate::identity::{NodeIdentity, chain};
use crate::spki::Spki;
use crate::verify::{Bundle, Pinned};

/// The one cryptography provider. Always passed, never installed as the process's default.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// An edge that connects: presents its identity, verifies the cloud by its trust bundle (PEM), on its own clock.
pub fn link_client(
    identity: &NodeIdentity,
    bundle_pem: &str,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, PkiError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(bundle_pem)?, provider())
        .build()
        .map_err(PkiError::Verifier)?;
    let (chain, key) = identity.for_tls()?;
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(KitTime(clock.clone())))
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| PkiError::Tls("the link", e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Bundle::new(verifier)))
        .with_client_auth_cert(chain, key)
        .map_err(|e| PkiError::Tls("the link", e))?;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A node that joins: has no certificate, verifies the cloud by the pin of its token.
pub fn join_client(pin: Spki, clock: &Clock) -> Result<Arc<ClientConfig>, PkiError> {
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(KitTime(clock.clone())))
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| PkiError::Tls("joining", e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::new(pin, provider())))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The cloud's end of the link: no handshake without a client certificate of a CA in `bundle_pem`.
pub fn link_server(
    serving: &Serving,
    bundle_pem: &str,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, PkiError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(bundle_pem)?, provider())
        .build()
        .map_err(PkiError::Verifier)?;
    let config = server(clock, "the link")?
        .with_client_cert_verifier(verifier)
        .with_single_cert(serving.chain.clone(), serving.key.clone_key())
        .map_err(|e| PkiError::Tls("the link", e))?;
    Ok(without_tickets(config))
}

/// The join endpoint: no client certificate, the token speaks.
pub fn join_server(serving: &Serving, clock: &Clock) -> Result<Arc<ServerConfig>, PkiError> {
    let config = server(clock, "joining")?
        .with_no_client_auth()
        .with_single_cert(serving.chain.clone(), serving.key.clone_key())
        .map_err(|e| PkiError::Tls("joining", e))?;
    Ok(without_tickets(config))
}

/// The kubelet's endpoint of a node: who presents a client certificate of a CA in `client_ca_pem` is who it says, who
/// presents none speaks by a token, where they have one. A certificate of anybody else ends the handshake.
pub fn kubelet_server(
    serving: &Serving,
    client_ca_pem: Option<&str>,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, PkiError> {
    let config = server(clock, "the kubelet's endpoint")?;
    let config = match client_ca_pem {
        Some(pem) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(pem)?, provider())
                .allow_unauthenticated()
                .build()
                .map_err(PkiError::Verifier)?;
            config.with_client_cert_verifier(verifier)
        }
        None => config.with_no_client_auth(),
    };
    let config = config
        .with_single_cert(serving.chain.clone(), serving.key.clone_key())
        .map_err(|e| PkiError::Tls("the kubelet's endpoint", e))?;
    Ok(without_tickets(config))
}

fn server(
    clock: &Clock,
    what: &'static str,
) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, PkiError> {
    ServerConfig::builder_with_details(provider(), Arc::new(KitTime(clock.clone())))
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| PkiError::Tls(what, e))
}

fn without_tickets(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

fn roots(bundle_pem: &str) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(bundle_pem)? {
        roots.add(certificate).map_err(|e| PkiError::Tls("the trust bundle", e))?;
    }
    Ok(Arc::new(roots))
}

/// Wall time as kit tells it: corrected by the cloud, never before the floor.
#[derive(Debug)]
struct KitTime(Clock);

impl TimeProvider for KitTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.wall().0).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}
