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

use kit::{Clock, Elapsed};
use tokio::net::TcpStream;

/// How long a connection is waited for: the kernel has asked five times by then. One that is older is not taken either,
/// however long ago it was answered: nobody knows what became of it since.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections waited for at once, to one address.
const MOST: usize = 12;

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connections that were asked for and not answered yet.
pub struct Late {
    clock: Clock,
    asked: Vec<Asked>,
}

struct Asked {
    address: SocketAddr,
    since: Elapsed,
    connecting: Connecting,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.asked.iter().map(|asked| asked.address)).finish()
    }
}

impl Late {
    /// None yet.
    pub const fn new(clock: Clock) -> Self {
        Self { clock, asked: Vec::new() }
    }

    /// Forgets all of them: one is all that is wanted.
    pub fn clear(&mut self) {
        self.asked.clear();
    }

    /// Asks for a connection; the first one to this address that is answered. The error is that of the one asked for now.
    ///
    /// Called off, it leaves what was asked for to a later call.
    pub(super) async fn connect(&mut self, address: SocketAddr) -> io::Result<TcpStream> {
        self.ask(address, self.clock.elapsed(), TcpStream::connect(address));
        poll_fn(|context| self.first(address, context)).await
    }

    fn ask(
        &mut self,
        address: SocketAddr,
        now: Elapsed,
        connecting: impl Future<Output = io::Result<TcpStream>> + Send + 'static,
    ) {
        self.asked.retain(|asked| now.since(asked.since) < PATIENCE);
        let mut room = MOST - 1;
        // From the newest on: the oldest to this address makes room.
        let mut at = self.asked.len();
        while let Some(before) = at.checked_sub(1) {
            at = before;
            if self.asked.get(at).is_some_and(|asked| asked.address == address) {
                match room.checked_sub(1) {
                    Some(left) => room = left,
                    None => drop(self.asked.remove(at)),
                }
            }
        }
        self.asked.push(Asked { address, since: now, connecting: Box::pin(connecting) });
    }

    fn first(&mut self, address: SocketAddr, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let mut at = 0;
        while let Some(asked) = self.asked.get_mut(at) {
            if asked.address != address {
                at += 1;
                continue;
            }
            match asked.connecting.as_mut().poll(context) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(stream)) => {
                    self.asked.retain(|asked| asked.address != address);
                    return Poll::Ready(Ok(stream));
                }
                Poll::Ready(Err(error)) => {
                    drop(self.asked.remove(at));
                    // What became of an earlier one says nothing of the network now.
                    if !self.asked.iter().skip(at).any(|asked| asked.address == address) {
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
        let mut late = Late::new(Clock::system());
        late.ask(address, Elapsed::default(), async move {
            answered.await.unwrap();
            TcpStream::connect(address).await
        });
        late.ask(NOBODY, Elapsed::default(), std::future::pending());
        let waited = tokio::time::timeout(Duration::from_millis(10), poll_fn(|cx| late.first(address, cx)));
        assert!(waited.await.is_err(), "nobody answered yet");
        // The one asked for next is not answered at all.
        late.ask(address, Elapsed::default(), std::future::pending());
        answer.send(()).unwrap();
        let stream = poll_fn(|cx| late.first(address, cx)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_eq!(format!("{late:?}"), "[127.0.0.1:9]", "the others to it are given up");
    }

    #[tokio::test]
    async fn only_the_newest_one_fails_an_attempt() {
        let failed = |kind: io::ErrorKind| async move { Err(kind.into()) };
        let mut late = Late::new(Clock::system());
        late.ask(NOBODY, Elapsed::default(), failed(io::ErrorKind::HostUnreachable));
        late.ask(NOBODY, Elapsed::default(), std::future::pending());
        let waited = tokio::time::timeout(Duration::from_millis(10), poll_fn(|cx| late.first(NOBODY, cx)));
        assert!(waited.await.is_err());
        late.ask(NOBODY, Elapsed::default(), failed(io::ErrorKind::ConnectionRefused));
        let error = poll_fn(|cx| late.first(NOBODY, cx)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn an_old_answer_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answered = TcpStream::connect(address).await;
        let mut late = Late::new(Clock::system());
        late.ask(address, Elapsed::default(), std::future::ready(answered));
        late.ask(address, Elapsed::default().plus(PATIENCE), async {
            Err(io::ErrorKind::HostUnreachable.into())
        });
        let error = poll_fn(|cx| late.first(address, cx)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
    }

    #[tokio::test]
    async fn they_are_bounded_by_address_and_forgotten() {
        let mut late = Late::new(Clock::system());
        let other = SocketAddr::new(NOBODY.ip(), 10);
        late.ask(other, Elapsed::default(), std::future::pending());
        for _ in 0..2 * MOST {
            late.ask(NOBODY, Elapsed::default(), std::future::pending());
        }
        assert_eq!(late.asked.len(), MOST + 1);
        assert_eq!(late.asked[0].address, other, "one address takes no place of another's");
        late.clear();
        assert_eq!(format!("{late:?}"), "[]");
    }
}
