//! Errors carry their causes as sources.

use crate::tidy::source::{files, none};

#[test]
fn no_error_prints_its_source() {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| !file.path.starts_with("hack/xtask/")) {
        for line in file.text.lines().filter(|line| line.trim_start().starts_with("#[error(")) {
            if line.contains("{source") {
                complaints.push(format!("{}: {}", file.path, line.trim()));
            }
        }
    }
    none("kit::errors::chain prints the sources; an error that prints its own is printed twice", &complaints);
}
