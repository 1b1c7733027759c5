//! Addresses of the runtime's streaming server.

use edgecore_pods::runtime::{ContainerId, RuntimeError, SandboxId, Streaming, Streams};

use super::Cri;
use crate::generated::cri;

impl Streaming for Cri {
    async fn exec_address(
        &self,
        id: &ContainerId,
        command: &[String],
        streams: Streams,
    ) -> Result<String, RuntimeError> {
        let Streams { stdin, stdout, stderr, tty } = streams;
        let (container_id, cmd) = (id.0.clone(), command.to_vec());
        let request = cri::ExecRequest { container_id, cmd, tty, stdin, stdout, stderr };
        let asked = self.client.ask(self.client.deadlines.look, self.client.runtime().exec(request)).await;
        asked.map(|answer| answer.url).map_err(|failure| failure.about(&format!("container {}", id.0)))
    }

    async fn attach_address(&self, id: &ContainerId, streams: Streams) -> Result<String, RuntimeError> {
        let Streams { stdin, stdout, stderr, tty } = streams;
        let request = cri::AttachRequest { container_id: id.0.clone(), stdin, tty, stdout, stderr };
        let asked = self.client.ask(self.client.deadlines.look, self.client.runtime().attach(request)).await;
        asked.map(|answer| answer.url).map_err(|failure| failure.about(&format!("container {}", id.0)))
    }

    async fn port_forward_address(&self, id: &SandboxId) -> Result<String, RuntimeError> {
        // No ports: each stream of the request says its own.
        let request = cri::PortForwardRequest { pod_sandbox_id: id.0.clone(), port: Vec::new() };
        let asked =
            self.client.ask(self.client.deadlines.look, self.client.runtime().port_forward(request)).await;
        asked.map(|answer| answer.url).map_err(|failure| failure.about(&format!("sandbox {}", id.0)))
    }
}
