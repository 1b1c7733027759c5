//! A replica's process: the real watches, index, hub and status writer, on the simulated API server and network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use cloudcore_hub::{Denied, Hub, HubConfig, Identities, Metrics, Origin, Parts, Replies, Upstream};
use cloudcore_index::{Index, source};
use cloudcore_kube::Client;
use cloudcore_kube::watch::Watch;
use cloudcore_status::{Answers, Opened, Statuses};
use kit::{Clock, Shutdown, WallTime};
use link::memory_listener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::{Call, DownFrame, Entry, KINDS, Kind, Rejected, Report, ReportInventory};

use crate::api::Way;
use crate::edge::Around;
use crate::exec::Actor;
use crate::trace::say;

/// Connections that wait to be taken.
const ARRIVALS: usize = 4;

/// Identity records: the one key there is, always good.
#[derive(Debug)]
pub(crate) struct Known;

impl Identities for Known {
    async fn check(&self, _identity: &pki::Identity) -> Result<(), Denied> {
        Ok(())
    }

    async fn node_uid(&self, _node: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    async fn since(&self, _node: &str) -> Result<Option<WallTime>, String> {
        Ok(None)
    }

    async fn registered(&self, _node: &str, _uid: &str) -> Result<(), String> {
        Ok(())
    }

    async fn revoke(&self, _node: &str) -> Result<(), String> {
        Ok(())
    }

    fn trust_bundle(&self) -> String {
        String::new()
    }
}

/// As cloudcore's own adapter, without calls.
#[derive(Debug)]
pub(crate) struct Uplink(Statuses);

#[derive(Debug)]
struct Back(Replies);

impl Answers for Back {
    fn send(&self, frame: DownFrame) {
        self.0.send(frame);
    }
}

impl Upstream for Uplink {
    fn opened(&self, origin: &Origin) {
        self.0.opened(Opened {
            node: Arc::clone(&origin.node),
            epoch: origin.epoch,
            store_id: Arc::clone(&origin.store_id),
            reports_digest: origin.reports_digest,
            reports_count: origin.reports_count,
            answers: Arc::new(Back(origin.replies.clone())),
        });
    }

    fn report(&self, origin: &Origin, report: Report) {
        self.0.report(&origin.node, origin.epoch, report);
    }

    fn report_inventory(&self, origin: &Origin, inventory: ReportInventory) {
        self.0.report_inventory(&origin.node, origin.epoch, inventory);
    }

    fn statuses_changed(&self, origin: &Origin, changed: &BTreeSet<(Kind, Arc<str>)>) {
        self.0.statuses_changed(&origin.node, origin.epoch, changed);
    }

    fn entry(&self, origin: &Origin, entry: Entry) {
        self.0.entry(&origin.node, origin.epoch, &entry);
    }

    fn call(&self, _origin: &Origin, _call: Call) {}

    fn rejected(&self, origin: &Origin, rejected: &Rejected) {
        self.0.rejected(&origin.node, origin.epoch, rejected);
    }

    fn closed(&self, origin: &Origin) {
        self.0.closed(&origin.node, origin.epoch);
    }
}

/// Starts the process. Asking its shutdown for the end makes it say goodbye.
pub(crate) fn start(replica: usize, wall_ms: i64, around: &Around) -> Shutdown {
    let Around { handle, net, judge, trace, .. } = around;
    let actor = Actor::Cloud(replica);
    say!(trace, actor.name(), "starts");
    let api = judge.api.clone();
    api.forget_replica(replica);
    let clock = Clock::simulated(Instant::now(), Arc::new(AtomicI64::new(wall_ms)));
    let shutdown = Shutdown::new();
    let way = Way { api, replica, handle: handle.clone() };
    let client = Client::simulated(kube::Client::new(way, "default"));
    let index = Index::with_own_bodies();
    let mut watches = BTreeMap::new();
    for kind in KINDS {
        let metrics = cloudcore_kube::Metrics::default();
        let watch = Watch::new(client.clone(), source(kind), index.observer(kind), metrics, clock.clone());
        watches.insert(kind, watch.handle());
        let shutdown = shutdown.clone();
        handle.spawn(actor, async move { drop(watch.run(shutdown).await) });
    }
    let statuses = Statuses::new(client.clone(), index.clone(), clock.clone());
    let (writing, until) = (statuses.clone(), shutdown.clone());
    handle.spawn(actor, async move {
        let Ok(()) = writing.run(until).await;
    });
    let parts = Parts {
        client,
        index,
        identities: Arc::new(Known),
        upstream: Arc::new(Uplink(statuses)),
        clock: clock.clone(),
        metrics: Metrics::default(),
        watches,
    };
    let config = HubConfig {
        replica: actor.name().to_owned(),
        cluster_id: "cluster".to_owned(),
        endpoints: vec!["wss://cloud-0:1/v1/connect".to_owned(), "wss://cloud-1:2/v1/connect".to_owned()],
        max_sessions: 16,
    };
    let hub = Hub::new(parts, config, shutdown.clone());
    let (door, arrivals) = mpsc::channel(ARRIVALS);
    net.set_door(replica, Some(door));
    let link = link::Config { clock, ..link::Config::default() };
    let listener = memory_listener(SocketAddr::from(([10, 0, 0, 1], 1)), link, arrivals);
    let (serving, forgetting) = (hub.clone(), hub);
    handle.spawn(actor, async move { drop(serving.run(listener).await) });
    handle.spawn(actor, async move { drop(forgetting.forget_deleted().await) });
    shutdown
}
