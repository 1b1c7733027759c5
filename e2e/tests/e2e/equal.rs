//! Equal states, as a test sees them by itself: the API server, containerd, and the files inside containers.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use crate::world::World;

/// A Deployment of [`crate::world::web`], as it should be in the end.
pub(crate) struct Web<'a> {
    pub(crate) name: &'a str,
    pub(crate) replicas: usize,
    /// What its ConfigMap says.
    pub(crate) page: &'a str,
}

/// The cluster shows these Deployments as they should be, the edge runs exactly the containers that are shown, and each of
/// them sees its page. The error says what differs.
pub(crate) fn equal(world: &World, webs: &[Web<'_>]) -> Result<bool> {
    let mut wanted = BTreeSet::new();
    for web in webs {
        let pods = world.lab.pods(&world.namespace, &format!("app={}", web.name))?;
        ensure!(pods.len() == web.replicas, "{} pods of {}", pods.len(), web.name);
        for pod in pods {
            ensure!(pod.ready, "{} is not Ready", pod.name);
            let container = pod.containers.get("httpd").context("no httpd")?;
            let page = world.edge.exec_in(container, &["cat", "/www/index.html"])?;
            ensure!(page == web.page, "{} holds {page:?}, not {:?}", pod.name, web.page);
            wanted.insert((pod.uid.clone(), container.clone()));
        }
    }
    let running = world.edge.containers()?.into_iter().filter(|container| container.name == "httpd");
    let running: BTreeSet<_> = running.map(|container| (container.pod_uid, container.id)).collect();
    ensure!(running == wanted, "{running:?} run, {wanted:?} are shown");
    Ok(true)
}
