//! Carrying out a command line: each verb is one call of the library.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::args::{self, Request, Verb};
use crate::lab::Lab;
use crate::{balance, fleet, host, node, relay};

/// Runs `lab` with what follows its name: 0 done, 1 failed, 2 not understood; with `kubectl` and `edge exec`
/// the program's own status.
pub fn main(arguments: &[String]) -> ExitCode {
    // What the lab itself starts; not for people.
    let inner = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node-init"] => Some(node::init()),
        ["relay", order, near, far] => Some(relay::run(Path::new(order), near, far)),
        ["balance", dir] => Some(balance::run(Path::new(dir))),
        _ => None,
    };
    if let Some(result) = inner {
        return finish(result.map(|()| ExitCode::SUCCESS));
    }
    match args::parse(arguments, "target/lab") {
        Ok(request) => finish(carry_out(&request)),
        Err(reason) => {
            host::progress(&format!("error: {reason}"));
            ExitCode::from(2)
        }
    }
}

fn finish(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // The reason is one line, and the last one.
        let reason = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        host::progress(&format!("error: {reason}"));
        ExitCode::FAILURE
    })
}

fn carry_out(request: &Request) -> Result<ExitCode> {
    let lab = Lab::at(&request.dir)?;
    match &request.verb {
        Verb::Up(options) => {
            let lab = Lab::up(&request.dir, options)?;
            say(&lab.status().text())?;
        }
        Verb::Down => lab.down()?,
        Verb::Status { json: false } => say(&lab.status().text())?,
        Verb::Status { json: true } => say(&format!("{}\n", serde_json::to_string(&lab.status())?))?,
        Verb::Kubectl(args) => {
            lab.state()?;
            return become_command(lab.kubectl_command(args));
        }
        Verb::EdgeAdd(name) => lab.edge(name).add()?,
        Verb::EdgeRm(name) => lab.edge(name).rm()?,
        Verb::EdgeKill(name) => lab.edge(name).kill()?,
        Verb::EdgeStart(name) => lab.edge(name).start()?,
        Verb::PowerOff(name) => lab.edge(name).power_off()?,
        Verb::PowerOn(name) => lab.edge(name).power_on()?,
        Verb::Exec(name, command) => return become_command(lab.edge(name).command(command)?),
        Verb::LinkCut(name) => lab.edge(name).cut()?,
        Verb::LinkHole(name) => lab.edge(name).hole()?,
        Verb::LinkHeal(name) => lab.edge(name).heal()?,
        Verb::LinkShape(name, shape) => lab.edge(name).shape(*shape)?,
        Verb::CloudKill(n) => lab.kill_cloud(*n)?,
        Verb::CloudStart(n) => lab.start_cloud(*n)?,
        Verb::CloudDrain(n) => lab.drain_cloud(*n)?,
        Verb::ImageAdd(name, files) => {
            lab.add_image(name, &files.iter().map(|file| &**file).collect::<Vec<&Path>>())?;
        }
        Verb::Sim(nodes, cloud) => fleet::sim::run(&lab, *nodes, cloud.clone())?,
        Verb::Help => say(args::USAGE)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes another program, so that its input, output, signals and status are the caller's.
fn become_command(mut command: Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn say(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("nobody reads the result")
}
