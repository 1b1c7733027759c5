//! A byte stream inside the link.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::message::MAX_CONTENT;

/// A byte stream inside the link, with flow control of its own: who does not read stops the writer at the other end
/// and nobody else. Dropping it before both directions are shut down resets it, which the other end sees as an error.
#[derive(Debug)]
pub struct Stream {
    out: SendStream<Bytes>,
    input: Input,
    /// Received and not yet read.
    chunk: Bytes,
    shut: bool,
}

/// The cloud gets its receiving half only when the edge has answered.
#[derive(Debug)]
enum Input {
    Answering(ResponseFuture),
    Open(RecvStream),
}

impl Stream {
    pub(super) const fn opened(out: SendStream<Bytes>, answer: ResponseFuture) -> Self {
        Self { out, input: Input::Answering(answer), chunk: Bytes::new(), shut: false }
    }

    pub(super) const fn accepted(out: SendStream<Bytes>, input: RecvStream) -> Self {
        Self { out, input: Input::Open(input), chunk: Bytes::new(), shut: false }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match &mut self.input {
                Input::Answering(answer) => {
                    let answer = ready!(Pin::new(answer).poll(cx)).map_err(broken)?;
                    if !answer.status().is_success() {
                        return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
                    }
                    self.input = Input::Open(answer.into_body());
                }
                Input::Open(input) => {
                    let chunk = ready!(input.poll_data(cx)).transpose().map_err(broken)?;
                    return Poll::Ready(Ok(chunk));
                }
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() {
            match ready!(self.poll_chunk(cx))? {
                Some(chunk) => self.chunk = chunk,
                None => return Poll::Ready(Ok(())),
            }
        }
        let piece = self.chunk.len().min(buf.remaining());
        let piece = self.chunk.split_to(piece);
        buf.put_slice(&piece);
        if let Input::Open(input) = &mut self.input {
            // What was read makes room at the other end. Fails only where the stream is over.
            let _ = input.flow_control().release_capacity(piece.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.out.reserve_capacity(buf.len().min(MAX_CONTENT));
        while self.out.capacity() == 0 {
            match ready!(self.out.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let piece = buf.get(..self.out.capacity()).unwrap_or(buf);
        self.out.send_data(Bytes::copy_from_slice(piece), false).map_err(broken)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            self.shut = true;
            self.out.send_data(Bytes::new(), true).map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}

fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into());
    }
    let kind =
        if error.is_reset() { io::ErrorKind::ConnectionReset } else { io::ErrorKind::ConnectionAborted };
    io::Error::new(kind, error)
}
