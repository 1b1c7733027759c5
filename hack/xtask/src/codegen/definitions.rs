//! The CustomResourceDefinitions, from the types in `crds/`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Generated;

/// Where they go, from the top of the tree.
const FOLDER: &str = "crds";

/// Every definition, as it would be generated now.
pub(super) fn generated() -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for definition in crds::schema::definitions().context("a type in crds/ has no schema")? {
        let yaml = serde_yaml::to_string(&definition.object)
            .with_context(|| format!("cannot write {} as YAML", definition.name))?;
        files.push(Generated {
            path: format!("{FOLDER}/{}", definition.file),
            text: format!(
                "# Generated from the types in {FOLDER}/src by `xtask codegen`; not edited by hand.\n{yaml}"
            ),
        });
    }
    Ok(files)
}

/// Every definition that is committed, from the top of the tree.
pub(super) fn committed(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER)).with_context(|| format!("cannot list {FOLDER}"))? {
        let name = entry.with_context(|| format!("cannot list {FOLDER}"))?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".yaml") {
            paths.push(format!("{FOLDER}/{name}"));
        }
    }
    paths.sort();
    Ok(paths)
}
