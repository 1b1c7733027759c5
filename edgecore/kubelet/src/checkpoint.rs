//! `POST /checkpoint/NAMESPACE/POD/CONTAINER`: the state of a running container, written to the node's disk by a runtime
//! that can.
//!
//! The archive holds the container's memory: only root may read its directory. Like upstream's kubelet this removes none.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use edgecore_pods::runtime::{Checkpoints, ContainerId, Runtime};
use http::{Response, StatusCode};
use kit::WallTime;

use crate::answer::{Body, blocking, json, text};
use crate::find::{Refusal, find};
use crate::io::Parts;
use crate::route::Place;

/// Answers with the path of the archive.
pub(crate) async fn answer<R: Runtime + Checkpoints>(
    parts: &Parts<R>,
    place: Place<'_>,
    query: &str,
) -> Response<Body> {
    match make(parts, place, query).await {
        Ok(path) => json(&serde_json::json!({"items": [path]})),
        Err((status, words)) => text(status, words),
    }
}

async fn make<R: Runtime + Checkpoints>(
    parts: &Parts<R>,
    place: Place<'_>,
    query: &str,
) -> Result<String, Refusal> {
    let pod = find(&parts.store, place)?;
    let timeout = timeout(query)?;
    let Place { namespace, pod: name, container, .. } = place;
    let failed = |why: String| {
        let words = format!("checkpointing of {namespace}/{name}/{container} failed ({why})");
        (StatusCode::INTERNAL_SERVER_ERROR, words)
    };
    let running = pod.reported.running(container).map(ContainerId);
    let running = running.ok_or_else(|| failed(format!("container {container} not found")))?;
    let directory = parts.about.state_dir.join("checkpoints");
    let path = directory.join(file_name(place, parts.clock.wall()));
    blocking(move || private(&directory)).await.map_err(|error| failed(error.to_string()))?;
    let path = path.display().to_string();
    let made = parts.runtime.checkpoint(&running, &path, timeout).await;
    made.map_err(|error| failed(error.to_string()))?;
    Ok(path)
}

/// As upstream calls it.
fn file_name(place: Place<'_>, now: WallTime) -> String {
    let Place { namespace, pod, container, .. } = place;
    format!("checkpoint-{pod}_{namespace}-{container}-{}.tar", now.rfc3339())
}

fn private(directory: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Seconds, the last of several; none, or zero, is the runtime's own.
fn timeout(query: &str) -> Result<Option<Duration>, Refusal> {
    let said = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "timeout").last();
    let Some((_, value)) = said else { return Ok(None) };
    let words = || (StatusCode::NOT_FOUND, "cannot parse value of timeout parameter".to_owned());
    let seconds: u64 = value.parse().map_err(|_| words())?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_timeout_counts() {
        assert_eq!(timeout("").unwrap(), None);
        assert_eq!(timeout("timeout=0").unwrap(), None);
        assert_eq!(timeout("timeout=1&timeout=90").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(timeout("timeout=soon").unwrap_err().0, StatusCode::NOT_FOUND);
    }
}
