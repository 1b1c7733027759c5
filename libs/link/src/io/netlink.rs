//! Changes of the machine's network, as the kernel tells them (rtnetlink).

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::unix::AsyncFd;

/// Multicast groups of `linux/rtnetlink.h` (`RTMGRP_*`): links, addresses and routes of both families.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// The kernel's messages are read only to be thrown away: that they come is what counts.
const BUFFER: usize = 8 * 1024;

/// Tells that links, addresses or routes changed.
#[derive(Debug)]
pub struct NetworkChanges {
    socket: AsyncFd<OwnedFd>,
}

/// Begins to watch links, addresses and routes.
pub fn network_changes() -> io::Result<NetworkChanges> {
    #[cfg(feature = "testing")]
    if kit::sim::is_entered() {
        // A simulated machine's network is none that this kernel could tell of.
        return Err(io::ErrorKind::Unsupported.into());
    }
    // No protocol named is NETLINK_ROUTE.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    #[expect(
        deprecated,
        reason = "its fault is types that change descriptors under it, and an OwnedFd never does"
    )]
    let socket = AsyncFd::new(socket)?;
    Ok(NetworkChanges { socket })
}

impl NetworkChanges {
    /// Returns after a change; changes that come together count as one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.socket.readable().await?;
            if let Ok(drained) = ready.try_io(|socket| drain(socket.get_ref())) {
                return drained;
            }
        }
    }
}

/// Empties the socket. `WouldBlock` only where nothing was in it.
fn drain(socket: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0_u8; BUFFER];
    let mut seen = false;
    loop {
        match recv(socket, &mut buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            // No buffers: more changes than the socket could hold, and changes all the same.
            Ok(_) | Err(rustix::io::Errno::NOBUFS) => seen = true,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if seen => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
