//! What the rules look at: source files and manifests, read once per test.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::tree::root;

/// A source file.
pub(crate) struct File {
    /// From the top of the tree.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Its lines without the tests at its end.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| *line != "#[cfg(test)]")
    }
}

/// Every Rust file of the tree.
pub(crate) fn files() -> Vec<File> {
    let mut files = Vec::new();
    for folder in ["libs", "crds", "edgecore", "cloudcore", "hack", "e2e"] {
        collect(&root(), &root().join(folder), &mut files);
    }
    assert!(files.len() > 100, "the tree's files were not found");
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if name != "target" {
                collect(root, &path, files);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().display().to_string();
            files.push(File { path, text });
        }
    }
}

/// A crate of the tree.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, from the top of the tree.
    pub(crate) folder: String,
    /// Names of the crates it depends on, but for its tests.
    pub(crate) needs: Vec<String>,
    /// The same for its tests.
    pub(crate) tests_need: Vec<String>,
}

/// Every crate of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let root = root();
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let folder = manifest.parent().unwrap().strip_prefix(&root).unwrap();
            let of_kind = |tests: bool| {
                let all = package["dependencies"].as_array().unwrap().iter();
                all.filter(move |needed| (needed["kind"] == "dev") == tests)
                    .map(|needed| needed["name"].as_str().unwrap().to_owned())
                    .collect()
            };
            Package {
                name: package["name"].as_str().unwrap().to_owned(),
                folder: folder.display().to_string(),
                needs: of_kind(false),
                tests_need: of_kind(true),
            }
        })
        .collect()
}

/// Fails with every complaint and the rule.
pub(crate) fn none(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}\n  {}", complaints.join("\n  "));
}
