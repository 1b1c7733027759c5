//! The map shows every crate that ships.

use std::fs;

use crate::tidy::source::{none, packages};
use crate::tree::root;

#[test]
fn the_map_names_every_crate_that_ships() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let missing = packages().into_iter().filter(|package| {
        let ships =
            ["libs/", "crds", "edgecore", "cloudcore"].iter().any(|top| package.folder.starts_with(top));
        ships && !map.contains(&package.folder)
    });
    let complaints: Vec<String> = missing.map(|package| package.folder).collect();
    none("ARCHITECTURE.md names every crate by its folder", &complaints);
}
