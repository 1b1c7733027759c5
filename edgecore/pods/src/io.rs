//! Brings the node's pods to the stored state, for ever.
//!
//! One loop owns all that is known. It wakes on changes in the store, on hints of the runtime, on what workers and
//! probes have to say, and when something falls due; it never waits for the runtime: looks and steps are taken beside
//! it, one worker per pod.

mod cgroups;
mod engine;
mod entry;
mod events;
mod files;
mod handler;
mod kill;
mod limits;
mod log_links;
mod logs;
mod look;
mod prober;
mod report;
mod shared;
mod sources;
mod start;
mod step;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgecore_store::{Store, StoreError};
use edgecore_volumes::VolumeDirs;
use kit::{Clock, Shutdown};
use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use wire::Kind;

use crate::handle::{Alive, RuntimeState};
use crate::io::engine::{Engine, Outputs};
use crate::io::handler::Hands;
use crate::io::shared::Shared;
use crate::probe_counts::ProbeCounts;
use crate::runtime::Runtime;
use crate::spec::NodeFacts;

/// Messages of workers that may wait for the loop.
const QUEUE: usize = 1024;
/// The runtime is looked at this often where it gives no hint at all.
const LONGEST_UNSEEN: Duration = Duration::from_mins(1);
/// Hints closer together than this are one.
const HINT_GAP: Duration = Duration::from_millis(100);

/// Why the engine ended.
#[derive(Debug, Error)]
pub enum EngineError {
    /// What is remembered of pods cannot be read at start.
    #[error("the pod engine cannot read its memory")]
    Memory(#[source] StoreError),
    /// No TLS for probes.
    #[error("the pod engine cannot set up TLS for probes")]
    Tls(#[source] rustls::Error),
}

/// What the engine is made of.
#[derive(Debug)]
pub struct Context<R> {
    /// Runs containers.
    pub runtime: R,
    /// Where desired state comes from and reports go.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Directory under which the files of pods lie: `<state_dir>/pods`.
    pub state_dir: PathBuf,
    /// The node as pods see it; a change is seen by pods started later, and in reported addresses at once.
    pub node: watch::Receiver<Arc<NodeFacts>>,
    /// Pods that may run at once.
    pub max_pods: usize,
    /// Told whenever the loop turns.
    pub alive: Alive,
    /// Told whether the runtime answers.
    pub runtime_state: watch::Sender<RuntimeState>,
    /// Told of every try of a probe.
    pub probes: ProbeCounts,
}

/// Runs until shutdown is asked for. Containers keep running then.
pub async fn run<R: Runtime>(context: Context<R>, stop: Shutdown) -> Result<(), EngineError> {
    let Context { runtime, store, clock, state_dir, node, max_pods, alive, runtime_state, probes } = context;
    let (events, told) = events::Events::new();
    let hands = Hands::new(runtime.clone(), clock.clone()).map_err(EngineError::Tls)?;
    let boot = Arc::from(store.boot_id());
    let dirs = VolumeDirs::new(&state_dir);
    let shared = Arc::new(Shared { runtime, store, clock, boot, dirs, node, events, hands });
    let (said, mut says) = mpsc::channel(QUEUE);
    let (messages, mut inbox) = mpsc::channel(QUEUE);
    let targets = watch::Sender::default();
    let logs = watch::Sender::default();
    let limited = watch::Sender::default();
    let probes = prober::run(Arc::clone(&shared), targets.subscribe(), said, probes, stop.clone());
    let rotation = logs::run(Arc::clone(&shared), logs.subscribe(), stop.clone());
    let recording =
        events::record(told, shared.store.clone(), shared.clock.clone(), shared.node.clone(), stop.clone());
    let limits = limits::run(Arc::clone(&shared), limited.subscribe(), messages.clone(), stop.clone());
    let hint = Notify::new();
    let hints = hints(&shared, &hint, &stop);
    let outputs = Outputs { alive, runtime_state, targets, logs, limited, messages };
    let mut engine = Engine::new(Arc::clone(&shared), max_pods, outputs)?;
    let turning = async {
        let store = &shared.store;
        let mut pods = store.watch(Kind::Pod);
        let mut others = [Kind::ConfigMap, Kind::Secret, Kind::Service].map(|kind| store.watch(kind));
        let mut tokens = store.watch_tokens();
        let mut node = shared.node.clone();
        loop {
            engine.turn().await;
            let [maps, secrets, services] = &mut others;
            tokio::select! {
                () = stop.requested() => return,
                Some(message) = inbox.recv() => {
                    engine.take(message);
                    while let Ok(message) = inbox.try_recv() {
                        engine.take(message);
                    }
                }
                Some(word) = says.recv() => engine.hear(word),
                Ok(()) = pods.changed() => engine.pods_changed(),
                Ok(()) = maps.changed() => engine.sources_changed(),
                Ok(()) = secrets.changed() => engine.sources_changed(),
                Ok(()) = services.changed() => engine.sources_changed(),
                Ok(()) = tokens.changed() => engine.tokens_changed(),
                Ok(()) = node.changed() => engine.node_changed(),
                () = hint.notified() => engine.want_look(),
                () = shared.clock.sleep_until(engine.wake()) => {}
            }
        }
    };
    tokio::join!(turning, probes, rotation, recording, limits, hints);
    Ok(())
}

/// Passes on the runtime's hints that something may have changed.
async fn hints<R: Runtime>(shared: &Shared<R>, hint: &Notify, stop: &Shutdown) {
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = shared.runtime.changed(LONGEST_UNSEEN) => hint.notify_one(),
        }
        tokio::select! {
            () = stop.requested() => return,
            () = shared.clock.sleep(HINT_GAP) => {}
        }
    }
}
