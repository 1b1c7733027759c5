//! Generates code and checks the tree. Never part of what ships.
//!
//! - `xtask codegen` writes what is generated and committed.
//! - `xtask check` fails where that is not what `codegen` would write now.
//!
//! The rules about the tree itself (layers, owners, names, docs) are tests of this crate.

mod codegen;
mod tree;

#[cfg(test)]
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match run(arguments.next().as_deref(), arguments.next().is_some()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a command line tool talks to whoever called it")]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Option<&str>, more: bool) -> Result<()> {
    if more {
        bail!("too many arguments; usage: xtask codegen | check");
    }
    match verb {
        Some("codegen") => codegen::write(&tree::root()),
        Some("check") => codegen::check(&tree::root()),
        _ => bail!("usage: xtask codegen | check"),
    }
}
