//! The streams' multiplexer: HTTP/2 over a pipe in memory, whose other end the connection's task empties into and
//! fills from messages. HTTP/2 because its flow control is per stream: one that nobody reads holds back no other.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::shared::Shared;
use super::stream::Stream;
use crate::config::Config;
use crate::errors::LinkError;
use crate::message::{MAX_CONTENT, mux};

/// Bytes a stream's other end may send ahead of its reader.
const WINDOW: u32 = 64 * 1024;
/// Bytes a stream holds that were written and could not be sent yet.
const UNSENT: usize = 32 * 1024;

type Starting<T> = Pin<Box<dyn Future<Output = Result<T, h2::Error>> + Send>>;
type Client = (h2::client::SendRequest<Bytes>, h2::client::Connection<DuplexStream, Bytes>);
type Server = h2::server::Connection<DuplexStream, Bytes>;

enum Session {
    ClientStarting(Starting<Client>),
    Client(h2::client::Connection<DuplexStream, Bytes>),
    ServerStarting(Starting<Server>),
    Server(Server),
}

/// The multiplexer of one connection.
pub(super) struct Mux {
    session: Session,
    pipe: DuplexStream,
    /// Received, and not yet taken by the session.
    pending: Bytes,
    scratch: Vec<u8>,
}

impl Mux {
    /// The cloud's end: opens streams.
    pub(super) fn client(config: &Config) -> Self {
        let streams = config.max_streams;
        Self::new(|io| {
            Session::ClientStarting(Box::pin(async move {
                h2::client::Builder::new()
                    .initial_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW.saturating_mul(streams))
                    .initial_max_send_streams(streams as usize)
                    .max_concurrent_streams(0)
                    .max_send_buffer_size(UNSENT)
                    .enable_push(false)
                    .handshake(io)
                    .await
            }))
        })
    }

    /// The edge's end: accepts streams.
    pub(super) fn server(config: &Config) -> Self {
        let streams = config.max_streams;
        Self::new(|io| {
            Session::ServerStarting(Box::pin(async move {
                h2::server::Builder::new()
                    .initial_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW.saturating_mul(streams))
                    .max_concurrent_streams(streams)
                    .max_send_buffer_size(UNSENT)
                    .handshake(io)
                    .await
            }))
        })
    }

    fn new(session: impl FnOnce(DuplexStream) -> Session) -> Self {
        let (pipe, io) = tokio::io::duplex(MAX_CONTENT);
        Self { session: session(io), pipe, pending: Bytes::new(), scratch: Vec::new() }
    }

    /// Whether more may be received for it.
    pub(super) fn takes_more(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes what was received.
    pub(super) fn take(&mut self, content: Bytes) {
        self.pending = content;
    }

    /// Lets the session work. `Ready` only at its end, which is the connection's.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<LinkError> {
        // Where the pipe is full, the session's reading of it wakes this task again.
        let _ = self.poll_feed(cx);
        self.poll_session(cx, shared)
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.pending.is_empty() {
            match ready!(Pin::new(&mut self.pipe).poll_write(cx, &self.pending)) {
                Ok(taken) if taken > 0 => drop(self.pending.split_to(taken)),
                // The session has ended and says why when it is polled.
                _ => self.pending = Bytes::new(),
            }
        }
        Poll::Ready(())
    }

    fn poll_session(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<LinkError> {
        loop {
            match &mut self.session {
                Session::ClientStarting(starting) => {
                    let (opener, session) = match ready!(starting.as_mut().poll(cx)) {
                        Ok(started) => started,
                        Err(error) => return Poll::Ready(failed(Some(&error))),
                    };
                    self.session = Session::Client(session);
                    shared.offer_streams(opener);
                }
                Session::Client(session) => {
                    let ended = ready!(Pin::new(session).poll(cx));
                    return Poll::Ready(failed(ended.err().as_ref()));
                }
                Session::ServerStarting(starting) => match ready!(starting.as_mut().poll(cx)) {
                    Ok(session) => self.session = Session::Server(session),
                    Err(error) => return Poll::Ready(failed(Some(&error))),
                },
                Session::Server(session) => match ready!(session.poll_accept(cx)) {
                    Some(Ok((request, answer))) => {
                        if let Some(stream) = answered(request, answer) {
                            shared.accept(stream);
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(failed(Some(&error))),
                    None => return Poll::Ready(failed(None)),
                },
            }
        }
    }

    /// The next message of the session for the peer.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        self.scratch.resize(MAX_CONTENT, 0);
        let mut buf = ReadBuf::new(&mut self.scratch);
        match ready!(Pin::new(&mut self.pipe).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => Poll::Ready(mux(buf.filled())),
            // The session has ended and says why when it is polled.
            _ => Poll::Pending,
        }
    }
}

/// Says yes to a stream that the peer opened.
fn answered(
    request: http::Request<h2::RecvStream>,
    mut answer: h2::server::SendResponse<Bytes>,
) -> Option<Stream> {
    let out = answer.send_response(http::Response::new(()), false).ok()?;
    Some(Stream::accepted(out, request.into_body()))
}

fn failed(error: Option<&h2::Error>) -> LinkError {
    let reason = error.map_or_else(|| "ended".to_owned(), |error| kit::errors::chain(error));
    LinkError::Malformed(format!("streams: {reason}"))
}

/// Opens a stream, waiting while as many are open as the peer takes.
pub(super) async fn open(opener: h2::client::SendRequest<Bytes>) -> io::Result<Stream> {
    let aborted = |error| io::Error::new(io::ErrorKind::ConnectionAborted, error);
    let mut opener = opener.ready().await.map_err(aborted)?;
    let request = http::Request::builder()
        .method(http::Method::CONNECT)
        .uri(http::Uri::from_static("edge"))
        .body(())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let (answer, out) = opener.send_request(request, false).map_err(aborted)?;
    Ok(Stream::opened(out, answer))
}
