//! Container images made on the spot from static files: one layer, one configuration, in an OCI archive that
//! `ctr images import` takes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::host;
use crate::names::hex;
use crate::tar::Tar;

/// Media type of an image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image to be written.
#[derive(Debug, Default)]
pub struct Image {
    /// Its full name, such as `docker.io/library/busybox:latest`.
    pub name: String,
    /// Its only layer, a tar archive.
    pub layer: Vec<u8>,
    /// What runs in front of a container's arguments.
    pub entrypoint: Vec<String>,
    /// What runs where a container names nothing.
    pub command: Vec<String>,
    /// Who runs it where a container names nobody: a number or a name of its `/etc/passwd`; empty is root.
    pub user: String,
}

/// What an image is made of, as a registry keeps it.
#[derive(Debug)]
pub struct Parts {
    /// Its configuration, JSON.
    pub config: Vec<u8>,
    /// Its manifest, JSON, which names the other two by digest.
    pub manifest: Vec<u8>,
    /// Its only layer, a tar archive.
    pub layer: Vec<u8>,
}

impl Image {
    /// Configuration, manifest and layer.
    ///
    /// # Errors
    /// The configuration is no JSON.
    pub fn parts(&self) -> Result<Parts> {
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": self.user,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
            },
            "rootfs": {"type": "layers", "diff_ids": [sha256(&self.layer)]},
            "history": [{"created_by": "the testbed"}],
        });
        let config = serde_json::to_vec(&config)?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &self.layer)],
        }))?;
        Ok(Parts { config, manifest, layer: self.layer.clone() })
    }

    /// The OCI archive.
    ///
    /// # Errors
    /// The image's name does not fit.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let Parts { config, manifest, layer } = self.parts()?;
        let mut entry = descriptor(MANIFEST, &manifest);
        entry["annotations"] = json!({"io.containerd.image.name": self.name});
        entry["platform"] = json!({"architecture": architecture(), "os": "linux"});
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let mut tar = Tar::default();
        tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.file("index.json", 0o644, &serde_json::to_vec(&index)?)?;
        tar.folder("blobs", 0o755)?;
        tar.folder("blobs/sha256", 0o755)?;
        for blob in [&config, &manifest, &layer] {
            let name = sha256(blob);
            tar.file(&format!("blobs/{}", name.replace(':', "/")), 0o644, blob)?;
        }
        Ok(tar.finish())
    }
}

/// This machine's architecture as images name it.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// A blob's digest, as manifests and registries write it.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(digest(&SHA256, bytes).as_ref()))
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(blob), "size": blob.len()})
}

/// The full name that a runtime gives a short one: `app:1` is `docker.io/library/app:1`.
///
/// # Errors
/// It is not `NAME:TAG`.
pub fn full_name(name: &str) -> Result<String> {
    let last = name.rsplit('/').next().unwrap_or_default();
    let Some((repository, tag)) = last.split_once(':') else { bail!("image {name:?}: NAME:TAG is wanted") };
    let good = |text: &str, upper: bool| {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || b"._-".contains(&byte)
                || (upper && byte.is_ascii_uppercase())
        };
        !text.is_empty() && text.bytes().all(allowed)
    };
    let path_fits = name.split('/').rev().skip(1).all(|part| good(&part.replace(':', ""), false));
    ensure!(
        good(repository, false) && good(tag, true) && path_fits,
        "image {name:?}: not a name a registry knows"
    );
    let first = name.split('/').next().unwrap_or_default();
    Ok(match name.contains('/') {
        false => format!("docker.io/library/{name}"),
        true if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        true => format!("docker.io/{name}"),
    })
}

/// The name of an image's archive among a lab's images.
pub fn archive_name(full_name: &str) -> String {
    format!("{}.tar", full_name.replace(['/', ':'], "_"))
}

/// An image of the user's files: each at `/basename`, to be executed by anybody, no entrypoint.
///
/// # Errors
/// A file cannot be read, or two have the same name.
pub fn of_files(name: &str, files: &[&Path]) -> Result<Image> {
    let mut tar = Tar::default();
    let mut seen = std::collections::BTreeSet::new();
    for folder in ["dev", "etc", "proc", "sys"] {
        tar.folder(folder, 0o755)?;
    }
    tar.folder("tmp", 0o1777)?;
    for path in files {
        let base = path.file_name().and_then(|base| base.to_str()).context("a file without a name")?;
        ensure!(seen.insert(base.to_owned()), "two files are called {base}");
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        tar.file(base, 0o755, &content)?;
    }
    Ok(Image { name: full_name(name)?, layer: tar.finish(), ..Image::default() })
}

/// The image that keeps a pod's namespaces, from a static program.
///
/// # Errors
/// The program cannot be read.
pub fn pause(program: &Path) -> Result<Image> {
    let mut tar = Tar::default();
    tar.file(
        "pause",
        0o755,
        &fs::read(program).with_context(|| format!("cannot read {}", program.display()))?,
    )?;
    let name = crate::containerd::PAUSE_IMAGE.to_owned();
    Ok(Image { name, layer: tar.finish(), entrypoint: vec!["/pause".into()], ..Image::default() })
}

/// Debian's static busybox with all its programs in `/bin`, and what such an image has beside it.
///
/// # Errors
/// busybox is missing.
pub fn busybox() -> Result<Image> {
    let program = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.exists());
    let program = program.context("busybox is missing; install busybox-static")?;
    let mut tar = Tar::default();
    for folder in
        ["bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "usr/sbin", "var", "var/spool"]
    {
        tar.folder(folder, 0o755)?;
    }
    tar.folder("tmp", 0o1777)?;
    tar.file(
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    )?;
    tar.file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    tar.file("bin/busybox", 0o755, &fs::read(program)?)?;
    let list = host::run(&[&program.display().to_string(), "--list"])?;
    for applet in list.split_whitespace().filter(|applet| *applet != "busybox") {
        tar.symlink(&format!("bin/{applet}"), "busybox")?;
    }
    tar.symlink("usr/bin/env", "../../bin/busybox")?;
    let name = "docker.io/library/busybox:latest".to_owned();
    Ok(Image { name, layer: tar.finish(), command: vec!["sh".into()], ..Image::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_as_a_runtime_does() {
        let check = |short: &str, full: &str| assert_eq!(full_name(short).expect(short), full);
        check("app:1", "docker.io/library/app:1");
        check("team/app:V1", "docker.io/team/app:V1");
        check("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10");
        check("localhost:5000/app:1", "localhost:5000/app:1");
        for bad in ["app", "", ":1", "app:", "App:1", "a b:1", "a//b:1", "../x:1 "] {
            assert!(full_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_digest_in_an_archive_names_a_blob_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("tool");
        fs::write(&tool, "#!").unwrap();
        let archive = of_files("app:1", &[&tool]).unwrap().archive().unwrap();
        let path = dir.path().join("image.tar");
        fs::write(&path, archive).unwrap();
        host::run(&["tar", "-C", &dir.path().display().to_string(), "-xf", &path.display().to_string()])
            .unwrap();
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        let index: Value = serde_json::from_slice(&read("index.json")).unwrap();
        let entry = &index["manifests"][0];
        assert_eq!(entry["annotations"]["io.containerd.image.name"], "docker.io/library/app:1");
        let blob = |descriptor: &Value| {
            let bytes = read(&format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/")));
            assert_eq!(sha256(&bytes), descriptor["digest"].as_str().unwrap());
            assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap());
            bytes
        };
        let manifest: Value = serde_json::from_slice(&blob(entry)).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        let layer = blob(&manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"][0], sha256(&layer));
        assert_eq!(config["config"]["Entrypoint"], json!([]));
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("tool");
        fs::write(&tool, "").unwrap();
        let error = of_files("app:1", &[&tool, &tool]).expect_err("twice").to_string();
        assert_eq!(error, "two files are called tool");
    }
}
