//! The node as pods see it, kept up to date.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgecore_node::{Facts, NodeConfig};
use edgecore_pods::spec::NodeFacts;
use edgecore_store::Store;
use edgecore_sync::LinkStatus;
use edgecore_volumes::Quantity;
use kit::{Clock, Shutdown};
use tokio::sync::watch;

/// Between two looks at what nobody tells of: addresses, resolv.conf, hosts. A change of the link means a look too.
const LOOK: Duration = Duration::from_mins(1);

/// Where the node's facts come from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) node: NodeConfig,
    pub(crate) machine: Facts,
    pub(crate) cluster_dns: Vec<String>,
    pub(crate) cluster_domain: String,
    pub(crate) resolv_conf: PathBuf,
    pub(crate) pod_logs_dir: PathBuf,
    pub(crate) log_links_dir: PathBuf,
}

impl Source {
    /// The facts at the start. A node that boots with its link cut has the address that it reported last: pods on its
    /// network are probed there, and told of it.
    pub(crate) fn first(&self, store: &Store) -> NodeFacts {
        let known = edgecore_node::known_address(&self.node, store).unwrap_or_else(|error| {
            tracing::warn!(error = kit::errors::chain(&error), "the node's last address cannot be read");
            None
        });
        self.look(known.into_iter().collect())
    }

    /// The facts as of now. An address that cannot be found (a cut link) is the one known before.
    fn look(&self, known: Vec<String>) -> NodeFacts {
        let host_ips = edgecore_node::address(&self.node).map_or(known, |address| vec![address.to_string()]);
        let allocatable: BTreeMap<_, _> = edgecore_node::allocatable(&self.machine, self.node.max_pods)
            .into_iter()
            .filter_map(|(name, quantity)| Some((name, Quantity::parse(&quantity).ok()?)))
            .collect();
        NodeFacts {
            name: self.node.name.clone(),
            host_ips,
            allocatable,
            memory_capacity: self.machine.memory,
            cluster_dns: self.cluster_dns.clone(),
            cluster_domain: self.cluster_domain.clone(),
            resolv_conf: read(&self.resolv_conf),
            hosts: read(&PathBuf::from("/etc/hosts")),
            pod_logs_dir: self.pod_logs_dir.to_string_lossy().into_owned(),
            log_links_dir: self.log_links_dir.to_string_lossy().into_owned(),
        }
    }

    /// Keeps the facts true until shutdown is asked for.
    pub(crate) async fn keep(
        self,
        facts: watch::Sender<Arc<NodeFacts>>,
        link: LinkStatus,
        clock: Clock,
        shutdown: Shutdown,
    ) {
        let mut link = link.watch();
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = clock.sleep(LOOK) => {}
                _ = link.changed() => {}
            }
            facts.send_if_modified(|known| {
                let now = self.look(known.host_ips.clone());
                let changed = **known != now;
                if changed {
                    tracing::info!(addresses = ?now.host_ips, "the node's facts changed");
                    *known = Arc::new(now);
                }
                changed
            });
        }
    }
}

/// A file's text; nothing where it cannot be read: pods then do without.
fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
