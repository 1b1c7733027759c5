//! A lab: a control plane, cloudcores and edges in one directory. The value itself holds nothing but the
//! directory; what there is stands in its state files, so that commands, tests and several threads may work
//! on one lab.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cgroup::Group;
use crate::edge::Edge;
use crate::names::{self, LabId};
use crate::proc::Process;
use crate::programs::Programs;
use crate::state::{self, CloudState, EdgeState, Hold, LabState, Lock, Runtime};
use crate::status::{Cloud, EdgeStatus, Status};
use crate::{disk, host, image, registry, spawn, wire};

/// A lab by its directory, whether it is up or not.
#[derive(Debug, Clone)]
pub struct Lab {
    dir: PathBuf,
}

/// What `up` makes.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
    /// Edges `edge-1` to this number; `None` is one in a new lab, and those that are there in an old one.
    pub edges: Option<u32>,
    /// At least so many cloudcores; `None` is one in a new lab, and those that are there in an old one.
    pub clouds: Option<u32>,
    /// The edges' containerd; `None` is Debian's, or what the lab was made with.
    pub runtime: Option<Runtime>,
    /// Use this cluster and start none.
    pub kubeconfig: Option<PathBuf>,
    /// The API server writes an audit log.
    pub audit: bool,
    /// The control plane keeps upstream's own rate limits: slower to start, and fit to be measured with.
    pub stock: bool,
    /// Flags of the control plane, as `COMPONENT=--FLAG=VALUE`; those of the lab as it was made count.
    pub control_plane: Vec<String>,
    /// Nodes only, without control plane and agents: for tests of the testbed itself.
    pub bare: bool,
    /// Where cloudcore and edgecore are taken from; `None` is beside this program.
    pub bin: Option<PathBuf>,
}

impl Lab {
    /// The lab in this directory, which need not exist.
    ///
    /// # Errors
    /// The path cannot be made absolute.
    pub fn at(dir: &Path) -> Result<Self> {
        let absolute = std::path::absolute(dir)?;
        Ok(Self { dir: fs::canonicalize(&absolute).unwrap_or(absolute) })
    }

    /// Brings the lab up, from nothing or from whatever state it is in, and returns when every edge asked for
    /// is Ready.
    ///
    /// # Errors
    /// Whatever part does not come up, by name and with its log.
    pub fn up(dir: &Path, options: &UpOptions) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let lab = Self::at(dir)?;
        fs::create_dir_all(lab.dir.join("logs"))?;
        let lock = lab.lock(Hold::Alone)?;
        let programs = Programs::find(options.bin.as_deref())?;
        let state = lab.establish(options)?;
        programs.install_nodes(&lab.dir)?;
        programs.install_runtime(&lab.dir, state.containerd)?;
        wire::create_lab(&state.lab)?;
        if !state.bare {
            programs.install_product(&lab.dir)?;
            lab.start_cluster()?;
            lab.prepare_cloud(options.clouds.unwrap_or(1))?;
            lab.start_cloud(None)?;
        }
        let present = lab.edge_names();
        let wanted = options.edges.unwrap_or_else(|| u32::from(present.is_empty()));
        let mut names: Vec<String> = (1..=wanted).map(|n| format!("edge-{n}")).collect();
        names.extend(present.into_iter().filter(|_| options.edges.is_none()));
        drop(lock);
        for name in names {
            Edge::new(&lab, &name).ensure_ready()?;
        }
        Ok(lab)
    }

    /// Writes down what the lab is, or checks that it may go on as it was.
    fn establish(&self, options: &UpOptions) -> Result<LabState> {
        let path = self.dir.join("lab.json");
        let kubeconfig = options.kubeconfig.as_ref().map(fs::canonicalize).transpose();
        let foreign_kubeconfig = kubeconfig.context("no such kubeconfig")?;
        let lab = registry::claim(&self.dir)?;
        let state = match state::load::<LabState>(&path)? {
            Some(old) if old.lab == lab => {
                ensure!(
                    old.bare == options.bare,
                    "the lab was made with{} agents; `down` it first",
                    if old.bare { "out" } else { "" }
                );
                let same = foreign_kubeconfig.is_none() || foreign_kubeconfig == old.foreign_kubeconfig;
                ensure!(same, "the lab was made with another cluster; `down` it first");
                LabState {
                    containerd: options.runtime.unwrap_or(old.containerd),
                    audit: old.audit || options.audit,
                    stock: old.stock || options.stock,
                    ..old
                }
            }
            _ => LabState {
                lab,
                containerd: options.runtime.unwrap_or_default(),
                foreign_kubeconfig,
                audit: options.audit,
                stock: options.stock,
                control_plane: options.control_plane.clone(),
                bare: options.bare,
            },
        };
        state::save(&path, &state)?;
        Ok(state)
    }

    /// Removes everything of the lab; what is left of it are its logs.
    ///
    /// # Errors
    /// Something cannot be removed, by name.
    pub fn down(&self) -> Result<()> {
        let state = self.state().ok();
        let Some(id) = registry::find(&self.dir).or_else(|| state.as_ref().map(|state| state.lab.clone()))
        else {
            return Ok(());
        };
        let lock = if self.dir.is_dir() { Some(self.lock(Hold::Alone)?) } else { None };
        for name in self.edge_names() {
            Edge::new(self, &name).save_logs();
        }
        if state.is_some_and(|state| state.foreign_kubeconfig.is_some()) {
            self.clear_foreign_cluster();
        }
        let group = Group::new(&id.group())?;
        group.kill()?;
        group.remove()?;
        wire::remove_lab(&id)?;
        disk::detach_all(&self.dir)?;
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let kept = path.ends_with("logs") || path.ends_with("lock");
            let removed = match () {
                () if kept => Ok(()),
                () if entry.file_type()?.is_dir() => fs::remove_dir_all(&path),
                () => fs::remove_file(&path),
            };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        registry::release(&id)?;
        drop(lock);
        Ok(())
    }

    /// What there is; also where the lab is down.
    pub fn status(&self) -> Status {
        let dir = self.dir.display().to_string();
        let Ok(state) = self.state() else {
            return Status { dir, kubeconfig: None, clouds: Vec::new(), edges: Vec::new() };
        };
        let address = state.lab.host_address();
        let cloud = |cloud: CloudState| Cloud {
            n: cloud.n,
            pid: cloud.process.filter(|process| process.alive()).map(|process| process.pid),
            connect: format!("wss://{address}:{}/v1/connect", cloud.link_port),
            metrics: format!("http://127.0.0.1:{}/metrics", cloud.admin_port),
        };
        let clouds = self.clouds().into_iter().map(cloud).collect();
        let edges = self.edge_names().into_iter().filter_map(|name| {
            let edge = Edge::new(self, &name);
            edge.state().ok().map(|known| edge_status(&state.lab, &edge, &known))
        });
        let kubeconfig = (!state.bare).then(|| self.kubeconfig().display().to_string());
        Status { dir, kubeconfig, clouds, edges: edges.collect() }
    }

    /// Makes an image of these files, for every edge there is and will be.
    ///
    /// # Errors
    /// The name is none, a file cannot be read, or an edge does not take the image.
    pub fn add_image(&self, name: &str, files: &[&Path]) -> Result<()> {
        self.state()?;
        let image = image::of_files(name, files)?;
        self.add_archive(&image::archive_name(&image.name), &image.archive()?)
    }

    /// Brings a finished image archive to every edge there is and will be.
    ///
    /// # Errors
    /// The archive cannot be kept, or an edge does not take it.
    pub fn add_archive(&self, file_name: &str, archive: &[u8]) -> Result<()> {
        state::write_atomically(&self.dir.join("images").join(file_name), archive)?;
        for name in self.edge_names() {
            let edge = Edge::new(self, &name);
            if edge.state()?.boot.is_some() {
                edge.import_images()?;
            }
        }
        Ok(())
    }

    /// The lab's directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is written down about the lab.
    ///
    /// # Errors
    /// It is not up.
    pub fn state(&self) -> Result<LabState> {
        let state = state::load(&self.dir.join("lab.json"))?;
        state.with_context(|| format!("no lab in {}; bring it up first", self.dir.display()))
    }

    /// Its id and addresses.
    ///
    /// # Errors
    /// It is not up.
    pub fn id(&self) -> Result<LabId> {
        Ok(self.state()?.lab)
    }

    /// The edge of this name, whether there is one or not.
    pub fn edge(&self, name: &str) -> Edge {
        Edge::new(self, name)
    }

    /// The names of all edges, sorted.
    pub fn edge_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("edges")).into_iter().flatten().flatten();
        let known = entries.filter(|entry| entry.path().join("edge.json").exists());
        let mut names: Vec<String> = known.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    /// A number for a new edge.
    pub(crate) fn free_index(&self) -> Result<u8> {
        let known = self.edge_names().into_iter().filter_map(|name| self.edge(&name).state().ok());
        names::pick_index(&known.map(|edge: EdgeState| edge.index).collect())
    }

    /// The group of what the lab runs on the host.
    pub(crate) fn host_group(&self) -> Result<Group> {
        let group = Group::new(&format!("{}/host", self.id()?.group()))?;
        group.create()?;
        Ok(group)
    }

    /// Starts a program on the host, appending its output to `log`; it ends with the lab at the latest.
    ///
    /// # Errors
    /// As for [`spawn::daemon`].
    pub fn daemon(&self, argv: &[String], log: &Path) -> Result<Process> {
        spawn::daemon(argv, &[], log, &self.host_group()?.entrances(None))
    }

    pub(crate) fn lock(&self, hold: Hold) -> Result<Lock> {
        state::lock(&self.dir.join("lock"), hold)
    }

    /// Waits until `condition` holds, as [`host::wait`] does.
    ///
    /// # Errors
    /// It did not within `limit`; the message names `what`.
    pub fn wait(
        &self,
        what: &str,
        limit: std::time::Duration,
        condition: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        host::wait(what, limit, condition).with_context(|| format!("lab {}", self.dir.display()))
    }
}

fn edge_status(lab: &LabId, edge: &Edge, known: &EdgeState) -> EdgeStatus {
    let boot = known.boot.as_ref().filter(|boot| boot.init.alive());
    let pid = |process: Option<Process>| process.filter(|one| one.alive()).map(|one| one.pid);
    EdgeStatus {
        name: known.name.clone(),
        pid: pid(boot.and_then(|boot| boot.edgecore)),
        containerd_pid: pid(boot.and_then(|boot| boot.containerd)),
        netns: lab.netns(&known.name),
        veth: lab.veth(known.index),
        link: known.link,
        shaped: known.shape.is_some(),
        containerd: edge.path(crate::containerd::SOCKET).display().to_string(),
        dir: edge.path("/var/lib/skerry").display().to_string(),
    }
}
