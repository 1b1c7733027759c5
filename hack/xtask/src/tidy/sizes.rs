//! No file outgrows a reader.

use crate::tidy::source::{files, none};

/// Lines above which a file is told of.
const LONG: usize = 400;
/// Lines above which it must be split.
const TOO_LONG: usize = 600;

#[test]
fn no_file_is_too_long() {
    let mut complaints = Vec::new();
    for file in
        files().iter().filter(|file| !file.path.contains("/generated/") && !file.path.contains("/tests/"))
    {
        let lines = file.shipped().count();
        if lines > TOO_LONG {
            complaints.push(format!("{}: {lines} lines", file.path));
        } else if lines > LONG {
            println!("long: {}: {lines} lines without tests", file.path);
        }
    }
    none("Split a file that stopped having one subject", &complaints);
}
