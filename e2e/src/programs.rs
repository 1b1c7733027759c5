//! The programs a lab is made of: where they come from and how they get into its directory.
//!
//! `up` copies them (or links them, on one file system), so that a lab goes on with what it began with and no
//! later command needs a build.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::proc::is_program;
use crate::state::Runtime;
use crate::{host, image, state};

/// Where everything is that `up` copies.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The repository.
    pub root: PathBuf,
    /// The folder with `cloudcore` and `edgecore`.
    pub bin: PathBuf,
    /// This program, in the form of `lab`: it is also every node's process 1 and the link shaper.
    pub lab: PathBuf,
}

impl Programs {
    /// The ones beside this executable, or in `SKERRY_BIN_DIR`, or in `bin` where that is given.
    ///
    /// # Errors
    /// `lab` is not beside this executable.
    pub fn find(bin: Option<&Path>) -> Result<Self> {
        let root = host::env("SKERRY_ROOT").map(PathBuf::from);
        let root = root.or_else(|| Some(Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.to_owned()));
        let root = root.context("no repository")?;
        let me = std::env::current_exe().context("cannot tell where this program is")?;
        // A test lies one folder below the programs built beside it.
        let beside = me.ancestors().skip(1).take(2).find(|folder| is_program(&folder.join("lab")));
        let Some(beside) = beside else { bail!("no program lab beside {}; build it first", me.display()) };
        let chosen = bin.map(Path::to_owned).or_else(|| host::env("SKERRY_BIN_DIR").map(PathBuf::from));
        let bin = chosen.unwrap_or_else(|| beside.to_owned());
        Ok(Self {
            lab: beside.join("lab"),
            root,
            bin: fs::canonicalize(&bin).with_context(|| format!("no folder {}", bin.display()))?,
        })
    }

    /// Builds what is other people's, or finds it in the cache: `function` is one of `hack/lib/bootstrap.sh`.
    ///
    /// # Errors
    /// It does not build; the reason went to stderr.
    pub(crate) fn built(&self, function: &str) -> Result<PathBuf> {
        let script = format!(". \"$0\"/hack/lib/bootstrap.sh && {function}");
        let mut command = std::process::Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &script]).arg(&self.root);
        let output =
            command.stderr(std::process::Stdio::inherit()).stdin(std::process::Stdio::null()).output()?;
        if !output.status.success() {
            bail!("{function} failed; the reason stands above");
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    }

    /// Copies what every lab needs into its directory: this program and the images.
    ///
    /// # Errors
    /// Something cannot be built or copied.
    pub fn install_nodes(&self, dir: &Path) -> Result<()> {
        let bin = dir.join("bin");
        let images = dir.join("images");
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(&images)?;
        place(&self.lab, &bin.join("lab"))?;
        for image in [image::pause(&self.built("build_pause")?)?, image::busybox()?] {
            let path = images.join(image::archive_name(&image.name));
            let archive = image.archive()?;
            if fs::read(&path).ok().as_ref() != Some(&archive) {
                state::write_atomically(&path, &archive)?;
            }
        }
        Ok(())
    }

    /// Copies the containerd that is not the distribution's.
    ///
    /// # Errors
    /// It cannot be built or copied.
    pub fn install_runtime(&self, dir: &Path, runtime: Runtime) -> Result<()> {
        if runtime == Runtime::Current {
            let (from, to) = (self.built("build_containerd")?, dir.join("bin/containerd"));
            fs::create_dir_all(&to)?;
            for name in ["containerd", "containerd-shim-runc-v2", "ctr"] {
                place(&from.join(name), &to.join(name))?;
            }
        }
        Ok(())
    }

    /// Copies what an ordinary node runs, and the images of upstream's specs; returns the folder with the specs.
    ///
    /// # Errors
    /// Something cannot be built or copied.
    pub fn install_upstream(&self, dir: &Path) -> Result<PathBuf> {
        let programs = self.built("build_upstream")?;
        for folder in ["bin", "images"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        for name in ["kubelet", "kube-proxy"] {
            place(&programs.join(name), &dir.join("bin").join(name))?;
        }
        for entry in fs::read_dir(self.built("build_upstream_images")?)? {
            let image = entry?;
            place(&image.path(), &dir.join("images").join(image.file_name()))?;
        }
        Ok(programs)
    }

    /// Copies cloudcore, edgecore, the control plane and cloudcore's permissions.
    ///
    /// # Errors
    /// One of them is missing or cannot be built or copied.
    pub fn install_product(&self, dir: &Path) -> Result<()> {
        for name in ["cloudcore", "edgecore"] {
            place(&self.bin.join(name), &dir.join("bin").join(name))?;
        }
        place(&self.built("build_cluster")?, &dir.join("bin/skerry-cluster"))?;
        let manifests = dir.join("manifests");
        fs::create_dir_all(&manifests)?;
        let rbac = self.root.join("cloudcore/manifests/rbac.yaml");
        let text = fs::read(&rbac).with_context(|| format!("cannot read {}", rbac.display()))?;
        state::write_atomically(&manifests.join("rbac.yaml"), &text)
    }

    /// Copies metrics-server to `bin/` and its own manifests to `manifests/metrics-server/`; returns that folder.
    ///
    /// # Errors
    /// It cannot be built or copied.
    pub fn install_metrics_server(&self, dir: &Path) -> Result<PathBuf> {
        let (from, to) = (self.built("build_metrics_server")?, dir.join("manifests/metrics-server"));
        fs::create_dir_all(&to)?;
        place(&from.join("metrics-server"), &dir.join("bin/metrics-server"))?;
        for name in ["rbac.yaml", "service.yaml", "apiservice.yaml", "deployment.yaml"] {
            place(&from.join(name), &to.join(name))?;
        }
        Ok(to)
    }
}

/// Puts a program where it is wanted, also over one that runs: that one goes on with the old file.
fn place(from: &Path, to: &Path) -> Result<()> {
    let same =
        |a: &fs::Metadata, b: &fs::Metadata| a.len() == b.len() && a.modified().ok() == b.modified().ok();
    let source = from.metadata().with_context(|| format!("no program {}", from.display()))?;
    if to.metadata().is_ok_and(|there| same(&source, &there)) {
        return Ok(());
    }
    let part = to.with_extension("part");
    let _ = fs::remove_file(&part);
    let attempt = || -> std::io::Result<()> {
        // A link would change under the lab when a build writes into the same file, so it is a copy.
        fs::copy(from, &part)?;
        fs::File::options().write(true).open(&part)?.set_modified(source.modified()?)?;
        fs::rename(&part, to)
    };
    attempt().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
