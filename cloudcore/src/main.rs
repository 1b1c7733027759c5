//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    cloudcore::main()
}
