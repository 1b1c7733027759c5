//! `hack/demo`: the main job, told step by step and checked at every one.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    skerry_e2e::demo::main(&arguments)
}
