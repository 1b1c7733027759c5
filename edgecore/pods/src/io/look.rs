//! One look at everything the runtime holds, with closer looks at what changed.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use edgecore_volumes::VolumeDirs;
use futures::StreamExt;

use crate::observed::{Known, PodView};
use crate::runtime::{Container, ContainerDetail, ContainerState, Observed, Runtime, RuntimeError};
use crate::termination::{ANNOTATION_POLICY, FALLBACK, MAX_LOG, last_lines};

/// Closer looks at once.
const AT_ONCE: usize = 8;

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Pods by UID.
    pub(super) pods: BTreeMap<String, PodView>,
    /// UIDs of pods of which too little could be seen.
    pub(super) unknown: Vec<String>,
    /// Something is still to be learned: the next look should be soon.
    pub(super) again: bool,
}

/// Looks. What was known goes in and comes out with what was learned.
pub(super) async fn look<R: Runtime>(
    runtime: &R,
    dirs: &VolumeDirs,
    mut known: Known,
) -> (Known, Result<Looked, RuntimeError>) {
    let observed = match runtime.observe().await {
        Ok(observed) => observed,
        Err(error) => return (known, Err(error)),
    };
    known.forget(&observed);
    learn(runtime, dirs, &observed, &mut known).await;
    let again = !known.unknown_sandboxes(&observed).is_empty();
    let (pods, unknown) = known.by_pod(observed);
    let again = again || !unknown.is_empty();
    (known, Ok(Looked { pods, unknown, again }))
}

async fn learn<R: Runtime>(runtime: &R, dirs: &VolumeDirs, observed: &Observed, known: &mut Known) {
    let containers = known.unknown_containers(observed);
    let details = futures::stream::iter(containers.into_iter().map(|container| async move {
        let detail = runtime.container(&container.id).await;
        (container, detail)
    }));
    let mut details = details.buffer_unordered(AT_ONCE);
    while let Some((container, detail)) = details.next().await {
        match detail {
            // It went on since the list was made: the next look sees all of it.
            Ok(detail) if detail.state != container.state => {}
            Ok(detail) => {
                let detail = with_message(detail, &container, dirs);
                known.learn(container.id, container.state, detail);
            }
            Err(error) => tracing::debug!(container = container.id.0, %error, "closer look failed"),
        }
    }
    let sandboxes = known.unknown_sandboxes(observed);
    let addresses = futures::stream::iter(sandboxes.into_iter().map(|id| async move {
        let ips = runtime.sandbox_ips(&id).await;
        (id, ips)
    }));
    let mut addresses = addresses.buffer_unordered(AT_ONCE);
    while let Some((id, ips)) = addresses.next().await {
        match ips {
            Ok(ips) => known.learn_ips(id, ips),
            Err(error) => tracing::debug!(sandbox = id.0, %error, "addresses are not known"),
        }
    }
}

/// The termination message that the container left takes the place of the runtime's words.
fn with_message(mut detail: ContainerDetail, container: &Container, dirs: &VolumeDirs) -> ContainerDetail {
    if detail.state != ContainerState::Exited {
        return detail;
    }
    match dirs.termination_message(&container.pod_uid, &container.name, container.attempt) {
        Ok(Some(message)) if !message.is_empty() => {
            detail.message = message;
            return detail;
        }
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(container = container.id.0, %error, "termination message cannot be read");
        }
    }
    let fallback = container.annotations.get(ANNOTATION_POLICY).is_some_and(|policy| policy == FALLBACK);
    if fallback && detail.exit_code != 0 && !detail.log_path.is_empty() {
        match tail(&detail.log_path) {
            Ok(text) => detail.message = last_lines(&text),
            Err(error) => tracing::debug!(path = detail.log_path, %error, "log cannot be read"),
        }
    }
    detail
}

/// The end of a file: enough for the longest message with its framing.
fn tail(path: &str) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let most = (MAX_LOG * 4) as u64;
    let start = length.saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line is cut, unless the file starts here.
    Ok(if start == 0 {
        text
    } else {
        text.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned())
    })
}
