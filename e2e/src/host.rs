//! What the testbed asks of the machine it runs on: its clock, its environment, and other programs.
//! The only file of this crate that reads the clock or the environment.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the testbed measures real systems in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// An environment variable, `None` when unset, empty or not text.
#[expect(clippy::disallowed_methods, reason = "the testbed has no other configuration than flags and this")]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// One line of progress on stderr.
pub fn progress(line: &str) {
    // Nobody reading is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Shortest and longest pause between two looks.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));

/// Polls `condition` until it holds, as [`wait_for`] does.
///
/// # Errors
/// It did not within `limit`; the message names `what` and the last reason it gave.
pub fn wait(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_for(what, limit, || condition().map(|holds| holds.then_some(())))
}

/// Polls `look` until it finds something: every 20 ms, but for a look that takes its time, after twice that time. A
/// kubectl started again and again would take the processors from what is waited for. An error counts as "not yet" and is
/// named at the end.
///
/// # Errors
/// Nothing was found within `limit`; the message names `what` and the last error.
pub fn wait_for<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    poll(what, limit, LOOK_AGAIN, look)
}

/// Polls `condition` every 20 ms whatever a look costs: where the moment at which it holds is what is measured.
///
/// # Errors
/// As [`wait`].
pub fn wait_closely(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    poll(what, limit, (LOOK_AGAIN.0, LOOK_AGAIN.0), || condition().map(|holds| holds.then_some(())))
}

fn poll<T>(
    what: &str,
    limit: Duration,
    pause: (Duration, Duration),
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = now() + limit;
    loop {
        let begun = now();
        let last = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if now() >= end {
            let within = format!("{what}: not within {} s", limit.as_secs_f32());
            return Err(match last {
                Some(error) => error.context(within),
                None => anyhow::Error::msg(within),
            });
        }
        std::thread::sleep((2 * begun.elapsed()).clamp(pause.0, pause.1));
    }
}

/// Runs a program to its end and returns its standard output as text.
///
/// # Errors
/// It cannot be started, or it ends with another status than 0; the message carries what it wrote to stderr.
pub fn run<S: AsRef<OsStr>>(argv: &[S]) -> Result<String> {
    let (program, args) = argv.split_first().context("an empty command line")?;
    finish(Command::new(program).args(args).stdin(Stdio::null()))
}

/// Runs a prepared command to its end and returns its standard output as text.
///
/// # Errors
/// As for [`run`].
pub fn finish(command: &mut Command) -> Result<String> {
    finish_as(&line_of(command), command)
}

/// As [`finish`], for a command whose own line says less than `what` does.
///
/// # Errors
/// As for [`run`].
pub fn finish_as(what: &str, command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {what}"))?;
    text_of(what, &output)
}

/// A command as one would type it, without its environment.
fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// As [`finish`], with `input` on its standard input.
///
/// # Errors
/// As for [`run`].
pub fn finish_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let written = child.stdin.take().context("no pipe to the command")?.write_all(input);
    let output = child.wait_with_output()?;
    let text = text_of(&line_of(command), &output)?;
    written.with_context(|| format!("{command:?} did not read its input"))?;
    Ok(text)
}

fn text_of(what: &str, output: &Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_says_what_it_wrote() {
        let error = run(&["sh", "-c", "echo no such thing >&2; exit 3"]).expect_err("it failed").to_string();
        assert!(error.contains("no such thing") && error.contains('3'), "{error}");
    }

    #[test]
    fn waiting_ends_with_the_last_reason() {
        let error = wait("the sky", Duration::ZERO, || bail!("still blue")).expect_err("it never holds");
        assert_eq!(format!("{error:#}"), "the sky: not within 0 s: still blue");
    }

    #[test]
    fn input_reaches_the_command() {
        assert_eq!(finish_with_input(&mut Command::new("cat"), b"abc").unwrap(), "abc");
    }
}
