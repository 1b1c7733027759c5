//! A node's own containerd: its configuration and its start.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::node::Node;
use crate::state::Runtime;
use crate::{cri, host};

/// Its socket, inside the node.
pub const SOCKET: &str = "/run/containerd/containerd.sock";
/// The image of every pod's first container; every node has it.
pub const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10";

/// The configuration, in the format that each version wants. Scores of the OOM killer are left alone: a
/// machine may lack the right to lower them. CNI plugins lie where Debian puts them.
pub fn config(runtime: Runtime) -> String {
    match runtime {
        Runtime::Debian => format!(
            r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#
        ),
        Runtime::Current => format!(
            r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.nri.v1.nri"]

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
"#
        ),
    }
}

impl Node {
    /// Starts the node's containerd, without waiting for it.
    ///
    /// # Errors
    /// The configuration cannot be written, or the program ends at once.
    pub fn launch_containerd(&self, runtime: Runtime) -> Result<crate::proc::Process> {
        fs::write(self.path("/etc/containerd/config.toml"), config(runtime))?;
        let program = match runtime {
            Runtime::Debian => "containerd",
            Runtime::Current => "/run/lab/bin/containerd/containerd",
        };
        self.daemon(&[program, "--config", "/etc/containerd/config.toml"], "/var/log/containerd.log")
    }

    /// Waits until the node's containerd answers CRI calls; gives up at once when the process has ended.
    ///
    /// # Errors
    /// It ended, or does not answer within 60 s.
    pub fn wait_for_cri(&self, process: crate::proc::Process) -> Result<()> {
        let socket = self.containerd_socket();
        host::wait_for("answer of containerd's CRI", Duration::from_mins(1), || {
            if !process.alive() {
                return Ok(Some(false));
            }
            cri::version(&socket).map(|_| Some(true))
        })
        .and_then(|answered| {
            let log = self.path("/var/log/containerd.log");
            anyhow::ensure!(answered, "containerd ended at once; see {}", log.display());
            Ok(())
        })
    }

    /// Its socket as the host sees it, through a path that is short enough for one.
    pub fn containerd_socket(&self) -> PathBuf {
        self.path(SOCKET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_configurations_pin_the_pause_image_and_leave_oom_scores_alone() {
        for runtime in [Runtime::Debian, Runtime::Current] {
            let text = config(runtime);
            assert!(text.contains(&format!("= \"{PAUSE_IMAGE}\"")), "{text}");
            assert!(text.contains("restrict_oom_score_adj = true") && text.contains("SystemdCgroup = false"));
        }
    }
}
