//! Where the kubelet's endpoints, the hub and the controllers meet: adapters, and on which address it all is.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use cloudcore_controllers::{Controllers, Endpoint, Endpoints, Place};
use cloudcore_tunnel::{Edges, Tunnel, Whereabouts};
use kit::errors::chain;
use tokio::sync::watch;

use crate::uplink::EdgeHub;

/// The edges, by the hub's sessions and by what controllers know of the Nodes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reached {
    pub(crate) hub: Arc<OnceLock<EdgeHub>>,
    pub(crate) controllers: Arc<OnceLock<Controllers>>,
}

impl Edges for Reached {
    async fn open(&self, node: &str) -> Result<link::Stream, String> {
        let hub = self.hub.get().ok_or("this cloudcore is starting")?;
        hub.open_stream(node).await.map_err(|error| chain(&error))
    }

    fn find(&self, node: &str, own: SocketAddr) -> Whereabouts {
        let Some(controllers) = self.controllers.get() else { return Whereabouts::Moving };
        match controllers.place(node, own) {
            Place::Here => Whereabouts::Here,
            Place::There(other) => Whereabouts::There(other),
            Place::Away(words) => Whereabouts::Away(words),
            Place::Moving => Whereabouts::Moving,
        }
    }

    fn moves(&self) -> watch::Receiver<()> {
        // Before there are controllers nothing is to be heard of, and no endpoint is open.
        self.controllers.get().map_or_else(|| watch::channel(()).1, Controllers::moves)
    }
}

/// The endpoints, as the controllers see them.
#[derive(Debug)]
pub(crate) struct Served(pub(crate) Tunnel<Reached>);

impl Endpoints for Served {
    fn address(&self) -> IpAddr {
        self.0.address()
    }

    fn open(&self, node: &str, before: Option<u16>, only: bool) -> Option<Endpoint> {
        self.0.open(node, before, only)
    }

    fn leave(&self, node: &str) {
        self.0.leave(node);
    }
}

/// The address from which this machine reaches the API server, which then reaches this machine there.
pub(crate) fn own_address(server: &str) -> anyhow::Result<IpAddr> {
    let find = || {
        let uri: http::Uri = server.parse()?;
        let host = uri.host().context("it has no host")?.trim_matches(['[', ']']);
        let to =
            (host, uri.port_u16().unwrap_or(443)).to_socket_addrs()?.next().context("it has no address")?;
        let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(from)?;
        // Sends nothing: the kernel only chooses a route.
        socket.connect(to)?;
        anyhow::Ok(socket.local_addr()?.ip())
    };
    find().with_context(|| format!("kubeletAddress: cannot be found by the API server's {server}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_route() {
        for (server, expected) in [("https://127.0.0.1:6443/", "127.0.0.1"), ("https://[::1]:6443/", "::1")] {
            assert_eq!(own_address(server).unwrap(), expected.parse::<IpAddr>().unwrap(), "{server}");
        }
        let error = own_address("/x").unwrap_err().to_string();
        assert!(error.contains("kubeletAddress"), "{error}");
    }
}
