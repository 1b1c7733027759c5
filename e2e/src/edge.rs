//! One edge: its life from `add` to `rm`, its agent, and programs run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::link::stop_relay;
use crate::names;
use crate::node::{self, Node};
use crate::proc::Process;
use crate::state::{self, EdgeState, Hold, LinkState, Lock};
use crate::{disk, host, registry, wire};

/// Size of a node's disk; the file is sparse.
const DISK_MIB: u32 = 8 * 1024;
/// edgecore's health, inside the node.
const LIVEZ: &str = "http://127.0.0.1:10551/livez";
/// edgecore's output, on the node's disk.
pub const EDGECORE_LOG: &str = "/var/log/edgecore.log";

/// An edge of a lab by its name, whether it exists or not.
#[derive(Debug, Clone)]
pub struct Edge {
    pub(crate) lab: Lab,
    name: String,
}

/// The locks of a command that changes one edge.
#[derive(Debug)]
pub struct EdgeLock {
    _lab: Lock,
    _edge: Lock,
}

impl Edge {
    /// The edge of this name.
    pub fn new(lab: &Lab, name: &str) -> Self {
        Self { lab: lab.clone(), name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the edge and returns when its Node is Ready.
    ///
    /// # Errors
    /// There is one already, or some part does not come up.
    pub fn add(&self) -> Result<()> {
        self.add_with(DISK_MIB)
    }

    /// As [`Self::add`], with a disk of this size.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub fn add_with(&self, disk_mib: u32) -> Result<()> {
        names::check_edge_name(&self.name)?;
        self.create(disk_mib, false)?;
        self.ensure_ready()
    }

    /// Makes a node of the same kind without our agent, and returns when its containerd answers. Whoever wants another
    /// agent on it starts that.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub fn add_bare(&self) -> Result<()> {
        names::check_edge_name(&self.name)?;
        self.create(DISK_MIB, true)?;
        self.ensure_ready()
    }

    /// Gives it a number, a disk and the host's end of its wire.
    fn create(&self, disk_mib: u32, bare: bool) -> Result<()> {
        self.lab.state()?;
        // A number must not be given twice.
        let _alone = self.lab.lock(Hold::Alone)?;
        let lab = self.lab.state()?;
        ensure!(!self.home().join("edge.json").exists(), "there is an edge {} already", self.name);
        let index = self.lab.free_index()?;
        fs::create_dir_all(self.home())?;
        disk::create(&self.disk(), disk_mib)?;
        wire::create_host_side(&lab.lab, index)?;
        self.save(&EdgeState {
            name: self.name.clone(),
            index,
            containerd: lab.containerd,
            disk_mib,
            link: LinkState::Up,
            shape: None,
            relay: None,
            boot: None,
            boots: 0,
            bare,
            joined: false,
            images: Vec::new(),
        })
    }

    /// Brings the edge to Ready from whatever state it is in, or makes it.
    ///
    /// # Errors
    /// Some part does not come up.
    pub fn ensure_ready(&self) -> Result<()> {
        names::check_edge_name(&self.name)?;
        if !self.home().join("edge.json").exists() {
            host::progress(&format!("{}: adding", self.name));
            self.create(DISK_MIB, false)?;
        }
        let lab = self.lab.state()?;
        wire::create_host_side(&lab.lab, self.state()?.index)?;
        self.heal()?;
        self.power_on()?;
        let known = self.state()?;
        if lab.bare || known.bare {
            return Ok(());
        }
        if !known.joined {
            self.join()?;
        }
        self.start()?;
        host::progress(&format!("{}: waiting for Ready", self.name));
        let node = format!("node/{}", self.name);
        self.lab.kubectl(&["wait", "--for=create", &node, "--timeout=60s"])?;
        self.lab.kubectl(&["wait", "--for=condition=Ready", &node, "--timeout=60s"]).map(drop)
    }

    /// Removes the edge and its Node.
    ///
    /// # Errors
    /// Something of it stays.
    pub fn rm(&self) -> Result<()> {
        let _lock = self.lock()?;
        let (lab, known) = (self.lab.state()?, self.state()?);
        self.save_logs();
        let group = node::group(&lab.lab, &self.name)?;
        group.kill()?;
        group.remove()?;
        stop_relay(&lab.lab, &known)?;
        wire::remove_node_side(&lab.lab, &self.name)?;
        wire::remove_host_side(&lab.lab, known.index)?;
        disk::detach_all(&self.home())?;
        fs::remove_dir_all(self.home())?;
        let _ = fs::remove_file(registry::folder(&lab.lab.id).join(&self.name));
        if !lab.bare {
            self.lab.kubectl(&["delete", "node", &self.name, "--ignore-not-found", "--timeout=60s"])?;
        }
        Ok(())
    }

    /// Joins the edge with a token made for exactly this node.
    ///
    /// # Errors
    /// The token or the certificate is refused; the message carries the reason that was given.
    pub fn join(&self) -> Result<()> {
        host::progress(&format!("{}: joining", self.name));
        let token = self.lab.create_token(&["--node", &self.name])?;
        self.node()?.run(&["edgecore", "join", &token, "--node-name", &self.name]).map_err(|error| {
            // The command line holds the token.
            anyhow::anyhow!("edgecore join: {}", format!("{error:#}").replace(&token, "TOKEN"))
        })?;
        self.node()?.sync()?;
        let _lock = self.lock()?;
        self.save(&EdgeState { joined: true, ..self.state()? })
    }

    /// Kills edgecore alone, by `SIGKILL`.
    ///
    /// # Errors
    /// It cannot be killed, or the edge is powered off.
    pub fn kill(&self) -> Result<()> {
        let _lock = self.lock()?;
        let mut known = self.state()?;
        let boot = known.boot.as_mut().with_context(|| format!("{} is powered off", self.name))?;
        if let Some(process) = boot.edgecore.take() {
            process.kill()?;
        }
        self.save(&known)
    }

    /// Starts edgecore if it does not run, and returns when it is alive.
    ///
    /// # Errors
    /// It ended or did not answer; the message names its log.
    pub fn start(&self) -> Result<()> {
        let _lock = self.lock()?;
        let process = self.launch_edgecore()?;
        self.wait_until_alive(process)
    }

    /// Starts edgecore without waiting for it; the caller holds the edge's lock.
    pub(crate) fn launch_edgecore(&self) -> Result<Process> {
        let mut known = self.state()?;
        let boot = known.boot.as_mut().with_context(|| format!("{} is powered off", self.name))?;
        if let Some(process) = boot.edgecore.filter(|process| process.alive()) {
            return Ok(process);
        }
        let process = self.node()?.daemon(&["edgecore", "run"], EDGECORE_LOG)?;
        boot.edgecore = Some(process);
        self.save(&known)?;
        Ok(process)
    }

    pub(crate) fn wait_until_alive(&self, process: Process) -> Result<()> {
        let netns = self.lab.id()?.netns(&self.name);
        let log = self.path(EDGECORE_LOG);
        let answered = host::wait_for("edgecore's /livez", Duration::from_secs(30), || {
            if !process.alive() {
                return Ok(Some(false));
            }
            host::run(&["ip", "netns", "exec", &netns, "curl", "-sf", "-m", "2", "-o", "/dev/null", LIVEZ])?;
            Ok(Some(true))
        });
        let answered = answered.with_context(|| format!("{}; see {}", self.name, log.display()))?;
        ensure!(answered, "edgecore on {} ended at once: {}", self.name, last_line(&log));
        Ok(())
    }

    /// A command line on the edge, for the caller to run as it likes.
    ///
    /// # Errors
    /// The edge is powered off.
    pub fn command<S: AsRef<str>>(&self, argv: &[S]) -> Result<Command> {
        self.node()?.command(argv)
    }

    /// Runs a program on the edge to its end and returns its standard output.
    ///
    /// # Errors
    /// The edge is powered off, or the program fails; the message carries its stderr.
    pub fn exec<S: AsRef<str>>(&self, argv: &[S]) -> Result<String> {
        self.node()?.run(argv)
    }

    /// Imports every image of the lab that the edge does not have yet, and syncs its disk.
    ///
    /// # Errors
    /// containerd refuses one.
    pub fn import_images(&self) -> Result<()> {
        let _lock = self.lock()?;
        let node = self.node()?;
        let mut known = self.state()?;
        let before = known.images.len();
        for entry in fs::read_dir(self.lab.dir().join("images"))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let meta = entry.metadata()?;
            let age = meta.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
            let mark = format!("{name}:{}:{age}", meta.len());
            if entry.path().extension().is_none_or(|kind| kind != "tar") || known.images.contains(&mark) {
                continue;
            }
            node.run(&["ctr", "-n", "k8s.io", "images", "import", &format!("/run/lab/images/{name}")])?;
            known.images.push(mark);
        }
        if known.images.len() > before {
            node.sync()?;
            self.save(&known)?;
        }
        Ok(())
    }

    /// What is written down about the edge.
    ///
    /// # Errors
    /// There is no such edge.
    pub fn state(&self) -> Result<EdgeState> {
        let known = state::load(&self.home().join("edge.json"))?;
        known.with_context(|| format!("no edge {} in lab {}", self.name, self.lab.dir().display()))
    }

    pub(crate) fn save(&self, known: &EdgeState) -> Result<()> {
        state::save(&self.home().join("edge.json"), known)
    }

    pub(crate) fn lock(&self) -> Result<EdgeLock> {
        self.state()?;
        let lab = self.lab.lock(Hold::Shared)?;
        Ok(EdgeLock { _lab: lab, _edge: state::lock(&self.home().join("lock"), Hold::Alone)? })
    }

    /// The running node.
    ///
    /// # Errors
    /// It is powered off, or gone without having been.
    pub fn node(&self) -> Result<Node> {
        let boot = self.state()?.boot.filter(|boot| boot.init.alive());
        let boot = boot.with_context(|| format!("{} is powered off", self.name))?;
        Ok(Node::new(&self.lab.id()?, &self.name, boot.init))
    }

    /// A path of the node as the host sees it, the same in every life of the node; see [`Node::path`].
    pub fn path(&self, inside: &str) -> PathBuf {
        let id = self.lab.id().map(|id| id.id).unwrap_or_default();
        registry::folder(&id).join(&self.name).join(inside.trim_start_matches('/'))
    }

    /// Its folder in the lab's directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.lab.dir().join("edges").join(&self.name)
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.home().join("disk.img")
    }

    /// Copies the node's logs to the lab's, as `NAME-PROGRAM.log`, before they are lost with it.
    pub(crate) fn save_logs(&self) {
        for log in ["edgecore.log", "containerd.log"] {
            // A node that is off or has none has nothing to save.
            let to = self.lab.dir().join("logs").join(format!("{}-{log}", self.name));
            let _ = fs::copy(self.path(&format!("/var/log/{log}")), to);
        }
    }
}

/// The last line of a log that says anything, for an error message.
fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4_096)..]).into_owned();
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(|| format!("it wrote nothing to {}", log.display()), str::to_owned)
}
