//! Asking the agent that runs for what is its own: its status and its time.

use std::path::Path;

use anyhow::Context;
use kit::WallTime;

use super::{NOW, STATUS};
use crate::operator::client;
use crate::status::View;

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// The status of the agent that serves this socket; `None` where nobody does.
pub(crate) async fn status(path: &Path) -> anyhow::Result<Option<View>> {
    let Some(stream) = client::connect(path).await? else { return Ok(None) };
    let answer = client::get(stream, STATUS, MAX_ANSWER).await;
    let answer = answer.with_context(|| format!("cannot ask edgecore on {}", path.display()))?;
    serde_json::from_slice(&answer).context("edgecore's answer is not understood").map(Some)
}

/// What time it is for the agent, whose clock the cloud corrects; `None` where nobody serves.
pub(crate) async fn now(path: &Path) -> anyhow::Result<Option<WallTime>> {
    let Some(stream) = client::connect(path).await? else { return Ok(None) };
    let answer = client::get(stream, NOW, MAX_ANSWER).await?;
    let time = std::str::from_utf8(&answer).ok().and_then(WallTime::parse);
    time.context("edgecore's time is not understood").map(Some)
}
