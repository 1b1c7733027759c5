//! The endpoint of one node: lets callers in, finds out where the node is, and serves or passes on.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kit::Elapsed;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;

use super::{Edges, Inner, Whereabouts, serve};
use crate::calls::{Calls, Full};

/// How long a caller waits for a node that is between two sessions.
const PATIENCE: Duration = Duration::from_secs(6);
/// Bytes under way in one direction of a connection that is passed on.
const PASSING: usize = 16 << 10;

/// One node's endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) node: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) calls: Mutex<Calls>,
    /// Where set, the node is served elsewhere, and this ends then.
    pub(super) ends: Mutex<Option<Elapsed>>,
    /// Closed with the last of this.
    pub(super) listener: TcpListener,
}

/// A call under way; it ends when this goes.
#[derive(Debug)]
pub(super) struct Running {
    endpoint: Arc<Endpoint>,
    caller: String,
    active: prometheus_client::metrics::gauge::Gauge,
}

impl Endpoint {
    /// Counts a call, where it may run.
    pub(super) fn begin(
        self: &Arc<Self>,
        caller: &str,
        active: &prometheus_client::metrics::gauge::Gauge,
    ) -> Result<Running, Full> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).begin(caller)?;
        active.inc();
        Ok(Running { endpoint: Arc::clone(self), caller: caller.to_owned(), active: active.clone() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.active.dec();
        self.endpoint.calls.lock().unwrap_or_else(PoisonError::into_inner).end(&self.caller);
    }
}

/// Lets one caller in, where one waits.
pub(super) fn accept<E: Edges>(inner: &Arc<Inner<E>>, endpoint: Arc<Endpoint>) -> std::io::Result<()> {
    let (stream, peer) = match endpoint.listener.accept() {
        Ok(accepted) => accepted,
        // Whoever waited has gone.
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    let node = Arc::clone(&endpoint.node);
    if !inner.connections.spawn(connected(Arc::clone(inner), endpoint, stream, peer)) {
        tracing::warn!(%peer, node = &*node, "a caller was turned away: too many connections");
    }
    Ok(())
}

async fn connected<E: Edges>(
    inner: Arc<Inner<E>>,
    endpoint: Arc<Endpoint>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Small frames of a terminal must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "a caller went");
        return;
    }
    match find(&inner, &endpoint).await {
        Whereabouts::There(address) => pass_on(&inner, &endpoint, stream, address).await,
        Whereabouts::Here => serve::connection(inner, endpoint, stream, peer, None).await,
        Whereabouts::Moving => {
            let words = format!("node {:?} has no session with this cloudcore", endpoint.node);
            serve::connection(inner, endpoint, stream, peer, Some(words)).await;
        }
        Whereabouts::Away(words) => serve::connection(inner, endpoint, stream, peer, Some(words)).await,
    }
}

/// Where the node is; waits a moment for one that is between two sessions.
pub(super) async fn find<E: Edges>(inner: &Inner<E>, endpoint: &Endpoint) -> Whereabouts {
    let mut moves = inner.edges.moves();
    let until = inner.clock.elapsed().plus(PATIENCE);
    loop {
        moves.mark_unchanged();
        let found = inner.edges.find(&endpoint.node, endpoint.address);
        if found != Whereabouts::Moving {
            return found;
        }
        tokio::select! {
            changed = moves.changed() => if changed.is_err() { return found },
            () = inner.clock.sleep_until(until) => return found,
        }
    }
}

/// Passes a connection on, as it is: the caller and the replica that has the session speak TLS with each other.
async fn pass_on<E: Edges>(inner: &Inner<E>, endpoint: &Endpoint, mut near: TcpStream, address: SocketAddr) {
    let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
    let mut far = match connecting {
        Ok(Ok(far)) => far,
        Ok(Err(error)) => {
            tracing::warn!(node = &*endpoint.node, %address, %error, "the replica that serves a node does not answer");
            return;
        }
        Err(_) => {
            tracing::warn!(node = &*endpoint.node, %address, "the replica that serves a node does not answer");
            return;
        }
    };
    inner.metrics.passed_on.inc();
    let _ = far.set_nodelay(true);
    if let Err(error) = copy_bidirectional_with_sizes(&mut near, &mut far, PASSING, PASSING).await {
        tracing::debug!(node = &*endpoint.node, %error, "a connection that was passed on broke");
    }
}
