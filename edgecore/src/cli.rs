//! What can be typed, and what comes back: 0 all is well, 1 it failed, 2 it was typed wrongly, 78 the configuration
//! is wrong (`EX_CONFIG`: a supervisor need not try again).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use edgecore_store::Store;
use kit::{Clock, Shutdown};

use crate::config::EdgeConfig;
use crate::{app, join, local, lock, memory, status};

const FAILED: u8 = 1;
const BAD_CONFIG: u8 = 78;

/// The agent of an edge node.
#[derive(Debug, Parser)]
#[command(name = "edgecore", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes this machine a node of a cluster: gets a certificate and writes the configuration.
    Join(JoinArgs),
    /// Runs the node, in the foreground.
    Run(RunArgs),
    /// Tells how the node, its link and what waits for the cloud do.
    Status(StatusArgs),
    /// Prints the version.
    Version,
}

/// Arguments of `edgecore join`.
#[derive(Debug, Clone, Args)]
pub struct JoinArgs {
    /// What `cloudcore token create` printed.
    pub token: String,
    /// Name of the node; the machine's host name where it is left out.
    #[arg(long)]
    pub node_name: Option<String>,
    /// Where the configuration goes.
    #[arg(long, default_value = "/etc/skerry/edgecore.yaml")]
    pub config: PathBuf,
    /// Where the node keeps everything.
    #[arg(long, default_value = "/var/lib/skerry")]
    pub state_dir: PathBuf,
    /// Socket of the container runtime.
    #[arg(long, default_value = "unix:///run/containerd/containerd.sock")]
    pub containerd: String,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration.
    #[arg(long, default_value = "/etc/skerry/edgecore.yaml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// The configuration.
    #[arg(long, default_value = "/etc/skerry/edgecore.yaml")]
    config: PathBuf,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
}

/// Does what was typed.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::Join(args) => end(&join_cluster(&args)),
            Command::Run(args) => run(&args),
            Command::Status(args) => match read_config(&args.config) {
                Ok(config) => end(&tell_status(&config, args.json)),
                Err(code) => code,
            },
            Command::Version => {
                say(&format!("edgecore {}", app::VERSION));
                ExitCode::SUCCESS
            }
        },
        Err(error) => {
            // Help and version are errors to clap, and none to us. A closed terminal is nobody's fault.
            drop(error.print());
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(FAILED))
        }
    }
}

fn join_cluster(args: &JoinArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(join::run(args, Clock::system(), &mut say))
}

/// The configuration, or what to exit with after the complaint.
fn read_config(path: &Path) -> Result<EdgeConfig, ExitCode> {
    kit::config::read(path).map_err(|error| {
        complain(&format!("{}: {}", path.display(), kit::errors::chain(&error)));
        ExitCode::from(BAD_CONFIG)
    })
}

fn tell_status(config: &EdgeConfig, json: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let view = match runtime.block_on(local::status(&config.local_socket))? {
        Some(view) => view,
        None if lock::is_held(&config.state_dir) => {
            bail!("edgecore runs and does not serve {} (yet)", config.local_socket.display());
        }
        None => status::stopped(&config.node_name, Store::peek(&config.state_dir, &config.limits())?),
    };
    say(&if json { serde_json::to_string(&view.status)? } else { status::text(&view) });
    Ok(())
}

fn run(args: &RunArgs) -> ExitCode {
    memory::settle();
    let config = match read_config(&args.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    kit::telemetry::init(config.log_format, config.log_level);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(512 * 1024)
        .max_blocking_threads(16)
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(app::run(config, Shutdown::new()));
            // A blocking call that hangs (a dead disk, a dead name server) must not keep the process.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error.into()),
    };
    end(&ended)
}

fn end(ended: &anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// One line for people. A closed terminal is nobody's fault.
fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

fn complain(reason: &str) {
    drop(writeln!(std::io::stderr().lock(), "error: {}", reason.replace('\n', " ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_documented_parses() {
        for line in [
            "edgecore join TOKEN",
            "edgecore join TOKEN --node-name n --config /c --state-dir /s --containerd unix:///x",
            "edgecore run",
            "edgecore run --config /c",
            "edgecore status",
            "edgecore status --json --config /c",
            "edgecore version",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in ["edgecore", "edgecore join", "edgecore run extra", "edgecore fly"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
