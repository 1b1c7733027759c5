//! Answers about what is used.

use edgecore_pods::runtime::{Runtime, RuntimeError, Statistics};
use http::{Response, StatusCode};

use super::gather::{Want, look, rates};
use super::seen::Seen;
use super::summary::{Told, summary};
use super::{cadvisor, resource};
use crate::answer::{Body, full, json, text};
use crate::exposition::CONTENT_TYPE;
use crate::io::Parts;

/// `/stats/summary`.
pub(crate) async fn summarize<R: Runtime + Statistics>(parts: &Parts<R>, query: &str) -> Response<Body> {
    let mut asked =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "only_cpu_and_memory");
    // Upstream wants it exactly once.
    let only = matches!((asked.next(), asked.next()), (Some((_, value)), None) if value == "true");
    let (want, told) = if only { (Want::Basic, Told::CpuAndMemory) } else { (Want::All, Told::All) };
    let seen = match look(parts, want).await {
        Ok(seen) => seen,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, format!("Internal Error: {error}")),
    };
    let rates = rates(parts, &seen).await;
    json(&summary(&parts.about.node_name, &seen, &rates, parts.began, told))
}

/// `/metrics/resource`.
pub(crate) async fn resources<R: Runtime + Statistics>(parts: &Parts<R>) -> Response<Body> {
    let seen = told(look(parts, Want::Least).await);
    metrics(resource::page(seen.as_ref()))
}

/// `/metrics/cadvisor`.
pub(crate) async fn containers<R: Runtime + Statistics>(parts: &Parts<R>) -> Response<Body> {
    let seen = told(look(parts, Want::Detailed).await);
    metrics(cadvisor::page(&parts.about.machine, seen.as_ref()))
}

/// Like upstream, these pages say by a metric of theirs that there was an error.
fn told(seen: Result<Seen, RuntimeError>) -> Option<Seen> {
    seen.inspect_err(|error| tracing::warn!(%error, "what containers use cannot be told")).ok()
}

/// A page of metrics.
pub(crate) fn metrics(page: String) -> Response<Body> {
    full(StatusCode::OK, CONTENT_TYPE, page.into_bytes())
}
