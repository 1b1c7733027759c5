//! Power: a node's end at one instant, and its start from what lay on its disk then.

use anyhow::{Context, Result};

use crate::edge::Edge;
use crate::node::{self, BootSpec, Node};
use crate::proc::Process;
use crate::state::{Boot, EdgeState};
use crate::{disk, host, wire};

impl Edge {
    /// Takes the power away. In this order: every process of the node stops where it stands; its file system
    /// stops, so nothing more reaches the disk; its link goes; the disk is copied as it lies; the processes
    /// die without having run again. The node's next life is on the copy.
    ///
    /// # Errors
    /// Something of the node stays, or the disk cannot be copied.
    pub fn power_off(&self) -> Result<()> {
        let _lock = self.lock()?;
        let mut known = self.state()?;
        let lab = self.lab.id()?;
        let group = node::group(&lab, self.name())?;
        if let Some(boot) = known.boot.as_ref().filter(|boot| boot.init.alive()) {
            let node = Node::new(&lab, self.name(), boot.init);
            group.freeze()?;
            self.save_logs();
            disk::cut_power(&self.disk(), &node.path("/var/lib/skerry"))?;
        }
        wire::remove_node_side(&lab, self.name())?;
        group.kill()?;
        group.remove()?;
        disk::detach_all(&self.home())?;
        known.boot = None;
        self.save(&known)
    }

    /// Gives the power back and returns when containerd's CRI answers and edgecore runs (if it has joined).
    /// The two start together, as they do on a real node. Nothing happens to a node that is on, but for what
    /// of it does not run.
    ///
    /// # Errors
    /// The node does not boot, or containerd or edgecore does not come up.
    pub fn power_on(&self) -> Result<()> {
        self.boot()?;
        let (containerd, edgecore) = self.launch()?;
        self.node()?.wait_for_cri(containerd)?;
        self.import_images()?;
        if let Some(process) = edgecore {
            self.wait_until_alive(process)?;
        }
        Ok(())
    }

    /// Puts a new machine in its place: off, with an empty disk, and a stranger to the cluster, which is not told.
    /// [`Edge::ensure_ready`] installs it.
    ///
    /// # Errors
    /// As for [`Edge::power_off`], or the disk cannot be made.
    pub fn replace(&self) -> Result<()> {
        self.power_off()?;
        let _lock = self.lock()?;
        let known = self.state()?;
        std::fs::remove_file(self.disk())?;
        disk::create(&self.disk(), known.disk_mib)?;
        self.save(&EdgeState { joined: false, images: Vec::new(), ..known })
    }

    /// Makes the node's namespaces, file system and network, and starts nothing in it.
    ///
    /// # Errors
    /// The node does not boot; the message names the log.
    pub fn boot(&self) -> Result<()> {
        let _lock = self.lock()?;
        let mut known = self.state()?;
        if known.boot.as_ref().is_some_and(|boot| boot.init.alive()) {
            return Ok(());
        }
        let lab = self.lab.id()?;
        // What a crashed host program left of an earlier life.
        node::group(&lab, self.name())?.kill()?;
        disk::detach_all(&self.home())?;
        wire::create_node_side(&lab, self.name(), known.index)?;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("no random uuid")?;
        let (disk, boot_id) = (self.disk(), boot_id.trim().to_owned());
        let spec =
            BootSpec { lab: &lab, dir: self.lab.dir(), name: self.name(), disk: &disk, boot_id: &boot_id };
        host::progress(&format!("{}: powering on", self.name()));
        let node = node::boot(&spec)?;
        known.boots += 1;
        known.boot = Some(Boot { init: node.init, boot_id, containerd: None, edgecore: None });
        self.save(&known)?;
        wire::apply(&lab, &known)
    }

    /// Starts containerd, and edgecore if it has joined, without waiting for either.
    ///
    /// # Errors
    /// One of them ends at once.
    pub fn launch(&self) -> Result<(Process, Option<Process>)> {
        let _lock = self.lock()?;
        let containerd = self.launch_containerd()?;
        let edgecore = if self.state()?.joined { Some(self.launch_edgecore()?) } else { None };
        Ok((containerd, edgecore))
    }

    /// Starts the node's containerd if it does not run and returns when its CRI answers.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_containerd(&self) -> Result<Process> {
        let lock = self.lock()?;
        let process = self.launch_containerd()?;
        drop(lock);
        self.node()?.wait_for_cri(process)?;
        Ok(process)
    }

    /// The node's containerd, to be killed or stopped by a test.
    ///
    /// # Errors
    /// It does not run.
    pub fn containerd(&self) -> Result<Process> {
        let boot = self.state()?.boot;
        let process = boot.and_then(|boot| boot.containerd).filter(|process| process.alive());
        process.with_context(|| format!("containerd does not run on {}", self.name()))
    }

    /// The node's edgecore.
    ///
    /// # Errors
    /// It does not run.
    pub fn edgecore(&self) -> Result<Process> {
        let boot = self.state()?.boot;
        let process = boot.and_then(|boot| boot.edgecore).filter(|process| process.alive());
        process.with_context(|| format!("edgecore does not run on {}", self.name()))
    }

    fn launch_containerd(&self) -> Result<Process> {
        let mut known: EdgeState = self.state()?;
        let runtime = known.containerd;
        let boot = known.boot.as_mut().with_context(|| format!("{} is powered off", self.name()))?;
        if let Some(process) = boot.containerd.filter(|process| process.alive()) {
            return Ok(process);
        }
        let process = self.node()?.launch_containerd(runtime)?;
        boot.containerd = Some(process);
        self.save(&known)?;
        Ok(process)
    }
}
