//! The TLS of the endpoints: kept fresh with the CA that the cluster's callers have.

use std::sync::{Arc, PoisonError, RwLock};

use cloudcore_kube::Client;
use cloudcore_kube::path::CONFIG_MAPS;
use kit::Clock;
use pki::Serving;
use rustls::ServerConfig;
use serde::Deserialize;

use crate::errors::TunnelError;

/// Where every cluster says by which CA its own callers are known (Kubernetes, "Setup an extension API server").
const CONFIG_MAP: (&str, &str) = ("kube-system", "extension-apiserver-authentication");

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    #[serde(rename = "client-ca-file")]
    client_ca: Option<String>,
}

/// What connections are accepted with.
#[derive(Debug)]
pub(super) struct Trust {
    serving: Serving,
    clock: Clock,
    /// The CA in use, and what was made with it.
    current: RwLock<(Option<String>, Arc<ServerConfig>)>,
}

impl Trust {
    /// Knows no CA yet.
    pub(super) fn new(serving: Serving, clock: Clock) -> Result<Self, TunnelError> {
        let config = pki::kubelet_server(&serving, None, &clock).map_err(TunnelError::Tls)?;
        Ok(Self { serving, clock, current: RwLock::new((None, config)) })
    }

    /// What a connection is accepted with, now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Asks the cluster for the CA.
    pub(super) async fn refresh(&self, client: &Client) -> Result<(), TunnelError> {
        let path = CONFIG_MAPS.object(CONFIG_MAP.0, CONFIG_MAP.1);
        let map: ConfigMap = client.get(&path).await.map_err(TunnelError::ClientCa)?;
        let client_ca = map.data.client_ca.filter(|pem| !pem.trim().is_empty());
        if self.current.read().unwrap_or_else(PoisonError::into_inner).0 == client_ca {
            return Ok(());
        }
        let config = pki::kubelet_server(&self.serving, client_ca.as_deref(), &self.clock)
            .map_err(TunnelError::Tls)?;
        tracing::info!(known = client_ca.is_some(), "the CA of the cluster's callers was read");
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (client_ca, config);
        Ok(())
    }
}
