//! `edgecore exec`: as `kubectl exec` in a pod.

use std::convert::Infallible;
use std::io::{Read, Write};

use anyhow::{Context, bail};
use clap::Args;
use http::header;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::resolve::{self, For};
use super::session::{self, End, Input, Wrote};
use super::terminal::{self, Raw};
use super::{client, pods, row};
use crate::cli::{ConfigArgs, FAILED, complain};
use crate::config::EdgeConfig;

/// Bytes of input read at once.
const PIECE: usize = 16 << 10;
/// Pieces of input, and of output, under way.
const PIECES: usize = 2;
/// What a shell says of a command that a signal ended is the signal's number and this.
const SIGNALLED: u8 = 128;
/// Number of the signal that ends whoever writes where nobody reads.
const SIGPIPE: u8 = 13;

/// Arguments of `edgecore exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The pod.
    pod: String,
    /// Its namespace; without it the only one that has such a pod here, or of several `default`.
    #[arg(short, long)]
    namespace: Option<String>,
    /// The container; without it the one that the annotation kubectl.kubernetes.io/default-container names, or the first.
    #[arg(short, long)]
    container: Option<String>,
    /// The command reads standard input.
    #[arg(short = 'i', long)]
    stdin: bool,
    /// It has a terminal.
    #[arg(short, long)]
    tty: bool,
    /// Say only what the command says.
    #[arg(short, long)]
    quiet: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Runs the command; what it ended with is what edgecore ends with.
pub(crate) async fn run(args: &ExecArgs, config: &EdgeConfig) -> anyhow::Result<u8> {
    let pods = pods::list(config).await?;
    let pod = resolve::pod(&pods, args.namespace.as_deref(), &args.pod).map_err(anyhow::Error::msg)?;
    if row::ended(pod) {
        let phase = row::phase(pod);
        bail!("cannot exec into a container in a completed pod; current phase is {phase}");
    }
    let chosen = resolve::container(pod, args.container.as_deref(), For::Exec).map_err(anyhow::Error::msg)?;
    let note = |words: &str| {
        if !args.quiet {
            complain(words);
        }
    };
    chosen.notes.iter().for_each(|words| note(words));
    // A terminal is for whoever types, as kubectl has it.
    let tty = args.tty && args.stdin && terminal::is_there();
    if args.tty && args.stdin && !tty {
        note("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let request = client::request(&path(pod, chosen.name, args, tty))
        .method("POST")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "SPDY/3.1")
        .header("x-stream-protocol-version", session::PROTOCOL);
    let answer = client::send(client::agent(config).await?, request).await?;
    let spoken = answer.response.headers().get("x-stream-protocol-version");
    if spoken.is_none_or(|spoken| spoken != session::PROTOCOL) {
        bail!("the runtime's streaming server speaks {spoken:?}, and not {}", session::PROTOCOL);
    }
    let stream = TokioIo::new(hyper::upgrade::on(answer.response).await?);
    let ended = if tty { in_terminal(stream).await } else { plainly(stream, args.stdin).await };
    drop(answer.connection);
    match ended? {
        End::Code(0) => Ok(0),
        End::Code(code) => {
            complain(&format!("command terminated with exit code {code}"));
            Ok(u8::try_from(code).unwrap_or(FAILED))
        }
        End::Deaf => Ok(SIGNALLED + SIGPIPE),
    }
}

fn path(pod: &Value, container: &str, args: &ExecArgs, tty: bool) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for word in &args.command {
        query.append_pair("command", word);
    }
    for (name, wanted) in [("input", args.stdin), ("output", true), ("error", !tty), ("tty", tty)] {
        if wanted {
            query.append_pair(name, "1");
        }
    }
    let (namespace, name) = (resolve::namespace(pod), resolve::name(pod));
    format!("/exec/{namespace}/{name}/{container}?{}", query.finish())
}

async fn plainly(stream: impl AsyncRead + AsyncWrite, reads: bool) -> anyhow::Result<End> {
    let input = Input { stdin: reads.then(stdin), sizes: None };
    with_output(stream, input).await
}

/// With the terminal handed over to the command, until it or a signal ends the session.
async fn in_terminal(stream: impl AsyncRead + AsyncWrite) -> anyhow::Result<End> {
    let mut changes = signal(SignalKind::window_change())?;
    // Keys make none of them in a terminal that is handed over.
    let mut ends = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::quit())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    let (resize, sizes) = mpsc::channel(1);
    let tell_sizes = async {
        loop {
            if let Some(size) = terminal::size()
                && resize.send(size).await.is_err()
            {
                break;
            }
            changes.recv().await;
        }
        std::future::pending::<Infallible>().await
    };
    let raw = Raw::enter().context("cannot hand the terminal over")?;
    let ended = tokio::select! {
        ended = with_output(stream, Input { stdin: Some(stdin()), sizes: Some(sizes) }) => ended,
        number = signalled(&mut ends) => Ok(End::Code(i64::from(SIGNALLED) + number)),
        never = tell_sizes => match never {},
    };
    drop(raw);
    ended
}

/// The number of the first of interrupt, quit, terminate and hang-up that comes.
async fn signalled([interrupt, quit, terminate, hangup]: &mut [Signal; 4]) -> i64 {
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = quit.recv() => 3,
        _ = terminate.recv() => 15,
        _ = hangup.recv() => 1,
    }
}

/// Standard input, to its end. Reading it cannot be broken off, so whoever reads it is left behind when the process ends.
fn stdin() -> mpsc::Receiver<Vec<u8>> {
    let (pieces, source) = mpsc::channel(PIECES);
    drop(tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; PIECE];
        let mut stdin = std::io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // What cannot be read has ended.
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    let piece = buffer.get(..length).unwrap_or_default().to_vec();
                    if pieces.blocking_send(piece).is_err() {
                        break;
                    }
                }
            }
        }
    }));
    source
}

/// Runs a session, and writes what comes of it where it belongs, beside everything else: whoever reads it may be slow.
async fn with_output(stream: impl AsyncRead + AsyncWrite, input: Input) -> anyhow::Result<End> {
    let (output, mut written) = mpsc::channel(PIECES);
    let writer = tokio::task::spawn_blocking(move || {
        let (mut out, mut error) = (std::io::stdout(), std::io::stderr());
        while let Some(wrote) = written.blocking_recv() {
            let done = match wrote {
                Wrote::Out(bytes) => out.write_all(&bytes).and_then(|()| out.flush()),
                Wrote::Error(bytes) => error.write_all(&bytes),
            };
            if done.is_err() {
                break;
            }
        }
    });
    let ended = session::run(stream, input, output).await;
    writer.await?;
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        exec: ExecArgs,
    }

    fn asked(words: &str, tty: bool) -> String {
        let line = Line::try_parse_from(format!("exec {words}").split(' ')).unwrap();
        path(&json!({"metadata": {"name": "p", "namespace": "n"}}), "c", &line.exec, tty)
    }

    #[test]
    fn what_is_typed_is_asked_for() {
        let plain = "/exec/n/p/c?command=ls&command=-l&command=a%26b&output=1&error=1";
        assert_eq!(asked("p -- ls -l a&b", false), plain);
        assert_eq!(asked("-it p -c c -- sh", true), "/exec/n/p/c?command=sh&input=1&output=1&tty=1");
        assert_eq!(asked("-i p -- cat", false), "/exec/n/p/c?command=cat&input=1&output=1&error=1");
        for words in ["p", "p ls", "-- ls", "p --"] {
            assert!(Line::try_parse_from(format!("exec {words}").split(' ')).is_err(), "{words}");
        }
    }
}
