//! Files are named after what they hold.

use crate::tidy::source::{files, none};

/// Names that say nothing, or that hide a file among others of its name.
const EMPTY: [&str; 7] = ["utils", "util", "helpers", "common", "misc", "manager", "mod"];

#[test]
fn no_file_has_an_empty_name() {
    let empty = files().into_iter().filter(|file| {
        let name = file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
        name.is_some_and(|name| EMPTY.contains(&name))
    });
    let complaints: Vec<String> = empty.map(|file| file.path).collect();
    none("A file is named after what it holds; foo.rs with foo/, never mod.rs", &complaints);
}
