//! What must be known before edges are served. A cluster that is away is waited for; a cluster that refuses is said.

use std::sync::Arc;
use std::time::Duration;

use cloudcore_join::{authority, serving_names};
use cloudcore_kube::path::NAMESPACES;
use cloudcore_kube::{Client, KubeError};
use kit::Backoff;
use pki::Authority;
use rustls::ServerConfig;
use serde::Deserialize;

use super::Base;
use crate::descriptors;
use crate::kubelet::own_address;

/// What is known then.
pub(super) struct Prepared {
    /// UID of the namespace `kube-system`.
    pub(super) cluster_id: String,
    pub(super) authority: Authority,
    /// What edges trust, PEM.
    pub(super) trust_bundle: String,
    pub(super) link_tls: Arc<ServerConfig>,
    pub(super) join_tls: Arc<ServerConfig>,
    /// How the kubelet's API of nodes is served.
    pub(super) kubelet: cloudcore_tunnel::Config,
}

#[derive(Deserialize)]
struct Namespace {
    metadata: Meta,
}

#[derive(Deserialize)]
struct Meta {
    uid: String,
}

/// Tries until the cluster gave everything; only what this machine does wrong is an error.
pub(super) async fn prepare(base: &Base) -> anyhow::Result<Prepared> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let (cluster_id, authority) = loop {
        match reach(base).await {
            Ok(reached) => break reached,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the cluster does not give what is needed to start"
                );
            }
        }
        base.clock.sleep(backoff.next(kit::random::unit())).await;
    };
    let settings = &base.settings;
    let names = serving_names(&settings.endpoints, &settings.join_endpoints, &settings.server_names)?;
    let serving = authority.issue_serving(&names, base.clock.wall())?;
    let trust_bundle = authority.certificate_pem().to_owned();
    let link_tls = pki::link_server(&serving, &trust_bundle, &base.clock)?;
    let join_tls = pki::join_server(&serving, &base.clock)?;
    let address = match settings.kubelet_address {
        Some(address) => address,
        None => own_address(base.client.server())?,
    };
    let serving = authority.issue_serving(&[address.to_string()], base.clock.wall())?;
    let kubelet = cloudcore_tunnel::Config { address, serving, most: descriptors::nodes() };
    Ok(Prepared { cluster_id, authority, trust_bundle, link_tls, join_tls, kubelet })
}

async fn reach(base: &Base) -> anyhow::Result<(String, Authority)> {
    let cluster_id = cluster_id(&base.client).await?;
    let how = base.client.learn_impersonation().await?;
    if how == "legacy" {
        tracing::warn!("acting as nodes by legacy impersonation, which cannot be limited to nodes");
    }
    let authority = authority(&base.client, &base.settings.namespace, &base.clock).await?;
    tracing::info!(cluster_id, impersonation = how, "the cluster is reached");
    Ok((cluster_id, authority))
}

async fn cluster_id(client: &Client) -> Result<String, KubeError> {
    client
        .get::<Namespace>(&NAMESPACES.object("", "kube-system"))
        .await
        .map(|namespace| namespace.metadata.uid)
}
