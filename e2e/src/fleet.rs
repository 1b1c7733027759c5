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

use anyhow::{Context, Result, bail, ensure};
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
use members::Known;
use reports::Reporter;
use tally::Tally;

pub use held::Applied;
pub(crate) use members::insist;
pub(crate) use reports::LABEL as SIMULATED;
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
    /// Tasks; before the runtime, so that they go first.
    admission: Group,
    edges: Group,
    runtime: Runtime,
}

/// Nodes on their way to become members.
struct Admission {
    shared: Arc<Shared>,
    client: Client,
    edges: Group,
    candidates: Vec<(NodeIdentity, Arc<Place>)>,
}

impl Admission {
    async fn run(self) -> Result<()> {
        let Self { shared, client, edges, candidates } = self;
        let known = Known::read(&client).await?;
        let (shared, client, edges, known) = (&shared, &client, &edges, &known);
        let admit = |(number, (identity, place)): (usize, (NodeIdentity, Arc<Place>))| async move {
            let node_uid = known.admit(client, identity.identity(), shared.clock.wall()).await?;
            let reporter = Reporter { node: identity.identity().node.clone(), node_uid };
            let edge = SimulatedEdge::new(number, Arc::clone(shared), place, identity, reporter)?;
            ensure!(edges.spawn(edge.run()), "the fleet is full");
            Ok(())
        };
        let mut admitted =
            futures::stream::iter(candidates.into_iter().enumerate()).map(admit).buffer_unordered(ADMITTING);
        while let Some(done) = admitted.next().await {
            done?;
        }
        Ok(())
    }
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
        self.tally.applied_some(applied.len(), applied.iter().filter(|applied| applied.again).count());
        if let Some(probe) = self.probe.as_ref().filter(|_| !applied.is_empty()) {
            probe(number, applied);
        }
    }
}

impl Fleet {
    /// Begins to make the nodes members and lets each connect as soon as it is one; see [`Fleet::wait_in_sync`].
    ///
    /// # Errors
    /// The lab is not up, or descriptors do not suffice.
    pub fn start(lab: &Lab, options: Options) -> Result<Self> {
        raise_file_limit(options.nodes)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let clock = Clock::system();
        let client = runtime.block_on(Client::connect(Some(&lab.kubeconfig())))?;
        let authority = runtime.block_on(cloudcore_join::authority(&client, NAMESPACE, &clock))?;
        host::progress(&format!(
            "fleet: {} keys and certificates, Nodes and identity records",
            options.nodes
        ));
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
            edges: Group::new("edges", options.nodes),
            admission: Group::new("admission", 1),
            shared,
            client,
            runtime,
        };
        fleet.begin_admission(identities)?;
        Ok(fleet)
    }

    fn begin_admission(&self, identities: Vec<NodeIdentity>) -> Result<()> {
        let admission = Admission {
            shared: Arc::clone(&self.shared),
            client: self.client.clone(),
            edges: self.edges.clone(),
            candidates: identities.into_iter().zip(self.places.iter().map(Arc::clone)).collect(),
        };
        let shared = Arc::clone(&self.shared);
        let _entered = self.runtime.enter();
        let begun = self.admission.spawn(async move {
            if let Err(error) = admission.run().await {
                shared.tally.fail(format!("{error:#}"));
            }
        });
        ensure!(begun, "the admission runs already");
        Ok(())
    }

    /// How the fleet fares now.
    pub fn counts(&self) -> Counts {
        self.shared.tally.counts()
    }

    /// Objects that nodes applied.
    pub fn applied(&self) -> u64 {
        self.shared.tally.applied()
    }

    /// Objects that a node holds.
    pub fn held(&self, number: usize) -> usize {
        self.places.get(number).map_or(0, |place| place.held())
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
        let settled = host::wait_for("the whole fleet in sync", limit, || {
            if let Err(failure) = self.check() {
                return Ok(Some(Err(failure)));
            }
            let tally = &self.shared.tally;
            if tally.in_sync() == all {
                return Ok(Some(Ok(())));
            }
            bail!("{} of {all}; last trouble: {}", tally.in_sync(), tally.last_trouble())
        });
        settled?
    }

    /// Whether every node was made a member so far.
    ///
    /// # Errors
    /// The API server refused one for good.
    pub fn check(&self) -> Result<()> {
        self.shared.tally.failure().map_or(Ok(()), |failure| Err(anyhow::Error::msg(failure)))
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
