//! TCP connections whose answer takes longer than an attempt.
//!
//! An attempt ends early, so that the next one finds a network that is back within a second. On a path of many seconds
//! that alone would never connect: what an attempt asked for goes on in the kernel, and a later attempt at the same address
//! takes whichever of them is answered first.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

/// How long a connection is waited for: the kernel has asked five times by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections waited for at once; the oldest makes room.
const MOST: usize = 12;

type Asked = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connections that were asked for and not answered yet.
#[derive(Default)]
pub struct Late {
    asked: Vec<(SocketAddr, Asked)>,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.asked.iter().map(|(address, _)| address)).finish()
    }
}

impl Late {
    /// Forgets all of them: after a change of the network they start from an address that may be gone.
    pub fn clear(&mut self) {
        self.asked.clear();
    }

    /// Asks for a connection; the first one to this address that is answered. The error is that of the one asked for now.
    ///
    /// Called off, it leaves what was asked for to a later call.
    pub(super) async fn connect(&mut self, address: SocketAddr) -> io::Result<TcpStream> {
        self.ask(address, async move {
            let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        });
        poll_fn(|context| self.first(address, context)).await
    }

    fn ask(
        &mut self,
        address: SocketAddr,
        connecting: impl Future<Output = io::Result<TcpStream>> + Send + 'static,
    ) {
        if self.asked.len() == MOST {
            drop(self.asked.remove(0));
        }
        self.asked.push((address, Box::pin(connecting)));
    }

    fn first(&mut self, address: SocketAddr, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let mut at = 0;
        while let Some((of, asked)) = self.asked.get_mut(at) {
            if *of != address {
                at += 1;
                continue;
            }
            match asked.as_mut().poll(context) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(stream)) => {
                    self.asked.retain(|(of, _)| *of != address);
                    return Poll::Ready(Ok(stream));
                }
                Poll::Ready(Err(error)) => {
                    drop(self.asked.remove(at));
                    // What became of an earlier one says nothing of the network now.
                    if !self.asked.iter().skip(at).any(|(of, _)| *of == address) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    #[tokio::test]
    async fn what_an_attempt_asked_for_is_there_for_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        let mut late = Late::default();
        late.ask(address, async move {
            answered.await.unwrap();
            TcpStream::connect(address).await
        });
        late.ask(NOBODY, std::future::pending());
        let waited = tokio::time::timeout(Duration::from_millis(10), poll_fn(|cx| late.first(address, cx)));
        assert!(waited.await.is_err(), "nobody answered yet");
        // The one asked for next is not answered at all.
        late.ask(address, std::future::pending());
        answer.send(()).unwrap();
        let stream = poll_fn(|cx| late.first(address, cx)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_eq!(format!("{late:?}"), "[127.0.0.1:9]", "the others to it are given up");
    }

    #[tokio::test]
    async fn only_the_newest_one_fails_an_attempt() {
        let failed = |kind: io::ErrorKind| async move { Err(kind.into()) };
        let mut late = Late::default();
        late.ask(NOBODY, failed(io::ErrorKind::HostUnreachable));
        late.ask(NOBODY, std::future::pending());
        let waited = tokio::time::timeout(Duration::from_millis(10), poll_fn(|cx| late.first(NOBODY, cx)));
        assert!(waited.await.is_err());
        late.ask(NOBODY, failed(io::ErrorKind::ConnectionRefused));
        let error = poll_fn(|cx| late.first(NOBODY, cx)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn they_are_bounded_and_forgotten() {
        let mut late = Late::default();
        for _ in 0..2 * MOST {
            late.ask(NOBODY, std::future::pending());
        }
        assert_eq!(late.asked.len(), MOST);
        late.clear();
        assert_eq!(format!("{late:?}"), "[]");
    }
}
