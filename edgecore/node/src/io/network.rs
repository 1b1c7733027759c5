//! The node's address, forwarding, and the CNI file.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use crate::address::usable;
use crate::cni::{self, Action, Cidr};
use crate::config::NodeConfig;
use crate::error::NodeError;

/// Forwarding of packets, without which no pod reaches anything.
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// The address that packets to the first routable of these leave from. Nothing is sent: a datagram socket that is
/// connected has looked up its route.
pub(super) fn own_address(targets: &[IpAddr]) -> Option<IpAddr> {
    targets.iter().find_map(|target| {
        let any: IpAddr = if target.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((*target, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip()).filter(usable)
    })
}

/// What was said already, so that each thing is logged once.
#[derive(Debug, Default)]
pub(super) struct Network {
    said: Option<String>,
}

impl Network {
    /// Keeps the CNI file and forwarding as they should be. Returns what stands in the way of pods' network.
    pub(super) fn keep(&mut self, config: &NodeConfig, node: Option<&[u8]>) -> Option<String> {
        if !config.manage_cni {
            return None;
        }
        let ranges = match cni::ranges(node.unwrap_or_default()) {
            Ok(ranges) => ranges,
            Err(error) => {
                return Some(
                    self.say(format!("Node {} has a pod CIDR that cannot be used: {error}", config.name)),
                );
            }
        };
        if ranges.is_empty() {
            return None;
        }
        match keep_file(&config.cni_conf_dir, &ranges) {
            Ok(Kept::Ours) => {}
            Ok(Kept::Written) => {
                let ranges: Vec<String> = ranges.iter().map(Cidr::to_string).collect();
                tracing::info!(ranges = ranges.join(","), file = cni::FILE, "pod network configured");
            }
            Ok(Kept::Foreign(name)) => {
                // Whoever wrote it looks after forwarding as well.
                if self.said.as_ref() != Some(&name) {
                    tracing::info!(file = name, "pods use the network configuration found");
                    self.said = Some(name);
                }
                return None;
            }
            Err(error) => return Some(self.say(kit::errors::chain(&error))),
        }
        match forward(Path::new(FORWARD)) {
            Ok(()) => {
                self.said = None;
                None
            }
            Err(error) => {
                Some(self.say(format!("cannot enable net.ipv4.ip_forward, which pods need: {error}")))
            }
        }
    }

    fn say(&mut self, problem: String) -> String {
        if self.said.as_ref() != Some(&problem) {
            tracing::error!(problem, "pod network cannot be configured");
            self.said = Some(problem.clone());
        }
        problem
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Kept {
    Ours,
    Written,
    Foreign(String),
}

fn keep_file(dir: &Path, ranges: &[Cidr]) -> Result<Kept, NodeError> {
    let failed = |source| NodeError::Cni { path: dir.to_owned(), source };
    let mut others = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                others.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir_all(dir).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    }
    others.sort();
    let path = dir.join(cni::FILE);
    let ours = match fs::read(&path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(source) => return Err(NodeError::Cni { path, source }),
    };
    match cni::plan(ranges, ours.as_deref(), &others) {
        Action::Leave => Ok(Kept::Ours),
        Action::Yield(name) => Ok(Kept::Foreign(name)),
        Action::Write(text) => {
            kit::files::write_atomic(&path, text.as_bytes(), 0o644)
                .map_err(|source| NodeError::Cni { path, source })?;
            Ok(Kept::Written)
        }
    }
}

/// Enables forwarding where it is off.
fn forward(path: &Path) -> std::io::Result<()> {
    if fs::read_to_string(path)?.trim() == "1" {
        return Ok(());
    }
    fs::write(path, "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Vec<Cidr> {
        vec![text.parse().unwrap()]
    }

    #[test]
    fn the_file_is_made_kept_and_changed_with_the_range() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("net.d");
        assert_eq!(keep_file(&conf, &ranges("10.1.0.0/24")).unwrap(), Kept::Written);
        assert_eq!(keep_file(&conf, &ranges("10.1.0.0/24")).unwrap(), Kept::Ours);
        assert_eq!(keep_file(&conf, &ranges("10.2.0.0/24")).unwrap(), Kept::Written);
        let text = fs::read_to_string(conf.join(cni::FILE)).unwrap();
        assert_eq!(text, cni::conflist(&ranges("10.2.0.0/24")));
    }

    #[test]
    fn another_configuration_is_left_alone_and_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("99-mine.conf"), "{}").unwrap();
        let kept = keep_file(dir.path(), &ranges("10.1.0.0/24")).unwrap();
        assert_eq!(kept, Kept::Foreign("99-mine.conf".to_owned()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = keep_file(&file.join("net.d"), &ranges("10.1.0.0/24")).unwrap_err().to_string();
        assert!(error.contains("net.d"), "{error}");
    }

    #[test]
    fn forwarding_is_switched_on_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ip_forward");
        assert!(forward(&path).is_err());
        fs::write(&path, "0\n").unwrap();
        forward(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        forward(&path).unwrap();
    }

    #[test]
    fn no_route_is_no_address() {
        assert_eq!(own_address(&[]), None);
        let loopback = own_address(&["127.0.0.1".parse().unwrap()]);
        assert_eq!(loopback, None, "loopback is no node's address");
    }
}
