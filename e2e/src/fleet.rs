//! A fleet of simulated edges: thousands of nodes in one process, each with its own key, certificate, Node and connection.
//!
//! In: a lab and a number of nodes. Out: sessions with its cloudcores over the real link (TLS 1.3, both sides verified),
//! and numbers ([`Counts`]). What a simulated edge says and does is what `edgecore` would: Hello and inventory, digests,
//! acknowledgements, heartbeats, reports, the same rules for coming back. Its store is memory that survives its
//! sessions, and it runs no pods.
//!
//! `held` and `reports` are pure; `identities` makes keys, `members` writes Nodes and identity records, `session` and
//! `edge` talk.

mod edge;
mod held;
mod identities;
mod members;
mod reports;
mod session;
pub mod sim;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cloudcore_kube::Client;
use futures::StreamExt;
use kit::Clock;
use kit::tasks::Group;
use link::Endpoint;
use pki::NodeIdentity;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::cloud::NAMESPACE;
use crate::{Lab, host};
use edge::{Place, SimulatedEdge};
use held::Held;
use members::Known;
use reports::Reporter;
use tally::Tally;

pub use held::Applied;
pub use tally::Counts;

/// Nodes that are made members at once.
const ADMITTING: usize = 32;
/// Descriptors beside one for each node.
const SPARE_FDS: u64 = 200;

/// Hears of every batch that a node applied: the node's number, from 0, and what it was.
pub type Probe = Arc<dyn Fn(usize, &[Applied]) + Send + Sync>;

/// What a fleet is made of.
#[derive(Clone)]
pub struct Options {
    /// Nodes: `sim-00001` and so on.
    pub nodes: usize,
    /// Where they connect to; empty for every cloudcore of the lab.
    pub endpoints: Vec<Endpoint>,
    /// Who hears of what is applied.
    pub probe: Option<Probe>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Simulated edges that run. They go with the value; their Nodes stay until the lab goes down.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    places: Vec<Arc<Place>>,
    names: Vec<String>,
    client: Client,
    /// The edges' tasks; before the runtime, so that they go first.
    group: Group,
    runtime: Runtime,
}

/// What all edges of a fleet share.
struct Shared {
    endpoints: Vec<Endpoint>,
    /// The CA certificates they verify the cloud by.
    bundle: String,
    link: link::Config,
    clock: Clock,
    tally: Tally,
    probe: Option<Probe>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Shared {
    fn applied(&self, number: usize, applied: &[Applied]) {
        let again = applied.iter().filter(|applied| applied.again).count();
        if again > 0 {
            self.tally.sent_again(again);
        }
        if let Some(probe) = self.probe.as_ref().filter(|_| !applied.is_empty()) {
            probe(number, applied);
        }
    }
}

impl Fleet {
    /// Makes the nodes members and lets each connect as soon as it is one. Returns when all are members; for their
    /// sessions see [`Fleet::wait_in_sync`].
    ///
    /// # Errors
    /// The lab is not up, descriptors do not suffice, or the API server refuses.
    pub fn start(lab: &Lab, options: Options) -> Result<Self> {
        raise_file_limit(options.nodes)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let clock = Clock::system();
        let client = runtime.block_on(Client::connect(Some(&lab.kubeconfig())))?;
        let authority = runtime.block_on(cloudcore_join::authority(&client, NAMESPACE, &clock))?;
        host::progress(&format!("fleet: keys and certificates of {} nodes", options.nodes));
        let identities = identities::load(lab.dir(), &authority, options.nodes, clock.wall())?;
        let endpoints = if options.endpoints.is_empty() { endpoints_of(lab)? } else { options.endpoints };
        let shared = Arc::new(Shared {
            endpoints,
            bundle: authority.certificate_pem().to_owned(),
            link: link::Config { clock: clock.clone(), ..link::Config::default() },
            clock,
            tally: Tally::default(),
            probe: options.probe,
        });
        let fleet = Self {
            places: identities.iter().map(|_| Arc::default()).collect(),
            names: identities.iter().map(|identity| identity.identity().node.clone()).collect(),
            group: Group::new("fleet", options.nodes),
            shared,
            client,
            runtime,
        };
        host::progress("fleet: Nodes and identity records");
        fleet.runtime.block_on(fleet.admit(identities))?;
        Ok(fleet)
    }

    async fn admit(&self, identities: Vec<NodeIdentity>) -> Result<()> {
        let known = Known::read(&self.client).await?;
        let mut admitted = futures::stream::iter(identities.into_iter().enumerate())
            .map(|(number, identity)| self.admit_one(&known, number, identity))
            .buffer_unordered(ADMITTING);
        while let Some(done) = admitted.next().await {
            done?;
        }
        Ok(())
    }

    async fn admit_one(&self, known: &Known, number: usize, identity: NodeIdentity) -> Result<()> {
        let now = self.shared.clock.wall();
        let node_uid = known.admit(&self.client, identity.identity(), now).await?;
        let node = identity.identity().node.clone();
        let edge = SimulatedEdge {
            number,
            fleet: Arc::clone(&self.shared),
            place: self.places.get(number).map(Arc::clone).context("a node without a place")?,
            reporter: Reporter { node, node_uid },
            identity,
            held: Held::default(),
            store_id: kit::random::uuid()?,
            cluster_id: String::new(),
            epoch: 0,
            reports: 0,
        };
        ensure!(self.group.spawn(edge.run()), "the fleet is full");
        Ok(())
    }

    /// How the fleet fares now.
    pub fn counts(&self) -> Counts {
        self.shared.tally.counts()
    }

    /// Objects that were sent to a node in a version that it held already.
    pub fn sent_again(&self) -> u64 {
        self.shared.tally.again()
    }

    /// Waits until every node holds what the cloud wants.
    ///
    /// # Errors
    /// Not within `limit`; the message says how many do, and what went wrong last.
    pub fn wait_in_sync(&self, limit: Duration) -> Result<()> {
        let all = u64::try_from(self.places.len())?;
        host::wait("the whole fleet in sync", limit, || {
            let counts = self.counts();
            ensure!(counts.in_sync == all, "{counts:?}; last trouble: {}", self.shared.tally.last_trouble());
            Ok(true)
        })
    }

    /// Names of the nodes, by their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Ends a node's session and keeps it away, or lets it come back. What it holds stays.
    pub fn hold_back(&self, number: usize, hold: bool) {
        if let Some(place) = self.places.get(number) {
            place.hold_back(hold);
        }
    }

    /// Bytes on a node's socket both ways since just before its Hello; `None` where it has no connection.
    pub fn traffic(&self, number: usize) -> Option<u64> {
        self.places.get(number)?.traffic()
    }

    /// The admin's client of the API server, and what it runs on.
    pub(crate) const fn api(&self) -> (&Client, &Runtime) {
        (&self.client, &self.runtime)
    }
}

fn endpoints_of(lab: &Lab) -> Result<Vec<Endpoint>> {
    let clouds = lab.status().clouds;
    ensure!(!clouds.is_empty(), "no cloudcore in {}", lab.dir().display());
    clouds.iter().map(|cloud| Ok(cloud.connect.parse()?)).collect()
}

/// A node is one descriptor.
fn raise_file_limit(nodes: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(nodes)? + SPARE_FDS;
    ensure!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "{nodes} nodes need {wanted} descriptors, and {} are allowed",
        limit.maximum.unwrap_or_default()
    );
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise RLIMIT_NOFILE")
}
