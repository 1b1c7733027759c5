//! Files that are generated and committed, so that a build needs neither their generators nor this crate.

mod definitions;
mod protocols;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A file as it would be generated now.
struct Generated {
    /// Where it goes, from the top of the tree.
    path: String,
    text: String,
}

fn generated(root: &Path) -> Result<Vec<Generated>> {
    let mut all = protocols::generated(root)?;
    all.extend(definitions::generated()?);
    Ok(all)
}

/// Writes every generated file.
pub(crate) fn write(root: &Path) -> Result<()> {
    for file in generated(root)? {
        fs::write(root.join(&file.path), &file.text)
            .with_context(|| format!("cannot write {}", file.path))?;
    }
    Ok(())
}

/// Fails where a generated file is not what would be generated now, or is generated no more.
pub(crate) fn check(root: &Path) -> Result<()> {
    let files = generated(root)?;
    let mut stale = Vec::new();
    for file in &files {
        // One that is missing is as stale as one that is old.
        if fs::read_to_string(root.join(&file.path)).ok().as_ref() != Some(&file.text) {
            stale.push(file.path.as_str());
        }
    }
    ensure!(stale.is_empty(), "stale: {}; run `cargo run -p xtask -- codegen`", stale.join(", "));
    let mut left = definitions::committed(root)?;
    left.retain(|path| files.iter().all(|file| file.path != *path));
    ensure!(left.is_empty(), "made of no type any more: {}; delete them", left.join(", "));
    Ok(())
}
