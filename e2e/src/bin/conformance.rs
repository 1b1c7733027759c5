//! `hack/conformance`: upstream's NodeConformance specs against an edge, and against an ordinary node.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    skerry_e2e::conformance::main(&arguments)
}
