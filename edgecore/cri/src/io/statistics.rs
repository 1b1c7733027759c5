//! The runtime's counts, and checkpoints.

use std::time::Duration;

use edgecore_pods::runtime::{
    Checkpoints, ContainerId, ContainerUsage, RuntimeError, Statistics, StoredBytes,
};
use tokio::net::UnixStream;

use super::{Cri, whole_seconds};
use crate::generated::cri;
use crate::usage;

impl Statistics for Cri {
    async fn container_usage(&self) -> Result<Vec<ContainerUsage>, RuntimeError> {
        let request = cri::ListContainerStatsRequest {};
        let asked = self
            .client
            .ask(self.client.deadlines.look, self.client.runtime().list_container_stats(request))
            .await
            .map_err(|failure| failure.about("usage of containers"))?;
        Ok(asked.stats.into_iter().filter_map(usage::container).collect())
    }

    async fn image_storage(&self) -> Result<Option<StoredBytes>, RuntimeError> {
        let request = cri::ImageFsInfoRequest {};
        let asked =
            self.client.ask(self.client.deadlines.look, self.client.images().image_fs_info(request)).await;
        asked.map(usage::images).map_err(|failure| failure.about("usage of images"))
    }

    /// Whoever listens on the socket; a service manager that listens in the runtime's place is not it.
    async fn process(&self) -> Option<u32> {
        let connecting =
            tokio::time::timeout(self.client.deadlines.status, UnixStream::connect(&*self.socket));
        let peer = connecting.await.ok()?.ok()?.peer_cred().ok()?;
        peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 1)
    }
}

impl Checkpoints for Cri {
    async fn checkpoint(
        &self,
        id: &ContainerId,
        path: &str,
        timeout: Option<Duration>,
    ) -> Result<(), RuntimeError> {
        let timeout = timeout.unwrap_or_default();
        let request = cri::CheckpointContainerRequest {
            container_id: id.0.clone(),
            location: path.to_owned(),
            timeout: whole_seconds(timeout),
        };
        let deadline = timeout.saturating_add(self.client.deadlines.change);
        let asked = self.client.ask(deadline, self.client.runtime().checkpoint_container(request)).await;
        asked.map(drop).map_err(|failure| failure.in_upstreams_words(&format!("container {}", id.0)))
    }
}
