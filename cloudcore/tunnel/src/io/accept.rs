//! One task accepts for all nodes: ten thousand listeners cost their descriptors, and no task each.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Listeners that are looked at in one go.
const AT_ONCE: usize = 64;

/// Tells which listeners have somebody waiting.
#[derive(Debug)]
pub(super) struct Door {
    epoll: AsyncFd<OwnedFd>,
}

impl Door {
    /// Watches nothing yet. Within a runtime only.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its fault is types that change descriptors under it, and an OwnedFd never does"
        )]
        let epoll = AsyncFd::with_interest(epoll, Interest::READABLE)?;
        Ok(Self { epoll })
    }

    /// Watches a listener until it is closed.
    pub(super) fn add(&self, listener: &TcpListener) -> io::Result<()> {
        let number = u64::try_from(listener.as_raw_fd()).unwrap_or_default();
        Ok(epoll::add(self.epoll.get_ref(), listener, EventData::new_u64(number), EventFlags::IN)?)
    }

    /// Waits, and answers the descriptors of listeners that had somebody waiting. One of them may be closed by now, and
    /// its number another's: whoever accepts there finds nobody.
    pub(super) async fn knocked(&self) -> io::Result<Vec<RawFd>> {
        loop {
            let mut ready = self.epoll.readable().await?;
            let mut events = Vec::with_capacity(AT_ONCE);
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            epoll::wait(self.epoll.get_ref(), spare_capacity(&mut events), Some(&now))?;
            if events.is_empty() {
                ready.clear_ready();
                continue;
            }
            let number = |event: &epoll::Event| RawFd::try_from(event.data.u64()).ok();
            return Ok(events.iter().filter_map(number).collect());
        }
    }
}

/// Listens there, also where connections of a listener before are not quite over.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // The kernel's side of it stays as it is: not blocking. It leaves the runtime, which would keep more for it.
    socket.listen(128)?.into_std()
}
