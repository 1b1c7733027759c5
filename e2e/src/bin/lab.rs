//! `lab`: the testbed by hand. `hack/lab` is how people call it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    skerry_e2e::cli::main(&arguments)
}
