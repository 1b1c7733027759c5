//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    edgecore::cli::main()
}
