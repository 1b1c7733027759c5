//! The only wiring: what the agent is made of, and who knows whom.
//!
//! ```text
//! cloud ⇄ sync ⇄ store ⇄ pods → cri → containerd
//!           ↓      ⇅
//!       kubelet   node
//!           ↑
//!         local ⇄ operator
//! ```
//!
//! Every arrow but those of sync and cri stays when the link is cut. The tasks: `cri` (asks the runtime how it does),
//! `pods`, `node`, `facts`, `sync`, `admin`, `local`, `readiness`, and `store`, which ends the process when the database turns
//! out to be damaged, so that the next start sets it aside.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use edgecore_cri::{Cri, Monitor};
use edgecore_kubelet::{About, Configuration, Kubelet, Machine};
use edgecore_node::NodeConfig;
use edgecore_pods::handle::{Alive, RuntimeState};
use edgecore_pods::probe_counts::ProbeCounts;
use edgecore_store::{Store, StoreError};
use edgecore_sync::{Hooks, LinkStatus, Metrics, Sync};
use kit::admin::{Admin, Loopback};
use kit::{Clock, Readiness, Shutdown, Tasks, WallTime};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::config::{EdgeConfig, bundle_path, identity_path};
use crate::facts::Source;
use crate::health::Listener;
use crate::local::Local;
use crate::lock;

/// Version of the agent.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Tasks that do not end by then are aborted; saying good-bye to a cloud that does not answer takes 5 s. Whatever they
/// were at is found again at the next start.
const GRACE: Duration = Duration::from_secs(8);

/// Runs the agent until shutdown is asked for, by signal or by a task that failed.
pub async fn run(config: EdgeConfig, shutdown: Shutdown) -> anyhow::Result<()> {
    let lock = lock::take_over(&config.state_dir, &Clock::system()).await?;
    let parts = Parts::open(config, shutdown.clone()).await?;
    // Never closed: closing removes the log and its index, and on a disk that is full by the next start they could not
    // be made again. What a killed process leaves behind is complete, so this one leaves the same.
    std::mem::forget(parts.store.clone());
    let tasks = parts.start()?;
    let signals = shutdown.on_signals();
    tokio::select! {
        ended = tasks.join(GRACE) => ended?,
        // Told twice to end, it ends.
        asked = signals => asked.context("cannot listen for signals")?,
    }
    drop(lock);
    tracing::info!("edgecore ended; containers run on");
    Ok(())
}

/// What the tasks are made from.
struct Parts {
    config: EdgeConfig,
    clock: Clock,
    shutdown: Shutdown,
    store: Store,
    cri: Cri,
    monitor: Monitor,
    admin: Admin,
    status: LinkStatus,
    alive: Alive,
    probes: ProbeCounts,
}

impl Parts {
    async fn open(config: EdgeConfig, shutdown: Shutdown) -> anyhow::Result<Self> {
        let clock = Clock::system();
        clock.not_before(built());
        let opened = Store::open_with(&config.state_dir, clock.clone(), config.limits())?;
        if let Some(aside) = opened.set_aside {
            tracing::error!(aside = %aside.display(), "the store was damaged and begins anew: what runs is adopted when the cloud has sent what should");
        }
        clear_torn_results();
        let cri = edgecore_cri::Config::new(&config.containerd);
        let (cri, monitor) = edgecore_cri::connect(&cri, clock.clone())?;
        let admin = Admin::bind(config.admin).await?;
        let alive = Alive::new(clock.clone());
        let status = LinkStatus::default();
        tracing::info!(version = VERSION, node = config.node_name, fresh = opened.fresh, "edgecore starts");
        let (store, probes) = (opened.store, ProbeCounts::default());
        Ok(Self { config, clock, shutdown, store, cri, monitor, admin, status, alive, probes })
    }

    fn start(self) -> anyhow::Result<Tasks> {
        let mut tasks = Tasks::new(self.shutdown.clone());
        let registry = Arc::new(Mutex::new(Registry::default()));
        let readiness = Readiness::new();
        let (runtime_state, planned) = watch::channel(RuntimeState::default());
        let kubelet = self.kubelet(&registry)?;
        self.spawn_sync(&mut tasks, &registry, kubelet.clone())?;
        self.spawn_node(&mut tasks, runtime_state)?;
        tasks.spawn("local", self.local(kubelet).serve(self.shutdown.clone()));
        let Self { shutdown, store, cri, monitor, admin, alive, .. } = self;

        let health = cri.health();
        readiness.set("runtime", false);
        readiness.set("plan", false);
        tasks.spawn("readiness", tell_readiness(readiness.clone(), health, planned, alive, shutdown.clone()));
        tasks.spawn("admin", admin.serve(registry, readiness, Loopback, shutdown.clone()));
        tasks.spawn("cri", monitor.run(shutdown.clone()));
        tasks.spawn("store", watch_store(store, shutdown));
        Ok(tasks)
    }

    fn spawn_sync(
        &self,
        tasks: &mut Tasks,
        registry: &Mutex<Registry>,
        kubelet: Kubelet<Cri>,
    ) -> anyhow::Result<()> {
        let Self { config, store, clock, status, alive, shutdown, .. } = self;
        let metrics = Metrics::default();
        let mut own = registry.lock().map_err(|_| anyhow::anyhow!("the metrics registry is poisoned"))?;
        metrics.register(&mut own, status, store);
        drop(own);
        let endpoints = config.endpoints.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let alive = alive.clone();
        let sync = Sync {
            config: edgecore_sync::Config {
                node_name: config.node_name.clone(),
                agent_version: VERSION.to_owned(),
                endpoints,
                identity: identity_path(&config.state_dir),
                bundle: bundle_path(&config.state_dir),
                link: link::Config {
                    clock: clock.clone(),
                    proxies: link::Proxies::from_variables(kit::config::env)?,
                    ..link::Config::default()
                },
            },
            store: store.clone(),
            clock: clock.clone(),
            hooks: Hooks {
                engine_alive: Arc::new(move || alive.is_alive()),
                stream: Arc::new(move |stream| kubelet.serve(stream)),
            },
            metrics,
            status: status.clone(),
        };
        tasks.spawn("sync", sync.run(shutdown.clone()));
        Ok(())
    }

    /// The kubelet's API, for the cloud over the link and for whoever is on the node over the local socket.
    fn kubelet(&self, registry: &Arc<Mutex<Registry>>) -> anyhow::Result<Kubelet<Cri>> {
        let Self { config, store, clock, alive, .. } = self;
        let machine = edgecore_node::facts(&self.node_config())?;
        let registry = Arc::clone(registry);
        let about = About {
            node_name: config.node_name.clone(),
            kubelet_version: edgecore_node::KUBELET_VERSION.to_owned(),
            state_dir: config.state_dir.clone(),
            pod_logs_dir: config.pod_logs_dir.clone(),
            machine: Machine {
                cpus: machine.cpus,
                memory: machine.memory,
                machine_id: machine.machine_id,
                system_uuid: machine.system_uuid,
                boot_id: machine.boot_id,
            },
            configuration: Configuration {
                max_pods: config.max_pods,
                cluster_dns: config.cluster_dns.iter().map(ToString::to_string).collect(),
                cluster_domain: config.cluster_domain.clone(),
                resolv_conf: config.resolv_conf.display().to_string(),
                runtime_endpoint: config.containerd.clone(),
            },
            probes: self.probes.clone(),
            own_metrics: Box::new(move || kit::admin::open_metrics(&registry).unwrap_or_default()),
        };
        let alive = alive.clone();
        let dead = move || {
            let dead = (!alive.is_alive()).then(|| "pods: the engine made no round lately".to_owned());
            dead.into_iter().collect()
        };
        let (store, runtime, clock) = (store.clone(), self.cri.clone(), clock.clone());
        Ok(Kubelet::new(edgecore_kubelet::Parts::new(store, runtime, clock, dead, about)))
    }

    /// What makes the node: its report, its facts, and the pods on it.
    fn spawn_node(
        &self,
        tasks: &mut Tasks,
        runtime_state: watch::Sender<RuntimeState>,
    ) -> anyhow::Result<()> {
        let Self { config, store, clock, shutdown, .. } = self;
        let node = self.node_config();
        let source = Source {
            machine: edgecore_node::facts(&node)?,
            node: node.clone(),
            cluster_dns: config.cluster_dns.iter().map(ToString::to_string).collect(),
            cluster_domain: config.cluster_domain.clone(),
            resolv_conf: config.resolv_conf.clone(),
            pod_logs_dir: config.pod_logs_dir.clone(),
            log_links_dir: config.log_links_dir.clone(),
        };
        let (facts, seen) = watch::channel(Arc::new(source.first(&self.store)));
        let keep = source.keep(facts, self.status.clone(), clock.clone(), shutdown.clone());
        tasks.spawn("facts", async move {
            keep.await;
            Ok::<(), Infallible>(())
        });
        let health = Listener(self.cri.health());
        tasks.spawn("node", edgecore_node::run(node, store.clone(), health, clock.clone(), shutdown.clone()));
        let engine = edgecore_pods::io::Context {
            runtime: self.cri.clone(),
            store: store.clone(),
            clock: clock.clone(),
            state_dir: config.state_dir.clone(),
            node: seen,
            max_pods: usize::try_from(config.max_pods)?,
            alive: self.alive.clone(),
            runtime_state,
            probes: self.probes.clone(),
        };
        tasks.spawn("pods", edgecore_pods::io::run(engine, shutdown.clone()));
        Ok(())
    }

    fn local(&self, kubelet: Kubelet<Cri>) -> Local<Cri> {
        Local {
            path: self.config.local_socket.clone(),
            node: self.config.node_name.clone(),
            store: self.store.clone(),
            link: self.status.clone(),
            clock: self.clock.clone(),
            kubelet,
        }
    }

    fn node_config(&self) -> NodeConfig {
        let config = &self.config;
        // What the cloud said of itself last comes first, as for connecting.
        let said = self.store.meta().endpoints;
        let endpoints = said.iter().chain(&config.endpoints).map(String::as_str);
        NodeConfig {
            name: config.node_name.clone(),
            labels: config.labels.clone(),
            max_pods: config.max_pods,
            state_dir: config.state_dir.clone(),
            cni_conf_dir: config.cni_conf_dir.clone(),
            manage_cni: config.manage_cni,
            route_to: edgecore_node::route_hints(endpoints),
        }
    }
}

/// Before the runtime is asked for anything: what a power loss tore would keep it from ever tearing a sandbox down.
fn clear_torn_results() {
    match edgecore_node::clear_torn_results(Path::new(edgecore_node::CNI_RESULTS)) {
        Ok(torn) if torn.is_empty() => {}
        Ok(torn) => {
            tracing::warn!(files = torn.join(","), "removed network results that a power loss had torn");
        }
        Err(error) => tracing::warn!(%error, "cannot look for torn network results"),
    }
}

/// Ready means: the store is open (or there is no endpoint to ask), the runtime answers, and a first plan was made.
async fn tell_readiness(
    readiness: Readiness,
    mut health: watch::Receiver<edgecore_cri::Health>,
    mut planned: watch::Receiver<RuntimeState>,
    alive: Alive,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    loop {
        readiness.set("runtime", health.borrow_and_update().is_good());
        if planned.borrow_and_update().ok && alive.last().is_some() {
            readiness.set("plan", true);
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            Ok(()) = health.changed() => {}
            Ok(()) = planned.changed() => {}
            // Both senders are gone: so is everything else in a moment.
            else => shutdown.requested().await,
        }
    }
}

/// Ends, and with it the process, when the database turns out to be damaged.
async fn watch_store(store: Store, shutdown: Shutdown) -> Result<(), StoreError> {
    tokio::select! {
        () = shutdown.requested() => Ok(()),
        error = store.damaged() => Err(error),
    }
}

/// When this binary was built.
fn built() -> WallTime {
    WallTime(env!("SKERRY_BUILT").parse::<i64>().unwrap_or(0).saturating_mul(1000))
}
