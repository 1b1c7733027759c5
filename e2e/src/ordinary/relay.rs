//! A way for nodes to an API server that listens on the host's loopback only: each connection to a port of the lab's
//! address is passed on.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use kit::tasks::Group;
use tokio::net::{TcpListener, TcpStream};

/// Connections at once; a node has a handful, a pod that watches has one.
const MOST: usize = 1_000;

/// The relay; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    /// Where it listens.
    pub(super) address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Relay {
    /// Listens at a free port of `at` and passes on to `to`.
    ///
    /// # Errors
    /// There is no such address.
    pub(super) fn start(at: Ipv4Addr, to: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener =
            runtime.block_on(TcpListener::bind((at, 0))).with_context(|| format!("no address {at}"))?;
        let address = listener.local_addr()?;
        let group = Group::new("relay", MOST);
        let connections = group.clone();
        runtime.block_on(async move {
            ensure!(group.spawn(accept(listener, connections, to)), "no task for the relay");
            Ok(())
        })?;
        Ok(Self { address, _runtime: runtime })
    }
}

async fn accept(listener: TcpListener, connections: Group, to: SocketAddr) {
    loop {
        // A connection that is gone before it is taken is its caller's affair.
        let Ok((mut near, _)) = listener.accept().await else { continue };
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(to).await {
                // Either end may go away when it likes.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
