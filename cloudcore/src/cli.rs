//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use cloudcore_join::TokenSpec;
use cloudcore_kube::Client;
use kit::{Clock, telemetry};
use pki::Bound;

use crate::app;
use crate::config::Settings;

/// A wrong configuration: a supervisor need not try again.
const BAD_CONFIG: u8 = 78;

/// The cloud side of Skerry.
#[derive(Debug, Parser)]
#[command(name = "cloudcore", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve edges, in the foreground.
    Run {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Manage join tokens.
    #[command(subcommand)]
    Token(Token),
    /// Print the version.
    Version,
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Create a join token and print it.
    Create(Create),
}

#[derive(Debug, Args)]
struct Create {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For this node alone.
    #[arg(long, value_name = "NAME", conflicts_with = "pattern")]
    node: Option<String>,
    /// For nodes whose names match (`*` and `?`); without this and `--node`, for any.
    #[arg(long, value_name = "GLOB")]
    pattern: Option<String>,
    /// How long it may be used, such as 30m, 24h or 7d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    ttl: Duration,
    /// How many nodes may use it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u32,
}

/// Runs the command line. The reason of a failure is the last line on standard error.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done where not even this can be written.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            let config = error.downcast_ref::<kit::config::ConfigError>().is_some();
            if config { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Version => print(&format!("cloudcore {}", env!("CARGO_PKG_VERSION"))),
        Command::Run { config } => {
            let settings = read(&config)?;
            telemetry::init(settings.log_format, settings.log_level);
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .context("cannot start the runtime")?;
            let ended = runtime.block_on(app::run(settings));
            runtime.shutdown_timeout(Duration::from_millis(500));
            ended
        }
        Command::Token(Token::Create(create)) => {
            let settings = read(&create.config)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start the runtime")?;
            print(&runtime.block_on(create_token(&settings, create))?)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Settings> {
    Ok(kit::config::read(path)?)
}

async fn create_token(settings: &Settings, create: Create) -> anyhow::Result<String> {
    let clock = Clock::system();
    let client = Client::connect(settings.kubeconfig.as_deref()).await?;
    let authority = cloudcore_join::authority(&client, &settings.namespace, &clock).await?;
    let bound = match (create.node, create.pattern) {
        (Some(node), _) => Bound::Node(node),
        (None, pattern) => Bound::Pattern(pattern.unwrap_or_else(|| "*".to_owned())),
    };
    let spec = TokenSpec { bound, ttl: create.ttl, uses: create.uses };
    let endpoints = (settings.join_endpoints.as_slice(), settings.endpoints.as_slice());
    let token =
        cloudcore_join::create_token(&client, &settings.namespace, &authority, endpoints, &spec, &clock)
            .await?;
    Ok(token.encode())
}

fn print(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}

/// A number and a unit: s, m, h or d.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: a number and s, m, h or d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "h", "24", "1y", "-1h", "1ä", "99999999999999999999d", "300000000000000000d"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_for_a_node_or_a_pattern() {
        let parse = |args: &[&str]| {
            Cli::try_parse_from(["cloudcore", "token", "create", "--config", "f"].iter().chain(args))
        };
        assert!(parse(&["--node", "a"]).is_ok() && parse(&["--pattern", "a*"]).is_ok() && parse(&[]).is_ok());
        assert!(parse(&["--node", "a", "--pattern", "a*"]).is_err());
    }
}
