//! A command that runs in a container: what goes to it, what comes back, and how it ended. Kubernetes' protocol
//! `v4.channel.k8s.io` (k8s.io/client-go `tools/remotecommand`): a stream each for errors, input, output and the size of the
//! terminal, the end told as a `Status` on the stream for errors.

use std::convert::Infallible;
use std::future::pending;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::json::{list, text};
use super::spdy::{self, Decoder, Encoder, Event};

/// The protocol's name.
pub(super) const PROTOCOL: &str = "v4.channel.k8s.io";

const ERROR: u32 = 1;
const STDIN: u32 = 3;
const STDOUT: u32 = 5;
const STDERR: u32 = 7;
const RESIZE: u32 = 9;

/// Longest status that is read, in bytes.
const MAX_STATUS: usize = 64 << 10;
/// Bytes read at once.
const PIECE: usize = 16 << 10;
/// Pings that wait to be sent back; of more, the last are dropped.
const PINGS: usize = 4;

/// What a command wrote, and where to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    Out(Vec<u8>),
    Error(Vec<u8>),
}

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With this exit code.
    Code(i64),
    /// Nobody takes what it writes any more.
    Deaf,
}

/// What goes to the command.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Its input, to the end of it, where it has one.
    pub(super) stdin: Option<mpsc::Receiver<Vec<u8>>>,
    /// Columns and rows of its terminal, where it has one.
    pub(super) sizes: Option<mpsc::Receiver<(u16, u16)>>,
}

/// Runs a session to its end.
///
/// # Errors
/// The command could not be run, in the words of whoever could not, or the connection broke.
pub(super) async fn run(
    stream: impl AsyncRead + AsyncWrite,
    input: Input,
    output: mpsc::Sender<Wrote>,
) -> anyhow::Result<End> {
    let (read, write) = tokio::io::split(stream);
    let mut first = Vec::new();
    // Standard error has no stream of its own where there is a terminal.
    let tty = input.sizes.is_some();
    let wanted = [
        (ERROR, "error", true),
        (STDIN, "stdin", input.stdin.is_some()),
        (STDOUT, "stdout", true),
        (STDERR, "stderr", !tty),
        (RESIZE, "resize", tty),
    ];
    let mut encoder = Encoder::default();
    for (stream, kind, _) in wanted.into_iter().filter(|(_, _, wanted)| *wanted) {
        encoder.open(stream, kind, &mut first);
    }
    let (pings, pinged) = mpsc::channel(PINGS);
    tokio::select! {
        ended = receive(read, output, pings, !tty) => ended,
        never = send(write, first, input, pinged) => match never {},
    }
}

/// The next item; never where nobody will send one.
async fn next<T>(source: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match source {
        Some(source) => source.recv().await,
        None => pending().await,
    }
}

/// Sends until it is dropped. A connection that takes nothing more does not end the session: what the command said before is
/// still to be read.
async fn send(
    mut write: impl AsyncWrite + Unpin,
    first: Vec<u8>,
    mut input: Input,
    mut pings: mpsc::Receiver<u32>,
) -> Infallible {
    let mut frames = first;
    loop {
        if write.write_all(&frames).await.is_err() || write.flush().await.is_err() {
            return pending().await;
        }
        frames.clear();
        tokio::select! {
            biased;
            Some(id) = pings.recv() => spdy::ping(id, &mut frames),
            size = next(&mut input.sizes) => match size {
                Some((columns, rows)) => {
                    let size = format!("{}\n", json!({"Width": columns, "Height": rows}));
                    spdy::data(RESIZE, size.as_bytes(), false, &mut frames);
                }
                None => input.sizes = None,
            },
            piece = next(&mut input.stdin) => {
                if piece.is_none() {
                    input.stdin = None;
                }
                spdy::data(STDIN, &piece.unwrap_or_default(), input.stdin.is_none(), &mut frames);
            }
        }
    }
}

async fn receive(
    mut read: impl AsyncRead + Unpin,
    output: mpsc::Sender<Wrote>,
    pings: mpsc::Sender<u32>,
    stderr: bool,
) -> anyhow::Result<End> {
    let (mut decoder, mut status, mut buffer) = (Decoder::default(), Vec::new(), vec![0; PIECE]);
    let mut open = vec![ERROR, STDOUT];
    open.extend(stderr.then_some(STDERR));
    while !open.is_empty() {
        // Broken off where the status has not come: that is what is said then.
        let length = read.read(&mut buffer).await.unwrap_or_default();
        if length == 0 {
            break;
        }
        let events = decoder.take(buffer.get(..length).unwrap_or_default());
        for event in events.context("the runtime's streaming server is not understood")? {
            let (stream, bytes, last) = match event {
                Event::Data { stream, bytes, last } => (stream, bytes, last),
                Event::Ping(id) => {
                    let _ = pings.try_send(id);
                    continue;
                }
            };
            let wrote = match stream {
                ERROR if status.len() + bytes.len() > MAX_STATUS => bail!("a status that is too long"),
                ERROR => {
                    status.extend(bytes);
                    None
                }
                _ if bytes.is_empty() => None,
                STDOUT => Some(Wrote::Out(bytes)),
                STDERR => Some(Wrote::Error(bytes)),
                _ => None,
            };
            if let Some(wrote) = wrote
                && output.send(wrote).await.is_err()
            {
                return Ok(End::Deaf);
            }
            if last {
                open.retain(|open| *open != stream);
            }
        }
    }
    code(&status).map(End::Code)
}

/// The exit code that a status tells.
fn code(status: &[u8]) -> anyhow::Result<i64> {
    if status.is_empty() {
        bail!("the connection ended before the command did");
    }
    let Ok(status) = serde_json::from_slice::<Value>(status) else {
        bail!("{}", String::from_utf8_lossy(status).trim());
    };
    if text(&status, "/status") == "Success" {
        return Ok(0);
    }
    let causes = list(&status, "/details/causes");
    let exit = causes.iter().find(|cause| text(cause, "/reason") == "ExitCode");
    let exit = exit.and_then(|cause| text(cause, "/message").parse().ok());
    match (text(&status, "/reason"), exit) {
        ("NonZeroExitCode", Some(exit)) => Ok(exit),
        _ if text(&status, "/message").is_empty() => bail!("the command failed: {status}"),
        _ => bail!("{}", text(&status, "/message")),
    }
}

#[cfg(test)]
#[path = "session/tests.rs"]
mod tests;
