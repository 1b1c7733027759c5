//! What only one replica may do at a time: it starts when this one begins to lead, and ends with its term.

use std::time::Duration;

use anyhow::Context;
use cloudcore_controllers::{Controllers, NAMESPACE_SOURCE};
use cloudcore_kube::Client;
use cloudcore_kube::leader::{Election, Term};
use cloudcore_kube::watch::Watch;
use kit::errors::chain;
use kit::{Clock, Tasks};

use super::{AllMetrics, Base};

/// The Lease by which replicas elect.
const LEASE: &str = "cloudcore-leader";
/// Between two looks for join tokens that expired.
const SWEEP: Duration = Duration::from_mins(10);

/// Starts the controllers, and stands for election.
pub(super) fn start(
    base: &Base,
    controllers: &Controllers,
    metrics: &AllMetrics,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let Base { settings, client, clock, shutdown, .. } = base;
    let namespaces = Watch::new(
        client.clone(),
        NAMESPACE_SOURCE,
        controllers.namespaces(),
        metrics.kube.clone(),
        clock.clone(),
    );
    tasks.spawn("watch Namespace", namespaces.run(shutdown.clone()));
    tasks.spawn("controllers", controllers.clone().run(shutdown.clone()));

    // Two replicas may have been given one name, and a successor has its predecessor's.
    let id = kit::random::uuid().context("cannot make an identity for the election")?;
    let identity = format!("{}_{id}", settings.replica);
    let lease = (settings.namespace.as_str(), LEASE);
    let election = Election::new(client.clone(), lease, identity, clock.clone(), metrics.kube.clone());
    let (client, namespace, clock) = (client.clone(), settings.namespace.clone(), clock.clone());
    let controllers = controllers.clone();
    let work = move |term: Term| {
        let sweeping = sweep(client.clone(), namespace.clone(), clock.clone(), term.clone());
        let leading = controllers.clone().lead(term);
        async move {
            // Neither ends by itself.
            tokio::join!(leading, sweeping);
        }
    };
    tasks.spawn("leader", election.run(shutdown.clone(), work));
    Ok(())
}

/// Collects join tokens that expired, now and then.
async fn sweep(client: Client, namespace: String, clock: Clock, term: Term) {
    loop {
        match cloudcore_join::sweep(&client, &namespace, &clock, || term.holds()).await {
            Ok(swept) if swept.deleted > 0 => {
                tracing::info!(
                    deleted = swept.deleted,
                    kept = swept.kept,
                    "join tokens that expired are deleted"
                );
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = chain(&error), "join tokens that expired are not all deleted");
            }
        }
        clock.sleep(SWEEP).await;
    }
}
