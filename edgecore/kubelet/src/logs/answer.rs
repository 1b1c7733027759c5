//! Answers a request for a log.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use edgecore_pods::runtime::{ContainerId, ContainerState, Runtime, RuntimeError};
use futures::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use kit::Clock;

use super::files::{LogFiles, Read1};
use super::growth::Growth;
use super::options::{BadOptions, LogOptions};
use super::select::Selection;
use crate::answer::{Body, blocking, text};
use crate::find::{Refusal, find};
use crate::io::Parts;
use crate::route::Place;

/// Where nothing tells of a log's growth, it is looked at so often.
const LOOK: Duration = Duration::from_secs(1);
/// Where nothing tells of a container's end, it is asked after so often.
const ASK: Duration = Duration::from_secs(10);

/// The log of a container, by the path and the query of a request.
pub(crate) async fn answer<R: Runtime>(parts: &Parts<R>, place: Place<'_>, query: &str) -> Response<Body> {
    match open(parts, place, query).await {
        Ok(log) => {
            let pieces = stream::unfold(log, |mut log| async move {
                let piece = log.next().await?;
                Some((piece.map(|piece| Frame::data(Bytes::from(piece))), log))
            });
            let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, plain);
            response
        }
        Err((status, words)) => text(status, words),
    }
}

async fn open<R: Runtime>(parts: &Parts<R>, place: Place<'_>, query: &str) -> Result<Log<R>, Refusal> {
    let options = LogOptions::parse(query, now(&parts.clock)).map_err(|bad| match bad {
        BadOptions::Undecodable { .. } => (StatusCode::BAD_REQUEST, bad.to_string()),
        BadOptions::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, bad.to_string()),
    })?;
    let found = find(&parts.store, place)?;
    let id = found.reported.with_log(place.pod, place.container, options.previous);
    let id = ContainerId(id.map_err(|words| (StatusCode::BAD_REQUEST, words))?);
    let detail = parts.runtime.container(&id).await.map_err(|error| match error {
        RuntimeError::NotFound(_) => {
            (StatusCode::BAD_REQUEST, format!("failed to try resolving symlinks: container {} is gone", id.0))
        }
        RuntimeError::Unavailable(_) | RuntimeError::Image { .. } | RuntimeError::Failed(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    })?;
    let follow = options.follow;
    let growth = follow.then(|| Growth::of(Path::new(&detail.log_path))).and_then(|growth| {
        growth.map_err(|error| tracing::debug!(%error, "nothing tells of a log's growth")).ok()
    });
    let path = detail.log_path;
    let files = blocking(move || {
        let tail = options.tail;
        LogFiles::open(Path::new(&path), Selection::new(options), tail)
    });
    let files = files.await.map_err(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to open the log of container {}: {error}", id.0))
    })?;
    let (runtime, clock) = (parts.runtime.clone(), parts.clock.clone());
    let ended = !runs(detail.state);
    Ok(Log { files: Some(files), follow, ended, growth, runtime, id, clock })
}

const fn runs(state: ContainerState) -> bool {
    match state {
        ContainerState::Created | ContainerState::Running | ContainerState::Unknown => true,
        ContainerState::Exited => false,
    }
}

fn now(clock: &Clock) -> Timestamp {
    Timestamp::from_millisecond(clock.wall().0).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A log that is being sent.
struct Log<R> {
    /// Away while it is being read.
    files: Option<LogFiles>,
    follow: bool,
    /// The container has ended: what is in the file is all.
    ended: bool,
    growth: Option<Growth>,
    runtime: R,
    id: ContainerId,
    clock: Clock,
}

impl<R: Runtime> Log<R> {
    /// The next piece; `None` where there will be none.
    async fn next(&mut self) -> Option<std::io::Result<Vec<u8>>> {
        loop {
            let mut files = self.files.take()?;
            let (files, read) = blocking(move || {
                let read = files.read();
                (files, read)
            })
            .await;
            self.files = Some(files);
            match read {
                Ok(Read1::Piece(piece)) => return Some(Ok(piece)),
                Ok(Read1::End) if self.follow && !self.ended => self.wait().await,
                Ok(Read1::End | Read1::Full) => return None,
                Err(error) => {
                    tracing::warn!(container = self.id.0, %error, "a log cannot be read");
                    self.files = None;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Waits until there may be more, or the container has ended: then what it wrote last is read once more.
    async fn wait(&mut self) {
        let growth = async {
            if let Some(growth) = &self.growth {
                return growth.happened().await;
            }
            self.clock.sleep(LOOK).await;
            Ok(())
        };
        tokio::select! {
            grown = growth => {
                if grown.is_err() {
                    self.growth = None;
                }
            }
            () = self.runtime.changed(ASK) => {
                self.ended = match self.runtime.container(&self.id).await {
                    Ok(detail) => !runs(detail.state),
                    Err(RuntimeError::NotFound(_)) => true,
                    // Unknown is never gone.
                    Err(_) => false,
                };
            }
        }
    }
}
