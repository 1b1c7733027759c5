//! Containers as containerd sees them, over CRI. The messages hold the few fields that are looked at; field numbers
//! are those of the Container Runtime Interface, v1.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use prost::Message;
use tonic::transport::Endpoint;

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerSeen {
    /// Its id.
    pub id: String,
    /// Name of its pod.
    pub pod: String,
    /// UID of its pod.
    pub pod_uid: String,
    /// Its name in the pod.
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ListRequest {
    #[prost(message, optional, tag = "1")]
    filter: Option<Filter>,
}

#[derive(Clone, PartialEq, Message)]
struct Filter {
    #[prost(message, optional, tag = "2")]
    state: Option<StateValue>,
}

#[derive(Clone, PartialEq, Message)]
struct StateValue {
    #[prost(int32, tag = "1")]
    state: i32,
}

#[derive(Clone, PartialEq, Message)]
struct ListResponse {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(btree_map = "string, string", tag = "8")]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct ExecRequest {
    #[prost(string, tag = "1")]
    container_id: String,
    #[prost(string, repeated, tag = "2")]
    cmd: Vec<String>,
    #[prost(int64, tag = "3")]
    timeout: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ExecResponse {
    #[prost(bytes = "vec", tag = "1")]
    stdout: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    stderr: Vec<u8>,
    #[prost(int32, tag = "3")]
    exit_code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {
    #[prost(string, tag = "1")]
    container_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int64, tag = "5")]
    started_at: i64,
}

/// When a container started, nanoseconds since 1970.
pub(super) fn started_at(socket: &Path, container: &str) -> Result<i64> {
    let request = StatusRequest { container_id: container.to_owned() };
    let answer: StatusResponse = call(socket, "/runtime.v1.RuntimeService/ContainerStatus", request)?;
    Ok(answer.status.context("a container without a status")?.started_at)
}

/// Containers that run, sorted by id.
pub(super) fn running(socket: &Path) -> Result<Vec<ContainerSeen>> {
    // 1 is CONTAINER_RUNNING.
    let request = ListRequest { filter: Some(Filter { state: Some(StateValue { state: 1 }) }) };
    let answer: ListResponse = call(socket, "/runtime.v1.RuntimeService/ListContainers", request)?;
    let mut seen: Vec<_> = answer.containers.into_iter().map(seen).collect();
    seen.sort();
    Ok(seen)
}

fn seen(container: Container) -> ContainerSeen {
    let label = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
    ContainerSeen {
        pod: label("io.kubernetes.pod.name"),
        pod_uid: label("io.kubernetes.pod.uid"),
        name: label("io.kubernetes.container.name"),
        id: container.id,
    }
}

/// Runs a command to its end.
pub(super) fn exec(socket: &Path, container: &str, command: &[&str]) -> Result<String> {
    let request = ExecRequest {
        container_id: container.to_owned(),
        cmd: command.iter().map(|word| (*word).to_owned()).collect(),
        timeout: 10,
    };
    let answer: ExecResponse = call(socket, "/runtime.v1.RuntimeService/ExecSync", request)?;
    let stderr = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.exit_code == 0, "{command:?} in {container} ended with {}: {stderr}", answer.exit_code);
    String::from_utf8(answer.stdout).context("the output is not text")
}

fn call<Q, A>(socket: &Path, method: &'static str, request: Q) -> Result<A>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("unix://{}", socket.display()))?
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(15))
            .connect()
            .await
            .context("containerd's socket")?;
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await?;
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let path = http::uri::PathAndQuery::from_static(method);
        Ok(client.unary(tonic::Request::new(request), path, codec).await?.into_inner())
    })
}
