//! `hack/bench`: the figures of `docs/figures.md`, measured on this machine with the binaries as they ship.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    skerry_e2e::bench::main(&arguments)
}
