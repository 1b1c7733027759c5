//! `storeload DIR [look]`: writes to a store until it is killed, and tells what was acknowledged; or only looks.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [dir] => skerry_e2e::storeload::run(Path::new(dir), false),
        [dir, "look"] => skerry_e2e::storeload::run(Path::new(dir), true),
        _ => return ExitCode::from(2),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody to hear it is no reason to do anything else.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
