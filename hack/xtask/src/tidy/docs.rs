//! Every file says what it is; every crate tells its story.

use crate::tidy::source::{files, none};

/// Lines in which a crate tells what comes in, what goes out and what is absent.
const STORY: usize = 8;

#[test]
fn every_file_says_what_it_is() {
    let silent = files().into_iter().filter(|file| !file.text.starts_with("//!"));
    let complaints: Vec<String> = silent.map(|file| file.path).collect();
    none("A file opens with `//!` and what it is", &complaints);
}

#[test]
fn every_crate_tells_its_story() {
    let short = files().into_iter().filter(|file| {
        // The binaries tell it in app.rs; e2e/ioctl is one file.
        let told_elsewhere = ["edgecore/src/lib.rs", "cloudcore/src/lib.rs", "e2e/ioctl/src/lib.rs"];
        let library = file.path.ends_with("/src/lib.rs") && !told_elsewhere.contains(&file.path.as_str());
        library && file.text.lines().take_while(|line| line.starts_with("//!")).count() < STORY
    });
    let complaints: Vec<String> = short.map(|file| file.path).collect();
    none(
        "lib.rs opens with the crate's story: in, out, who owns what, what is absent (8 lines)",
        &complaints,
    );
}
