//! What can be typed, and what comes back: 0 all is well, 1 it failed, 2 it was typed wrongly, 78 the configuration
//! is wrong (`EX_CONFIG`: a supervisor need not try again).

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use edgecore_store::Store;
use kit::{Clock, Shutdown};

use crate::config::EdgeConfig;
use crate::operator::exec::{self, ExecArgs};
use crate::operator::logs::{self, LogsArgs};
use crate::operator::pods::{self, PodsArgs};
use crate::{app, join, local, lock, memory, status};

pub(crate) const FAILED: u8 = 1;
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
    Run(ConfigArgs),
    /// Tells how the node, its link and what waits for the cloud do.
    Status(StatusArgs),
    /// Shows the pods of this node, also while the cloud is away.
    Pods(PodsArgs),
    /// Shows what a container wrote, also while the cloud is away.
    Logs(LogsArgs),
    /// Runs a command in a container, also while the cloud is away.
    Exec(ExecArgs),
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

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration.
    #[arg(long, default_value = "/etc/skerry/edgecore.yaml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    config: ConfigArgs,
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
            Command::Pods(args) => ask(&args.config, async |config| pods::run(&args, config).await),
            Command::Logs(args) => ask(&args.config, async |config| logs::run(&args, config).await),
            Command::Exec(args) => ask(&args.config, async |config| exec::run(&args, config).await),
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
fn read_config(ConfigArgs { config: path }: &ConfigArgs) -> Result<EdgeConfig, ExitCode> {
    kit::config::read(path).map_err(|error| {
        fail(&format!("{}: {}", path.display(), kit::errors::chain(&error)));
        ExitCode::from(BAD_CONFIG)
    })
}

/// Asks the agent of this configuration; what comes of it is what the process ends with.
fn ask(config: &ConfigArgs, work: impl AsyncFnOnce(&EdgeConfig) -> anyhow::Result<u8>) -> ExitCode {
    let config = match read_config(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let ended = runtime.block_on(work(&config));
        // Somebody may still read from standard input.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => end(&Err(error)),
    }
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

fn run(args: &ConfigArgs) -> ExitCode {
    memory::settle();
    let config = match read_config(args) {
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
            fail(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// For people. A closed terminal is nobody's fault.
pub(crate) fn say(words: &str) {
    drop(writeln!(std::io::stdout().lock(), "{words}"));
}

/// One line beside what was asked for.
pub(crate) fn complain(words: &str) {
    drop(writeln!(std::io::stderr().lock(), "{words}"));
}

fn fail(reason: &str) {
    complain(&format!("error: {}", reason.replace('\n', " ")));
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
            "edgecore pods",
            "edgecore pods -A -o wide --config /c",
            "edgecore pods -n n -o json",
            "edgecore logs -n n pod -c c -f -p --since 5m --tail 7 --timestamps --limit-bytes 9",
            "edgecore logs pod --since-time 2026-11-29T00:00:00Z --all-containers",
            "edgecore exec -n n pod -c c -i -t -- sh -c x",
            "edgecore exec -it pod -- sh",
            "edgecore version",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "edgecore",
            "edgecore join",
            "edgecore run extra",
            "edgecore fly",
            "edgecore logs",
            "edgecore exec pod ls",
            "edgecore pods -n n -A",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
