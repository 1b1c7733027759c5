//! Code generated from protocol buffers.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Generated;

/// One protocol and the file generated from it.
struct Target {
    /// The protocol, from the top of the tree.
    proto: &'static str,
    /// Its package, which names the generator's output.
    package: &'static str,
    /// Where the code goes, from the top of the tree.
    output: &'static str,
    /// Messages that hold secrets: their `Debug` is written by hand and masks them.
    secret: &'static [&'static str],
}

const TARGETS: [Target; 2] = [
    Target {
        proto: "edgecore/cri/proto/cri.proto",
        package: "runtime.v1",
        output: "edgecore/cri/src/generated/cri.rs",
        secret: &[".runtime.v1.AuthConfig", ".runtime.v1.KeyValue"],
    },
    Target {
        proto: "edgecore/cri/proto/events.proto",
        package: "containerd.services.events.v1",
        output: "edgecore/cri/src/generated/events.rs",
        secret: &[],
    },
];

/// The code of every protocol, as it would be generated now.
pub(super) fn generated(root: &Path) -> Result<Vec<Generated>> {
    let file =
        |target: &Target| Ok(Generated { path: target.output.to_owned(), text: generate(root, target)? });
    TARGETS.iter().map(file).collect()
}

fn generate(root: &Path, target: &Target) -> Result<String> {
    let proto = root.join(target.proto);
    let folder = proto.parent().with_context(|| format!("{} lies in no folder", target.proto))?;
    let descriptors =
        protox::compile([&proto], [folder]).with_context(|| format!("cannot compile {}", target.proto))?;
    let scratch = Scratch::new(target.package)?;
    tonic_prost_build::configure()
        .build_server(false)
        .emit_rerun_if_changed(false)
        .btree_map(".")
        .skip_debug(target.secret)
        .out_dir(&scratch.0)
        .compile_fds(descriptors)
        .with_context(|| format!("cannot generate from {}", target.proto))?;
    let file = scratch.0.join(format!("{}.rs", target.package));
    let code = fs::read_to_string(&file).context("the generator wrote another file than expected")?;
    format(
        root,
        &format!("//! Generated from `{}` by `xtask codegen`; not edited by hand.\n\n{code}", target.proto),
    )
}

/// Passes code through the pinned rustfmt, with the tree's settings.
fn format(root: &Path, code: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--emit", "stdout", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run rustfmt")?;
    let mut input = child.stdin.take().context("rustfmt takes no input")?;
    // rustfmt reads all of its input before it writes, so this cannot block on a full pipe.
    input.write_all(code.as_bytes()).context("rustfmt does not read")?;
    drop(input);
    let output = child.wait_with_output().context("rustfmt did not end")?;
    if !output.status.success() {
        bail!("rustfmt refused the generated code");
    }
    String::from_utf8(output.stdout).context("rustfmt wrote no text")
}

/// A folder that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left in the temporary folder at worst.
        let _ = fs::remove_dir_all(&self.0);
    }
}
