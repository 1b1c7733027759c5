//! Asking a container runtime whether its CRI answers. The messages are the two that this one question needs.

use std::path::Path;

use anyhow::{Context, Result};
use tonic::transport::Endpoint;

#[derive(Clone, PartialEq, prost::Message)]
struct VersionRequest {
    #[prost(string, tag = "1")]
    version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionResponse {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, tag = "2")]
    runtime_name: String,
    #[prost(string, tag = "3")]
    runtime_version: String,
    #[prost(string, tag = "4")]
    runtime_api_version: String,
}

/// The runtime's name and version from its CRI `Version` call.
///
/// # Errors
/// Nobody listens at the socket, or it does not answer as a CRI runtime.
pub fn version(socket: &Path) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?
            .connect_timeout(std::time::Duration::from_secs(2))
            .timeout(std::time::Duration::from_secs(5));
        let channel = endpoint.connect().await.context("containerd's socket")?;
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await?;
        let codec = tonic_prost::ProstCodec::<VersionRequest, VersionResponse>::default();
        let path = http::uri::PathAndQuery::from_static("/runtime.v1.RuntimeService/Version");
        let answer =
            client.unary(tonic::Request::new(VersionRequest::default()), path, codec).await?.into_inner();
        Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
    })
}
