//! One call: a deadline, an end as soon as the runtime is known to be silent, and limits on sizes.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use edgecore_pods::runtime::{RuntimeError, RuntimeVersion};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use crate::config::{Config, Deadlines};
use crate::error::{ConnectError, Failure};
use crate::generated::cri;
use crate::generated::cri::image_service_client::ImageServiceClient;
use crate::generated::cri::runtime_service_client::RuntimeServiceClient;
use crate::generated::events::events_client::EventsClient;
use crate::health::{Answer, Health};

/// Longest message either way: upstream's limit. A list of a thousand containers is one megabyte.
const MAX_MESSAGE: usize = 16 << 20;

/// The connection and what every call needs.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    channel: Channel,
    /// How long calls may take.
    pub(crate) deadlines: Deadlines,
    /// What the monitor found.
    pub(crate) health: Arc<watch::Sender<Health>>,
}

impl Client {
    /// A client that connects when it is first used.
    pub(crate) fn new(config: &Config, health: Arc<watch::Sender<Health>>) -> Result<Self, ConnectError> {
        let path = config.path()?;
        let endpoint = Endpoint::from_shared(format!("unix://{path}"))
            .map_err(|source| ConnectError::Uri { endpoint: config.endpoint.clone(), source })?
            .connect_timeout(config.deadlines.status);
        Ok(Self { channel: endpoint.connect_lazy(), deadlines: config.deadlines, health })
    }

    /// Calls about sandboxes and containers.
    pub(crate) fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// Calls about images.
    pub(crate) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// containerd's own events.
    pub(crate) fn events(&self) -> EventsClient<Channel> {
        EventsClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Waits for an answer until the deadline, or until the monitor knows that there is none to expect.
    pub(crate) async fn ask<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let mut health = self.health.subscribe();
        let mut call = pin!(call);
        let silent = health.wait_for(|health| matches!(health.answer, Answer::No(_)));
        tokio::select! {
            biased;
            answer = &mut call => answer.map(Response::into_inner).map_err(Failure::new),
            known = silent => Err(Failure::Silent(match known.map(|health| health.answer.clone()) {
                Ok(Answer::No(why)) => why,
                _ => "the client is going away".to_owned(),
            })),
            () = tokio::time::sleep(deadline) => Err(too_late(deadline)),
        }
    }

    /// As [`Client::ask`], but does not heed what the monitor knows: for the monitor's own questions.
    pub(crate) async fn probe<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let deadline = self.deadlines.status;
        match tokio::time::timeout(deadline, call).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(Failure::new),
            Err(_) => Err(too_late(deadline)),
        }
    }

    /// What the runtime is.
    pub(crate) async fn version(&self) -> Result<RuntimeVersion, Failure> {
        let request = cri::VersionRequest { version: "v1".to_owned() };
        let answer = self.probe(self.runtime().version(request)).await?;
        Ok(RuntimeVersion { name: answer.runtime_name, version: answer.runtime_version })
    }
}

fn too_late(deadline: Duration) -> Failure {
    Failure::Silent(format!("no answer within {} s", deadline.as_secs_f64()))
}

/// For calls whose aim is reached when the object is gone.
pub(crate) fn fine_if_gone(asked: Result<(), Failure>, object: &str) -> Result<(), RuntimeError> {
    match asked.map_err(|failure| failure.about(object)) {
        Err(RuntimeError::NotFound(_)) => Ok(()),
        otherwise => otherwise,
    }
}
