//! What a lab remembers between commands: one JSON file for the lab, one per edge, one per cloudcore, each
//! replaced atomically, and the locks that keep two commands from changing the same thing at once.
//!
//! A command that changes one edge holds the lab's lock shared and the edge's alone, so edges can be worked
//! on side by side; `up` and `down` hold the lab's alone. Reading needs no lock.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::names::LabId;
use crate::proc::Process;
use crate::shape::Shape;

/// Which containerd a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The distribution's package (1.6 on Debian 12).
    #[default]
    Debian,
    /// 2.2, built from its module.
    #[serde(rename = "2.2")]
    Current,
}

/// What a link does with packets, apart from its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Passes them on.
    #[default]
    Up,
    /// The interface is down on both sides.
    Cut,
    /// Swallows them; both interfaces stay up.
    Hole,
}

/// What is known about a lab as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    /// Its name and network on this machine.
    pub lab: LabId,
    /// The containerd of edges added without a word about it.
    pub containerd: Runtime,
    /// Another cluster's kubeconfig, where the lab made no control plane of its own.
    pub foreign_kubeconfig: Option<PathBuf>,
    /// Whether the API server writes an audit log.
    pub audit: bool,
    /// Whether the control plane keeps upstream's own rate limits.
    #[serde(default)]
    pub stock: bool,
    /// Flags of the control plane, as `COMPONENT=--FLAG=VALUE`.
    #[serde(default)]
    pub control_plane: Vec<String>,
    /// Whether the lab is nodes only, without a control plane and without agents.
    pub bare: bool,
}

/// A node's current life, from power-on to power-off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Process 1 of the node, as the host sees it.
    pub init: Process,
    /// What `/proc/sys/kernel/random/boot_id` says inside.
    pub boot_id: String,
    /// Its containerd.
    pub containerd: Option<Process>,
    /// Its agent.
    pub edgecore: Option<Process>,
}

/// What is known about one edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeState {
    /// Its name, which is also its Node's.
    pub name: String,
    /// Its number in the lab: the last byte of its address.
    pub index: u8,
    /// Its containerd.
    pub containerd: Runtime,
    /// Size of its disk.
    pub disk_mib: u32,
    /// What its link does.
    pub link: LinkState,
    /// How its link is shaped, if it is.
    pub shape: Option<Shape>,
    /// The shaping process.
    pub relay: Option<Process>,
    /// Its current life, `None` while powered off.
    pub boot: Option<Boot>,
    /// How often it was powered on.
    pub boots: u32,
    /// Whether it is a node without our agent.
    #[serde(default)]
    pub bare: bool,
    /// Whether it has joined: its certificate is on its disk.
    pub joined: bool,
    /// Archives imported into its containerd, as `file name:length:modification time`.
    pub images: Vec<String>,
}

/// What is known about one cloudcore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudState {
    /// Its number, from 1.
    pub n: u32,
    /// Its process, `None` while killed.
    pub process: Option<Process>,
    /// The port that edges connect to, on the lab's host address.
    pub link_port: u16,
    /// The port that edges join at, on the lab's host address.
    pub join_port: u16,
    /// The port of its metrics and health, on the host's loopback.
    pub admin_port: u16,
}

/// Reads a state file; `None` if there is none.
///
/// # Errors
/// It is there and cannot be read or understood.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?,
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a state file so that a reader sees the old one or the new one.
///
/// # Errors
/// The disk refuses.
pub fn save<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write_atomically(path, &serde_json::to_vec_pretty(value)?)
}

/// Replaces a file's content so that a reader sees the old or the new one.
///
/// # Errors
/// The disk refuses.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let attempt = || -> std::io::Result<()> {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        fs::rename(&part, path)
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

/// A held lock; it ends with the value, or with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Whether others may hold the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Together with others that ask for the same.
    Shared,
    /// Alone.
    Alone,
}

/// Waits for the lock file's lock; says so once if somebody has it.
///
/// # Errors
/// The file cannot be made.
pub fn lock(path: &Path, hold: Hold) -> Result<Lock> {
    let open = || OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = open().with_context(|| format!("cannot lock {}", path.display()))?;
    let free = match hold {
        Hold::Shared => file.try_lock_shared(),
        Hold::Alone => file.try_lock(),
    };
    if free.is_err() {
        crate::host::progress(&format!("waiting for another command that holds {}", path.display()));
        match hold {
            Hold::Shared => file.lock_shared()?,
            Hold::Alone => file.lock()?,
        }
    }
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cloud.json");
        assert_eq!(load::<CloudState>(&path).unwrap(), None);
        let process = Some(Process { pid: 7, started: 9 });
        let cloud = CloudState { n: 1, process, link_port: 10_000, join_port: 10_002, admin_port: 20_000 };
        save(&path, &cloud).unwrap();
        assert_eq!(load(&path).unwrap(), Some(cloud));
        fs::write(&path, "{").unwrap();
        let error = load::<CloudState>(&path).expect_err("damaged").to_string();
        assert!(error.contains("cloud.json is damaged"), "{error}");
    }

    #[test]
    fn a_runtime_is_called_as_on_the_command_line() {
        assert_eq!(
            serde_json::to_string(&[Runtime::Debian, Runtime::Current]).unwrap(),
            r#"["debian","2.2"]"#
        );
    }

    #[test]
    fn a_lock_held_alone_keeps_others_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = lock(&path, Hold::Alone).unwrap();
        assert!(File::open(&path).unwrap().try_lock_shared().is_err());
        drop(held);
        let _first = lock(&path, Hold::Shared).unwrap();
        let _second = lock(&path, Hold::Shared).unwrap();
    }
}
