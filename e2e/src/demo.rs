//! The main job: a cluster, an edge, pods, a link cut, power lost, the link healed. Every step is checked by looking at
//! the API server, at containerd and into the containers, and told as it happens.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{Runtime, host};

mod steps;

/// What `hack/demo` was asked.
#[derive(Debug)]
struct Options {
    keep: bool,
    dir: PathBuf,
    runtime: Option<Runtime>,
}

/// Runs the demo with what follows its name: 0 done, 1 a step failed, 2 not understood.
pub fn main(arguments: &[String]) -> ExitCode {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            host::progress(&format!("error: {error:#}"));
            return ExitCode::from(2);
        }
    };
    let mut story = Story { started: host::now(), steps: 0, dir: options.dir.clone() };
    let told = steps::tell(&mut story, &options);
    match told {
        Ok(()) => {
            let seconds = story.started.elapsed().as_secs();
            say(&format!("demo: all {} steps passed in {seconds} s", story.steps));
            ExitCode::SUCCESS
        }
        Err(failed) => {
            say(&failed.0);
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { keep: false, dir: Path::new("target/demo").to_owned(), runtime: None };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--keep" => options.keep = true,
            "--dir" => match words.next() {
                Some(dir) => options.dir = dir.into(),
                None => bail!("--dir needs a directory"),
            },
            "--containerd" => match words.next().map(String::as_str) {
                Some("debian") => options.runtime = Some(Runtime::Debian),
                Some("2.2") => options.runtime = Some(Runtime::Current),
                _ => bail!("--containerd is debian or 2.2"),
            },
            other => {
                bail!(
                    "'{other}' is not understood; usage: hack/demo [--keep] [--containerd debian|2.2] [--dir DIR]"
                )
            }
        }
    }
    Ok(options)
}

/// Counts and times the steps.
#[derive(Debug)]
struct Story {
    started: Instant,
    steps: u32,
    dir: PathBuf,
}

/// The last line of a demo that failed.
#[derive(Debug)]
struct Failed(String);

impl Story {
    /// One step: told before, timed after, and the end of the demo where it fails.
    fn step<T>(&mut self, name: &str, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T, Failed> {
        self.steps += 1;
        let n = self.steps;
        say(&format!("{n:2}. {name}: {what}"));
        let started = host::now();
        match work() {
            Ok(value) => {
                say(&format!("    done in {:.1} s", started.elapsed().as_secs_f64()));
                Ok(value)
            }
            Err(error) => {
                let logs = self.dir.join("logs");
                let line = format!("demo: step {n} {name} failed: {error:#} (see {})", logs.display());
                Err(Failed(line.replace('\n', " ")))
            }
        }
    }
}

/// One line of the story on stdout.
fn say(line: &str) {
    use std::io::Write;
    // Nobody listening is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{line}");
}
