//! The local socket: HTTP for whoever administers the node, while the link is down and the disk is full.
//!
//! `GET /v1/status` answers a [`crate::status::View`], `GET /v1/now` the time as the agent knows it, and everything else is
//! the kubelet's API. One request a connection. Only root and the agent's own user are let in: the socket's mode says so,
//! and the kernel's word on the peer (`SO_PEERCRED`) is checked for each connection.

mod ask;
mod socket;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgecore_kubelet::{Kubelet, Served};
use edgecore_store::Store;
use edgecore_sync::LinkStatus;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kit::tasks::Group;
use kit::{Clock, Shutdown};
use socket::Socket;
use tokio::net::UnixStream;

pub(crate) use ask::{now, status};

/// Where the status is.
const STATUS: &str = "/v1/status";
/// Where the time is.
const NOW: &str = "/v1/now";
/// Pages that let the caller do something in a pod: the log says who it was.
const ENTERS: [&str; 3] = ["/exec/", "/attach/", "/portForward/"];
/// Connections served at once: a log that is followed and a command that runs hold one each.
const MAX_CONNECTIONS: usize = 32;
/// Connections at once that are told why they are not served; more are closed unanswered.
const MAX_TURNED_AWAY: usize = 8;
/// A request's head must be there within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Where the socket cannot be made, it is tried again after so long.
const BIND_AGAIN: Duration = Duration::from_secs(2);

/// What is served, and where.
#[derive(Debug, Clone)]
pub(crate) struct Local<R> {
    pub(crate) path: PathBuf,
    pub(crate) node: String,
    pub(crate) store: Store,
    pub(crate) link: LinkStatus,
    pub(crate) clock: Clock,
    pub(crate) kubelet: Kubelet<R>,
}

impl<R: Served> Local<R> {
    /// Serves until shutdown is asked for. A socket that cannot be made keeps nobody from running the node.
    pub(crate) async fn serve(self, shutdown: Shutdown) -> Result<(), Infallible> {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.forever() => {}
        }
        Ok(())
    }

    async fn forever(self) {
        let socket = self.bind().await;
        let doors = Doors {
            own: rustix::process::geteuid().as_raw(),
            served: Group::new("local", MAX_CONNECTIONS),
            turned_away: Group::new("local turned away", MAX_TURNED_AWAY),
        };
        let local = Arc::new(self);
        loop {
            match socket.listener.accept().await {
                Ok((stream, _)) => doors.admit(&local, stream),
                Err(error) => {
                    tracing::warn!(%error, "local socket could not accept");
                    local.clock.sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn bind(&self) -> Socket {
        let mut said = String::new();
        loop {
            match socket::bind(&self.path) {
                Ok(socket) => return socket,
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != said {
                        tracing::warn!(error, "no local socket; trying again");
                        said = error;
                    }
                    self.clock.sleep(BIND_AGAIN).await;
                }
            }
        }
    }

    /// What is not the kubelet's to answer.
    fn beside(&self, request: &Request<Incoming>) -> Option<Response<Vec<u8>>> {
        Some(match (request.uri().path(), request.method()) {
            (STATUS, &Method::GET) => self.status(),
            (NOW, &Method::GET) => plain(StatusCode::OK, &self.clock.wall().rfc3339()),
            (STATUS | NOW, _) => plain(StatusCode::METHOD_NOT_ALLOWED, "only GET"),
            _ => return None,
        })
    }

    fn status(&self) -> Response<Vec<u8>> {
        let view = crate::status::running(&self.node, &self.store, &self.link.get(), &self.clock);
        let text = view
            .map_err(|error| kit::errors::chain(&error))
            .and_then(|view| serde_json::to_vec(&view).map_err(|error| error.to_string()));
        match text {
            Ok(text) => {
                let mut response = Response::new(text);
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(reason) => plain(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        }
    }
}

/// Whoever comes is served, or told why not; neither takes the other's place.
struct Doors {
    own: u32,
    served: Group,
    turned_away: Group,
}

impl Doors {
    fn admit<R: Served>(&self, local: &Arc<Local<R>>, stream: UnixStream) {
        let peer = match stream.peer_cred() {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(%error, "somebody was turned away of whom the kernel does not say who he is");
                return;
            }
        };
        let (uid, pid) = (peer.uid(), peer.pid());
        if !may(uid, self.own) {
            tracing::warn!(uid, pid, "somebody who is neither root nor the agent's user was turned away");
            let words =
                format!("not permitted: only root and user {} may ask, and this is user {uid}", self.own);
            self.turn_away(stream, StatusCode::FORBIDDEN, words);
        } else if self.served.len() >= MAX_CONNECTIONS {
            tracing::warn!(pid, most = MAX_CONNECTIONS, "a local request was refused: too many run");
            let words = format!("{MAX_CONNECTIONS} requests run already; end one of them");
            self.turn_away(stream, StatusCode::SERVICE_UNAVAILABLE, words);
        } else {
            let local = Arc::clone(local);
            self.served.spawn(async move {
                let beside = |request: &Request<Incoming>| {
                    let path = request.uri().path();
                    if ENTERS.iter().any(|enters| path.starts_with(enters)) {
                        tracing::info!(uid, pid, path, "somebody on the node enters a pod");
                    }
                    local.beside(request)
                };
                local.kubelet.serve_beside(stream, beside).await;
            });
        }
    }

    /// Reads the request, which the peer would otherwise not get rid of, and says why it is not answered.
    fn turn_away(&self, stream: UnixStream, status: StatusCode, words: String) {
        self.turned_away.spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let answer = plain(status, &words).map(|text| Full::new(Bytes::from(text)));
                async { Ok::<_, Infallible>(answer) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .max_buf_size(16 * 1024)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "somebody who was turned away left early");
            }
        });
    }
}

/// Whether a peer of this user is let in by an agent of user `own`.
const fn may(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

fn plain(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(text.as_bytes().to_vec());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
#[path = "local/tests.rs"]
mod tests;
