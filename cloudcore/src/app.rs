//! Puts cloudcore together: who feeds whom, in which order things start, and how they end.
//!
//! Start: the admin endpoint, so that somebody answers while the cluster is away; then what must be known of the
//! cluster (its id, how to act as a node, the CA); then watches, status, hub and join. Ready means that every kind is
//! listed and every listener bound. Controllers, which write objects of the cluster by what other objects say, hear the
//! same watches and never touch the hub; what only one replica may do runs while it leads ([`lead`]). End: the replica is
//! not ready any more and gives back the lead, edges are sent to the others batch by batch, and only then ([`Base::last`])
//! end the watches and writes that their sessions need; writes under way finish, and the process exits.

mod lead;
mod prepare;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use cloudcore_calls::Calls;
use cloudcore_controllers::{Controllers, policy};
use cloudcore_hub::{Hub, HubConfig, Parts};
use cloudcore_index::{Index, source};
use cloudcore_join::{Join, JoinServer};
use cloudcore_kube::Client;
use cloudcore_kube::watch::{Tee, Watch, WatchHandle};
use cloudcore_status::Statuses;
use cloudcore_tunnel::Tunnel;
use kit::admin::Admin;
use kit::{Clock, Readiness, Shutdown, Tasks};
use link::Listener;
use prometheus_client::registry::Registry;
use wire::{KINDS, Kind};

use crate::admin::Reviewer;
use crate::config::Settings;
use crate::descriptors;
use crate::kubelet::{Reached, Served};
use crate::uplink::{EdgeHub, Records, Uplink};
use prepare::Prepared;

/// How long everything together may take to end.
const GRACE: Duration = Duration::from_secs(28);

/// Connections of edges for which there is no room, at once.
const SENT_ON: usize = 200;

/// What is there before the cluster was reached.
struct Base {
    settings: Settings,
    client: Client,
    clock: Clock,
    /// The end is asked for: edges are sent away.
    shutdown: Shutdown,
    /// No edge is left: what served them ends.
    last: Shutdown,
    readiness: Readiness,
    registry: Arc<Mutex<Registry>>,
    hub: Arc<OnceLock<EdgeHub>>,
}

/// Counters of everything.
#[derive(Default)]
struct AllMetrics {
    kube: cloudcore_kube::Metrics,
    hub: cloudcore_hub::Metrics,
    join: cloudcore_join::Metrics,
    tunnel: cloudcore_tunnel::Metrics,
}

impl AllMetrics {
    fn register(&self, registry: &mut Registry) {
        self.kube.register(registry);
        self.hub.register(registry);
        self.join.register(registry);
        self.tunnel.register(registry);
    }
}

/// Runs cloudcore until it is told to end, or cannot go on.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    descriptors::raise();
    let shutdown = Shutdown::new();
    let signals = shutdown.clone().on_signals();
    tokio::select! {
        ended = serve(settings, shutdown) => ended,
        second = signals => {
            second.context("cannot listen for signals")?;
            anyhow::bail!("told twice to end, and ended at once")
        }
    }
}

async fn serve(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let clock = Clock::system();
    let client = Client::connect(settings.kubeconfig.as_deref()).await?;
    let mut registry = Registry::default();
    let metrics = AllMetrics::default();
    metrics.register(&mut registry);
    let base = Base {
        settings,
        client,
        clock,
        shutdown: shutdown.clone(),
        last: Shutdown::new(),
        readiness: Readiness::new(),
        registry: Arc::new(Mutex::new(registry)),
        hub: Arc::new(OnceLock::new()),
    };
    let starting = base.readiness.block("reaching the cluster");
    let mut tasks = Tasks::new(shutdown.clone());

    let admin = Admin::bind(base.settings.admin).await?;
    let reviewer = Reviewer::new(base.client.clone(), base.clock.clone(), Arc::clone(&base.hub));
    let served = admin.serve(Arc::clone(&base.registry), base.readiness.clone(), reviewer, base.last.clone());
    tasks.spawn("admin", served);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        replica = base.settings.replica,
        server = base.client.server(),
        most_nodes = descriptors::nodes(),
        "cloudcore starts"
    );

    let prepared = tokio::select! {
        prepared = prepare::prepare(&base) => Some(prepared?),
        () = shutdown.requested() => None,
    };
    if let Some(prepared) = prepared {
        start(&base, prepared, &metrics, &mut tasks).await?;
        drop(starting);
    } else {
        base.last.request("nothing was started");
    }
    let ended = tasks.join(GRACE).await;
    tracing::info!(reason = shutdown.reason().as_deref().unwrap_or_default(), "cloudcore ended");
    ended.map_err(Into::into)
}

/// Starts everything that needs the cluster.
async fn start(
    base: &Base,
    prepared: Prepared,
    metrics: &AllMetrics,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let Base { settings, client, clock, shutdown, last, .. } = base;
    let index = Index::with_own_bodies();
    let Prepared { authority, trust_bundle, cluster_id, link_tls, join_tls, kubelet } = prepared;
    let (controllers, tunnel) = controllers(base, kubelet, metrics, tasks)?;
    let watches = watch_all(base, &index, &controllers, metrics, tasks);
    let ready = ready(base.readiness.clone(), index.clone(), shutdown.clone(), last.clone());
    tasks.spawn("readiness", ready);
    let identities = cloudcore_join::Identities::new(client.clone(), &settings.namespace, clock.clone());
    let records = cloudcore_join::identity_watch(&identities, metrics.kube.clone());
    tasks.spawn("watch identity records", records.run(last.clone()));

    lead::start(base, &controllers, metrics, tasks)?;

    let statuses = Statuses::new(client.clone(), index.clone(), clock.clone());
    let calls = Calls::new(client.clone(), index.clone(), clock.clone());
    {
        let mut registry = base.registry.lock().unwrap_or_else(PoisonError::into_inner);
        index.register(&mut registry);
        statuses.register(&mut registry);
        calls.register(&mut registry);
        controllers.register(&mut registry);
    }
    tasks.spawn("status", statuses.clone().run(last.clone()));

    let parts = Parts {
        client: client.clone(),
        index,
        identities: Arc::new(Records { identities, trust_bundle: trust_bundle.clone() }),
        upstream: Arc::new(Uplink { statuses, calls, controllers }),
        clock: clock.clone(),
        metrics: metrics.hub.clone(),
        watches,
    };
    let hub: EdgeHub = Hub::new(parts, hub_config(settings, &cluster_id), shutdown.clone());
    // More than sessions: whoever is one too many must hear it.
    let max_connections = descriptors::nodes() + SENT_ON;
    let link = link::Config { clock: clock.clone(), max_connections, ..link::Config::default() };
    let listener = Listener::bind(settings.listen, link_tls, link).await?;
    let join = JoinServer::bind(settings.join).await?;
    tracing::info!(link = %listener.address(), join = %join.address(), "listening for edges");
    let _ = base.hub.set(hub.clone());
    let (serving, forgetting, left) = (hub.clone(), hub, Left(last.clone()));
    tasks.spawn("hub", async move {
        let _left = left;
        let served = serving.run(listener).await;
        tunnel.handed_over().await;
        served
    });
    tasks.spawn("deleted nodes", async move { forgetting.forget_deleted().await });
    let joining = Join {
        api: client.clone(),
        namespace: settings.namespace.clone(),
        authority,
        trust_bundle,
        endpoints: settings.endpoints.clone(),
        cluster_id,
        clock: clock.clone(),
    };
    tasks.spawn("join", join.serve(join_tls, joining, metrics.join.clone(), shutdown.clone()));
    Ok(())
}

fn hub_config(settings: &Settings, cluster_id: &str) -> HubConfig {
    HubConfig {
        replica: settings.replica.clone(),
        cluster_id: cluster_id.to_owned(),
        endpoints: settings.endpoints.clone(),
        max_sessions: descriptors::nodes(),
    }
}

/// The controllers, idle until this replica leads or has sessions; and the kubelet's endpoints, which they open.
fn controllers(
    base: &Base,
    kubelet: cloudcore_tunnel::Config,
    metrics: &AllMetrics,
    tasks: &mut Tasks,
) -> anyhow::Result<(Controllers, Tunnel<Reached>)> {
    let Base { settings, client, clock, .. } = base;
    let reached = Reached { hub: Arc::clone(&base.hub), ..Reached::default() };
    let tunnel =
        Tunnel::new(kubelet, reached.clone(), client.clone(), clock.clone(), metrics.tunnel.clone())?;
    let autonomy = policy::parse(&settings.autonomy).map_err(anyhow::Error::msg).context("autonomy")?;
    let served = Arc::new(Served(tunnel.clone()));
    let controllers = Controllers::new(client.clone(), clock.clone(), autonomy, served);
    // Set once, as the hub: this function runs once.
    let _ = reached.controllers.set(controllers.clone());
    tasks.spawn("kubelet endpoints", tunnel.clone().run(base.last.clone()));
    Ok((controllers, tunnel))
}

/// Says, however the hub ends, that no edge is left.
struct Left(Shutdown);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.request("the hub has ended");
    }
}

/// Starts a watch for each kind: it feeds the index, and the controllers where they want to know of it.
fn watch_all(
    base: &Base,
    index: &Index,
    controllers: &Controllers,
    metrics: &AllMetrics,
    tasks: &mut Tasks,
) -> BTreeMap<Kind, WatchHandle> {
    let Base { client, clock, last, .. } = base;
    let mut watches = BTreeMap::new();
    for kind in KINDS {
        let also = match kind {
            Kind::Pod => Some(controllers.pods()),
            Kind::Node => Some(controllers.nodes()),
            Kind::Service | Kind::ServiceAccount | Kind::ConfigMap | Kind::Secret => None,
        };
        let observer = Arc::new(Tee::new(index.observer(kind), also));
        let watch = Watch::new(client.clone(), source(kind), observer, metrics.kube.clone(), clock.clone());
        watches.insert(kind, watch.handle());
        tasks.spawn(&format!("watch {kind}"), watch.run(last.clone()));
    }
    watches
}

/// Ready when every kind was listed, and until the end is asked for: then no new edge shall come here. Pending from the
/// call on, also before the task has its first turn.
fn ready(
    readiness: Readiness,
    index: Index,
    shutdown: Shutdown,
    last: Shutdown,
) -> impl Future<Output = Result<(), Infallible>> {
    let told = readiness.clone();
    let look = move |index: &Index| {
        let unlisted = index.unlisted();
        for kind in KINDS {
            told.set(&format!("listing {kind}"), !unlisted.contains(&kind));
        }
        unlisted.is_empty()
    };
    look(&index);
    async move {
        tokio::select! {
            () = index.until(look) => {}
            () = shutdown.requested() => return Ok(()),
        }
        let counts: Vec<_> =
            index.counts().into_iter().map(|(kind, counts)| format!("{kind} {}", counts.objects)).collect();
        tracing::info!(objects = counts.join(", "), "every kind is listed");
        shutdown.requested().await;
        let _ending = readiness.block("shutting down");
        last.requested().await;
        Ok(())
    }
}
