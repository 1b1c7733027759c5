//! Who may read the metrics, and the page that asks an edge whether it is well.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cloudcore_hub::HubError;
use cloudcore_kube::{Client, reviews};
use http::StatusCode;
use kit::Clock;
use kit::admin::Authorize;
use kit::errors::chain;
use wire::Version;

use crate::uplink::EdgeHub;

/// How long a yes is remembered, and a no.
const REMEMBERED: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(5));
/// Tokens remembered at once.
const MAX_REMEMBERED: usize = 128;
/// Longest token looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// `Ok`, or the status to answer with.
type Judgement = Result<(), StatusCode>;

/// Judges by TokenReview and SubjectAccessReview.
pub(crate) struct Reviewer {
    client: Client,
    clock: Clock,
    hub: Arc<OnceLock<EdgeHub>>,
    /// By hash of the token.
    remembered: reviews::Memory<Judgement>,
}

impl Reviewer {
    pub(crate) fn new(client: Client, clock: Clock, hub: Arc<OnceLock<EdgeHub>>) -> Self {
        Self { client, clock, hub, remembered: reviews::Memory::new(MAX_REMEMBERED) }
    }

    /// `Err` where the cluster cannot be asked.
    async fn judge(&self, token: &str) -> Result<Judgement, cloudcore_kube::KubeError> {
        let Some(user) = reviews::token(&self.client, token).await? else {
            return Ok(Err(StatusCode::UNAUTHORIZED));
        };
        let allowed = reviews::path(&self.client, &user, "get", "/metrics").await?;
        Ok(if allowed { Ok(()) } else { Err(StatusCode::FORBIDDEN) })
    }
}

impl Authorize for Reviewer {
    async fn metrics(&self, bearer: Option<&str>) -> Result<(), StatusCode> {
        let token = bearer.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN);
        let token = token.ok_or(StatusCode::UNAUTHORIZED)?;
        let hash = Version::of(token.as_bytes());
        if let Some(judgement) = self.remembered.recall(hash, self.clock.elapsed()) {
            return judgement;
        }
        match self.judge(token).await {
            Ok(judgement) => {
                let time = if judgement.is_ok() { REMEMBERED.0 } else { REMEMBERED.1 };
                self.remembered.keep(hash, judgement, self.clock.elapsed().plus(time));
                judgement
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot tell who may read metrics");
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    /// `/nodes/NAME/healthz`: what the edge itself answers, over a stream of its link.
    async fn page(&self, path: &str) -> Option<(StatusCode, String)> {
        let node = path.strip_prefix("/nodes/")?.strip_suffix("/healthz")?;
        let Some(hub) = self.hub.get() else {
            return Some((StatusCode::SERVICE_UNAVAILABLE, "not ready".to_owned()));
        };
        Some(match hub.healthz(node).await {
            Ok(health) => (StatusCode::from_u16(health.code).unwrap_or(StatusCode::BAD_GATEWAY), health.text),
            Err(error @ HubError::NoSession(_)) => (StatusCode::NOT_FOUND, error.to_string()),
            Err(error @ HubError::Timeout { .. }) => (StatusCode::GATEWAY_TIMEOUT, error.to_string()),
            Err(error) => (StatusCode::BAD_GATEWAY, chain(&error)),
        })
    }
}
