//! The one task: looks, decides, reports.

mod disk;
mod machine;
mod network;
mod torn;

use std::time::Duration;

use edgecore_store::Store;
use kit::{Clock, Elapsed, Shutdown};
use wire::{Kind, ObjectKey};

use crate::address::targets;
use crate::conditions;
use crate::config::NodeConfig;
use crate::error::NodeError;
use crate::facts::Facts;
use crate::health::{RuntimeHealth, RuntimeState};
use crate::last::Last;
use crate::pressure::{Pressure, Sample, Shortages};
use crate::status::{Seen, report};

pub use torn::{CNI_RESULTS, clear_torn_results};

/// Between two looks at what nobody tells: pressure, addresses, the CNI directory.
const LOOK: Duration = Duration::from_mins(1);
/// After a step failed, the next try.
const AGAIN: Duration = Duration::from_secs(5);

/// Reads what the machine is.
pub fn facts(config: &NodeConfig) -> Result<Facts, NodeError> {
    machine::facts(&config.state_dir)
}

/// The node's own address: the one that packets to the cloud leave from, or else by the default route. `None` where
/// there is no route at all.
pub fn address(config: &NodeConfig) -> Option<std::net::IpAddr> {
    network::own_address(&targets(&config.route_to))
}

/// The node's own address, or the one it had last: what pods on the host's network are told, also while the link is cut.
pub fn known_address(config: &NodeConfig, store: &Store) -> Result<Option<String>, NodeError> {
    if let Some(address) = address(config) {
        return Ok(Some(address.to_string()));
    }
    Ok(last(store, &ObjectKey::new(Kind::Node, "", config.name.clone()))?.address)
}

/// Keeps the report and the network configuration true until shutdown is asked for. Only a store that fails for good
/// ends it.
pub async fn run<R: RuntimeHealth>(
    config: NodeConfig,
    store: Store,
    mut runtime: R,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<(), NodeError> {
    let facts = facts(&config)?;
    let mut changed = store.watch(Kind::Node);
    let mut node = NodeTask::new(config, store, clock.clone(), facts)?;
    loop {
        // Everything up to here is taken into account by this round.
        changed.borrow_and_update();
        let state = runtime.now();
        let pause = match node.round(&state).await {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::error!(error = kit::errors::chain(&error), "node status could not be kept up");
                AGAIN
            }
        };
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = runtime.changed() => {}
            _ = changed.changed() => {}
            () = clock.sleep(pause) => {}
        }
    }
}

/// What one round goes on from.
struct NodeTask {
    config: NodeConfig,
    store: Store,
    clock: Clock,
    facts: Facts,
    key: ObjectKey,
    pressure: Shortages,
    looked: Option<(Elapsed, Pressure)>,
    network: network::Network,
}

impl NodeTask {
    fn new(config: NodeConfig, store: Store, clock: Clock, facts: Facts) -> Result<Self, NodeError> {
        let key = ObjectKey::new(Kind::Node, "", config.name.clone());
        let last = last(&store, &key)?;
        let pressure = Shortages::resume(last.pressure(), clock.elapsed());
        let network = network::Network::default();
        Ok(Self { config, store, clock, facts, key, pressure, looked: None, network })
    }

    /// One look at everything, and a report where something changed.
    async fn round(&mut self, runtime: &RuntimeState) -> Result<(), NodeError> {
        let object = self.store.object(&self.key)?;
        let body = object.as_ref().map(|object| object.body.as_ref());
        let network_problem = self.network.keep(&self.config, body);
        // Shortly after a start nobody knows how the runtime does: saying so would only flap.
        if runtime.answers.is_none() {
            return Ok(());
        }
        let pressure = self.look(runtime);
        let last = last(&self.store, &self.key)?;
        let conditions = conditions::all(runtime, network_problem.as_deref(), pressure);
        let seen = Seen {
            address: address(&self.config).map(|address| address.to_string()),
            runtime_version: runtime.version.clone(),
            conditions: &conditions,
            now: &self.clock.wall().rfc3339(),
        };
        let body = wire::canonical(&report(&self.config, &self.facts, &seen, &last))?;
        let uid = object.map(|object| object.uid).or_else(|| self.store.meta().node_uid).unwrap_or_default();
        if self.store.report(self.key.clone(), &uid, body).await? {
            for says in &conditions {
                tracing::info!(condition = ?says, "node status changed");
            }
        }
        Ok(())
    }

    /// The pressure, looked for at most once in [`LOOK`]: rounds that others caused cost nothing.
    fn look(&mut self, runtime: &RuntimeState) -> Pressure {
        let now = self.clock.elapsed();
        // A little early is fine, so that the slow timer's own round always looks.
        let fresh = |at: Elapsed| now.since(at) + Duration::from_secs(1) < LOOK;
        if let Some((_, pressure)) = self.looked.filter(|(at, _)| fresh(*at)) {
            return pressure;
        }
        let sample = Sample {
            memory_available: machine::memory_available(),
            node_fs: disk::room(&self.config.state_dir),
            image_fs: runtime.image_fs.as_deref().and_then(disk::room),
            pids: machine::pids(),
        };
        let (memory, pressure) = self.pressure.step(&sample, now);
        self.pressure = memory;
        self.looked = Some((now, pressure));
        pressure
    }
}

fn last(store: &Store, key: &ObjectKey) -> Result<Last, NodeError> {
    let last = store.last_report(key)?;
    Ok(last.map(|last| Last::parse(&last.body)).unwrap_or_default())
}
