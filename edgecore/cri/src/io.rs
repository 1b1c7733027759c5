//! The calls themselves.

pub(crate) mod call;
pub(crate) mod listen;
pub(crate) mod monitor;
mod statistics;
mod streaming;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edgecore_pods::runtime::{
    ContainerDetail, ContainerId, ContainerSpec, ExecResult, Image, Observed, PullAuth, Runtime,
    RuntimeError, RuntimeVersion, SandboxId, SandboxSpec,
};
use kit::Clock;
use tokio::sync::watch;

use crate::config::Config;
use crate::convert;
use crate::error::{ConnectError, Failure, together};
use crate::generated::cri;
use crate::health::Health;
use crate::io::call::{Client, fine_if_gone};
use crate::io::monitor::Monitor;
use crate::{observe, reference};

/// More time than a command's own limit until the runtime counts as not answering.
const EXEC_SLACK: Duration = Duration::from_secs(10);

/// The runtime. Clones share the connection; each hears every hint of [`Runtime::changed`] for itself.
#[derive(Debug)]
pub struct Cri {
    client: Client,
    hints: Arc<watch::Sender<u64>>,
    /// The last hint that was passed on through this clone.
    heard: AtomicU64,
    /// Path of the runtime's socket.
    socket: Arc<str>,
}

impl Clone for Cri {
    fn clone(&self) -> Self {
        let heard = AtomicU64::new(self.heard.load(Ordering::SeqCst));
        Self {
            client: self.client.clone(),
            hints: Arc::clone(&self.hints),
            heard,
            socket: Arc::clone(&self.socket),
        }
    }
}

/// Makes a client. Connects at the first call, and again whenever the connection broke; must be called on a tokio
/// runtime. The [`Monitor`] is to be run as a task for as long as the client is in use.
pub fn connect(config: &Config, clock: Clock) -> Result<(Cri, Monitor), ConnectError> {
    let health = Arc::new(watch::Sender::new(Health::default()));
    let hints = Arc::new(watch::Sender::new(0));
    let client = Client::new(config, Arc::clone(&health))?;
    let monitor = Monitor::new(client.clone(), health, Arc::clone(&hints), clock);
    Ok((Cri { client, hints, heard: AtomicU64::new(0), socket: config.path()?.into() }, monitor))
}

impl Cri {
    /// How the runtime does, kept up to date by the [`Monitor`].
    pub fn health(&self) -> watch::Receiver<Health> {
        self.client.health.subscribe()
    }
}

impl Runtime for Cri {
    async fn version(&self) -> Result<RuntimeVersion, RuntimeError> {
        self.client.version().await.map_err(|failure| failure.about("version"))
    }

    async fn observe(&self) -> Result<Observed, RuntimeError> {
        let deadline = self.client.deadlines.look;
        let (mut sandboxes, mut containers) = (self.client.runtime(), self.client.runtime());
        // Containers after sandboxes: one that was made in between is of a sandbox that was seen, or is seen next time.
        let sandboxes = self
            .client
            .ask(deadline, sandboxes.list_pod_sandbox(cri::ListPodSandboxRequest {}))
            .await
            .map_err(|failure| failure.about("sandboxes"))?;
        let containers = self
            .client
            .ask(deadline, containers.list_containers(cri::ListContainersRequest {}))
            .await
            .map_err(|failure| failure.about("containers"))?;
        Ok(observe::observed(sandboxes.items, containers.containers))
    }

    async fn sandbox_ips(&self, id: &SandboxId) -> Result<Vec<String>, RuntimeError> {
        let name = format!("sandbox {}", id.0);
        let request = cri::PodSandboxStatusRequest { pod_sandbox_id: id.0.clone() };
        let answer = self
            .client
            .ask(self.client.deadlines.look, self.client.runtime().pod_sandbox_status(request))
            .await
            .map_err(|failure| failure.about(&name))?;
        answer.status.map(observe::ips).ok_or(RuntimeError::NotFound(name))
    }

    async fn container(&self, id: &ContainerId) -> Result<ContainerDetail, RuntimeError> {
        let name = format!("container {}", id.0);
        let request = cri::ContainerStatusRequest { container_id: id.0.clone() };
        let answer = self
            .client
            .ask(self.client.deadlines.look, self.client.runtime().container_status(request))
            .await
            .map_err(|failure| failure.about(&name))?;
        answer.status.map(observe::detail).ok_or(RuntimeError::NotFound(name))
    }

    async fn run_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxId, RuntimeError> {
        let request = cri::RunPodSandboxRequest {
            config: Some(convert::sandbox::config(spec)),
            runtime_handler: String::new(),
        };
        let name = format!("sandbox of pod {}/{}", spec.pod_namespace, spec.pod_name);
        let answer = self
            .client
            .ask(self.client.deadlines.sandbox, self.client.runtime().run_pod_sandbox(request))
            .await
            .map_err(|failure| failure.about(&name))?;
        Ok(SandboxId(answer.pod_sandbox_id))
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.0.clone() };
        let asked = self
            .client
            .ask(self.client.deadlines.sandbox, self.client.runtime().stop_pod_sandbox(request))
            .await;
        fine_if_gone(asked.map(drop), &id.0)
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.0.clone() };
        let asked = self
            .client
            .ask(self.client.deadlines.change, self.client.runtime().remove_pod_sandbox(request))
            .await;
        fine_if_gone(asked.map(drop), &id.0)
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        sandbox_spec: &SandboxSpec,
        spec: &ContainerSpec,
    ) -> Result<ContainerId, RuntimeError> {
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.0.clone(),
            config: Some(convert::container::config(sandbox_spec, spec)),
            sandbox_config: Some(convert::sandbox::config(sandbox_spec)),
        };
        // Boxed: both configurations are large, and every task that makes a container would hold them several times.
        let mut runtime = self.client.runtime();
        let asked = Box::pin(runtime.create_container(request));
        let answer =
            self.client.ask(self.client.deadlines.change, asked).await.map_err(Failure::about_parts)?;
        Ok(ContainerId(answer.container_id))
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let request = cri::StartContainerRequest { container_id: id.0.clone() };
        self.client
            .ask(self.client.deadlines.change, self.client.runtime().start_container(request))
            .await
            .map(drop)
            .map_err(Failure::about_parts)
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let request = cri::StopContainerRequest { container_id: id.0.clone(), timeout: whole_seconds(grace) };
        let deadline = grace.saturating_add(self.client.deadlines.change);
        let asked = self.client.ask(deadline, self.client.runtime().stop_container(request)).await;
        fine_if_gone(asked.map(drop), &id.0)
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let request = cri::RemoveContainerRequest { container_id: id.0.clone() };
        let asked = self
            .client
            .ask(self.client.deadlines.change, self.client.runtime().remove_container(request))
            .await;
        fine_if_gone(asked.map(drop), &id.0)
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecResult, RuntimeError> {
        let request = cri::ExecSyncRequest {
            container_id: id.0.clone(),
            cmd: command.to_vec(),
            // Zero would be no limit.
            timeout: whole_seconds(timeout).max(1),
        };
        let deadline = timeout.saturating_add(EXEC_SLACK);
        let asked = self.client.ask(deadline, self.client.runtime().exec_sync(request)).await;
        asked.map(observe::exec).map_err(|failure| failure.of_exec(&format!("container {}", id.0), command))
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        reference::check(name)?;
        let request = cri::ImageStatusRequest { image: Some(convert::image::spec(name)) };
        let answer = self
            .client
            .ask(self.client.deadlines.look, self.client.images().image_status(request))
            .await
            .map_err(|failure| failure.about(&format!("image {name}")))?;
        Ok(answer.image.map(observe::image))
    }

    async fn pull(
        &self,
        name: &str,
        auth: &[PullAuth],
        sandbox: &SandboxSpec,
    ) -> Result<Image, RuntimeError> {
        reference::check(name)?;
        let anonymous = [None];
        let credentials: Vec<Option<&PullAuth>> =
            if auth.is_empty() { anonymous.to_vec() } else { auth.iter().map(Some).collect() };
        let mut errors = Vec::new();
        for credential in credentials {
            match self.pull_once(name, credential, sandbox).await {
                Err(error @ RuntimeError::Image { .. }) => errors.push(error),
                otherwise => return otherwise,
            }
        }
        Err(together(errors)
            .unwrap_or_else(|| RuntimeError::Failed(format!("image {name} was not asked for"))))
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let request = cri::ReopenContainerLogRequest { container_id: id.0.clone() };
        self.client
            .ask(self.client.deadlines.look, self.client.runtime().reopen_container_log(request))
            .await
            .map(drop)
            .map_err(|failure| failure.about(&format!("container {}", id.0)))
    }

    async fn changed(&self, most: Duration) {
        let heard = self.heard.load(Ordering::SeqCst);
        let mut hints = self.hints.subscribe();
        // The sender lives in `self`, so the wait ends with a hint or with the time.
        let waited = tokio::time::timeout(most, hints.wait_for(|hint| *hint != heard)).await;
        drop(waited);
        let now = *self.hints.borrow();
        self.heard.store(now, Ordering::SeqCst);
    }
}

impl Cri {
    async fn pull_once(
        &self,
        name: &str,
        auth: Option<&PullAuth>,
        sandbox: &SandboxSpec,
    ) -> Result<Image, RuntimeError> {
        let request = cri::PullImageRequest {
            image: Some(convert::image::spec(name)),
            auth: auth.map(convert::image::auth),
            sandbox_config: Some(convert::sandbox::config(sandbox)),
        };
        let pulled = self
            .client
            .ask(self.client.deadlines.pull, self.client.images().pull_image(request))
            .await
            .map_err(|failure| failure.of_pull(name))?;
        // By what was pulled, not by name: another pull may have moved the tag meanwhile.
        let image = self.image(&pulled.image_ref).await?;
        image.ok_or_else(|| RuntimeError::Image {
            reason: "ErrImagePull",
            message: format!("image {name:?} was pulled and is gone already"),
        })
    }
}

/// CRI counts grace and timeouts in whole seconds; rounded up, so that nothing is killed early.
fn whole_seconds(time: Duration) -> i64 {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_is_never_cut_short() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(30)), 30);
    }
}
