//! What the API server's watch says, and when it said it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{Lab, host};

/// A watch: one line per event, columns separated by spaces.
#[derive(Debug)]
pub(super) struct Watch {
    child: Child,
    lines: Receiver<(Instant, Vec<String>)>,
}

impl Watch {
    /// Watches objects; `columns` is what `-o custom-columns` takes.
    pub(super) fn start(lab: &Lab, what: &[&str], columns: &str) -> Result<Self> {
        let columns = format!("custom-columns={columns}");
        let mut words = vec!["get"];
        words.extend(what);
        words.extend(["--watch", "--no-headers", "-o", &columns]);
        let mut child = lab
            .kubectl_command(&words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("kubectl get --watch")?;
        let stdout = child.stdout.take().context("kubectl without output")?;
        let (sender, lines) = sync_channel(4096);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let words = line.split_whitespace().map(str::to_owned).collect();
                if sender.send((host::now(), words)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Reads events until one of them makes `done` true, and says when that one came.
    pub(super) fn until(
        &self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&[String]) -> bool,
    ) -> Result<Instant> {
        let end = host::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(host::now())) {
                Ok((at, words)) if done(&words) => return Ok(at),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("{what}: not within {} s", limit.as_secs()),
                Err(RecvTimeoutError::Disconnected) => bail!("{what}: the watch ended"),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
