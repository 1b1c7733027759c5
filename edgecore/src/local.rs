//! The local socket: HTTP for whoever administers the node, while the link is down and the disk is full.
//!
//! `GET /v1/status` answers a [`crate::status::View`]. Only root and the agent's own user are let in: the socket's mode
//! says so, and the kernel's word on the peer (`SO_PEERCRED`) is checked for each connection.

mod ask;

use std::convert::Infallible;
use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use edgecore_store::Store;
use edgecore_sync::LinkStatus;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kit::tasks::Group;
use kit::{Clock, Shutdown};
use tokio::net::{UnixListener, UnixStream};

pub(crate) use ask::status;

/// Where the status is.
const STATUS: &str = "/v1/status";
/// Connections served at once; more are closed unanswered.
const MAX_CONNECTIONS: usize = 8;
/// A request's head must be there within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Where the socket cannot be made, it is tried again after so long.
const BIND_AGAIN: Duration = Duration::from_secs(30);

/// What is served, and where.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) path: PathBuf,
    pub(crate) node: String,
    pub(crate) store: Store,
    pub(crate) link: LinkStatus,
    pub(crate) clock: Clock,
}

impl Local {
    /// Serves until shutdown is asked for. A socket that cannot be made keeps nobody from running the node.
    pub(crate) async fn serve(self, shutdown: Shutdown) -> Result<(), Infallible> {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.forever() => {}
        }
        Ok(())
    }

    async fn forever(&self) {
        let listener = loop {
            match bind(&self.path) {
                Ok(listener) => break listener,
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "no local socket; trying again");
                    self.clock.sleep(BIND_AGAIN).await;
                }
            }
        };
        let group = Group::new("local", MAX_CONNECTIONS);
        let own = rustix::process::geteuid().as_raw();
        let local = Arc::new(self.clone());
        loop {
            match listener.accept().await {
                Ok((stream, _)) if stream.peer_cred().is_ok_and(|peer| may(peer.uid(), own)) => {
                    let local = Arc::clone(&local);
                    group.spawn(async move { local.answer_all(stream).await });
                }
                Ok(_) => tracing::warn!("somebody who is neither root nor the agent's user was turned away"),
                Err(error) => {
                    tracing::warn!(%error, "local socket could not accept");
                    self.clock.sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn answer_all(self: Arc<Self>, stream: UnixStream) {
        let service = service_fn(move |request| {
            let local = Arc::clone(&self);
            async move { Ok::<_, Infallible>(local.answer(&request)) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a local connection ended early");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match (request.uri().path(), request.method()) {
            (STATUS, &Method::GET) => self.status(),
            (STATUS, _) => plain(StatusCode::METHOD_NOT_ALLOWED, "only GET"),
            _ => plain(StatusCode::NOT_FOUND, "no such page"),
        }
    }

    fn status(&self) -> Response<Full<Bytes>> {
        let view = crate::status::running(&self.node, &self.store, &self.link.get(), &self.clock);
        let text = view
            .map_err(|error| kit::errors::chain(&error))
            .and_then(|view| serde_json::to_vec(&view).map_err(|error| error.to_string()));
        match text {
            Ok(text) => {
                let mut response = Response::new(Full::new(Bytes::from(text)));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(reason) => plain(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        }
    }
}

/// Whether a peer of this user is let in by an agent of user `own`.
const fn may(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

/// Makes the socket, in a folder that only its owner may enter. What an agent left that was killed is replaced; one that
/// somebody listens on is not.
fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let at = || format!("cannot listen on {}", path.display());
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(at)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => bail!("{}: something else is there", at()),
        Ok(_) => clear(path).with_context(at)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(at),
    }
    let listener = UnixListener::bind(path).with_context(at)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).with_context(at)?;
    Ok(listener)
}

/// Removes a socket that nobody listens on.
fn clear(path: &Path) -> anyhow::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => bail!("another process does"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(std::fs::remove_file(path)?),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgecore_sync::Phase;

    #[test]
    fn root_and_the_own_user_are_let_in() {
        assert!(may(0, 0) && may(0, 1000) && may(1000, 1000));
        assert!(!may(1000, 0) && !may(1001, 1000));
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/edgecore.sock");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let first = bind(&path).unwrap();
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        let error = format!("{:#}", bind(&path).unwrap_err());
        assert!(error.contains("another process"), "{error}");
        drop(first);
        drop(bind(&path).unwrap());
        // What is no socket is nobody's to remove.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "a file").unwrap();
        bind(&path).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    }

    #[tokio::test]
    async fn the_status_is_served_and_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edgecore.sock");
        let clock = Clock::system();
        let store = Store::open(&dir.path().join("state"), clock.clone()).unwrap().store;
        let local = Local {
            path: path.clone(),
            node: "edge-1".to_owned(),
            store: store.clone(),
            link: LinkStatus::default(),
            clock,
        };
        assert!(status(&path).await.unwrap().is_none(), "nobody serves yet");
        let shutdown = Shutdown::new();
        let serving = local.serve(shutdown.clone());
        tokio::pin!(serving);
        let asking = async {
            loop {
                match status(&path).await.unwrap() {
                    Some(view) => break view,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        let view = tokio::select! {
            view = asking => view,
            _ = &mut serving => panic!("it ended"),
        };
        assert_eq!((view.status.node.as_str(), &view.ledger), ("edge-1", &store.meta().store_id));
        assert_eq!(view.status.link.state, Phase::Disconnected.name());
        let names: Vec<_> = view.status.streams.iter().map(|stream| stream.name.as_str()).collect();
        assert_eq!(names, ["events", "messages", "readings", "reports"]);
        shutdown.request("the test ends");
        serving.await.unwrap();
        assert!(status(&path).await.unwrap().is_none(), "what was left answers nobody");
    }
}
