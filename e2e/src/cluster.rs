//! The control plane of a lab: its own (`hack/cluster`), or another one by its kubeconfig; and kubectl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::fleet::SIMULATED;
use crate::lab::Lab;
use crate::{host, spawn, state};

/// Most of a start is the controller manager's own rate limit. What is measured is measured with upstream's.
const FASTER: [&str; 4] = [
    "--set",
    "kube-controller-manager=--kube-api-qps=200",
    "--set",
    "kube-controller-manager=--kube-api-burst=400",
];

impl Lab {
    fn cluster_program(&self) -> String {
        self.dir().join("bin/skerry-cluster").display().to_string()
    }

    /// Starts the control plane, or goes on with the one that runs, and returns when it is ready.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn start_cluster(&self) -> Result<()> {
        let state = self.state()?;
        if state.foreign_kubeconfig.is_some() {
            return self.kubectl(&["version"]).map(drop).context("the given cluster does not answer");
        }
        host::progress("control plane: starting");
        let home = self.dir().join("cluster").display().to_string();
        let program = self.cluster_program();
        let mut argv = vec![program.as_str(), "up", "--dir", &home, "--detach"];
        if !state.stock {
            argv.extend(FASTER);
        }
        for flag in &state.control_plane {
            argv.extend(["--set", flag]);
        }
        if state.audit {
            argv.push("--audit");
        }
        let mut command = spawn::joined(&self.host_group()?.entrances(None), &spawn::words(&argv));
        host::finish(command.stdin(Stdio::null())).map(drop)
    }

    /// Stops the control plane in good order; its data stays, and [`Self::start_cluster`] goes on with it.
    ///
    /// # Errors
    /// It is another one than the lab's own, or does not stop.
    pub fn stop_cluster(&self) -> Result<()> {
        ensure!(self.state()?.foreign_kubeconfig.is_none(), "the cluster is not the lab's own");
        host::progress("control plane: stopping");
        let home = self.dir().join("cluster").display().to_string();
        host::run(&[self.cluster_program().as_str(), "down", "--dir", &home]).map(drop)
    }

    /// Where etcd keeps the cluster's state; to be copied, and put back, only while the control plane is stopped.
    pub fn etcd_data(&self) -> PathBuf {
        self.dir().join("cluster/etcd")
    }

    /// The cluster admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        let foreign = self.state().ok().and_then(|state| state.foreign_kubeconfig);
        foreign.unwrap_or_else(|| self.dir().join("cluster/admin.kubeconfig"))
    }

    /// The API server's audit log, written where the lab was brought up with `audit`.
    pub fn audit_log(&self) -> PathBuf {
        self.dir().join("cluster/logs/audit.log")
    }

    /// kubectl as cluster admin, for the caller to run as it likes. An inherited `KUBECONFIG` plays no part.
    pub fn kubectl_command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(self.cluster_program());
        command.arg("kubectl").arg("--kubeconfig").arg(self.kubeconfig()).args(args);
        command.env_remove("KUBECONFIG");
        command
    }

    /// Runs kubectl as cluster admin to its end and returns its standard output.
    ///
    /// # Errors
    /// It fails; the message carries its stderr.
    pub fn kubectl<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Result<String> {
        host::finish(self.kubectl_command(args).stdin(Stdio::null()))
    }

    /// As [`Self::kubectl`], with text on its standard input, such as a manifest for `apply -f -`.
    ///
    /// # Errors
    /// It fails; the message carries its stderr.
    pub fn kubectl_with_input<S: AsRef<std::ffi::OsStr>>(&self, args: &[S], input: &str) -> Result<String> {
        host::finish_with_input(&mut self.kubectl_command(args), input.as_bytes())
    }

    /// Runs kubectl with `-o json` and parses its answer.
    ///
    /// # Errors
    /// It fails, or the answer is no JSON.
    pub fn get(&self, args: &[&str]) -> Result<serde_json::Value> {
        let mut words = vec!["get"];
        words.extend(args);
        words.extend(["-o", "json"]);
        serde_json::from_str(&self.kubectl(&words)?).context("kubectl's answer is no JSON")
    }

    /// Writes a kubeconfig with which a program of the host acts as a service account, for a year.
    ///
    /// # Errors
    /// There is no such account, or the file cannot be written.
    pub fn write_kubeconfig(&self, namespace: &str, account: &str, path: &Path) -> Result<()> {
        let token = self.kubectl(&["-n", namespace, "create", "token", account, "--duration=8760h"])?;
        let admin = self.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])?;
        let mut kubeconfig: serde_json::Value = serde_json::from_str(&admin)?;
        kubeconfig["users"] = json!([{"name": account, "user": {"token": token.trim()}}]);
        let cluster = kubeconfig["clusters"][0]["name"].clone();
        kubeconfig["contexts"] = json!([{"name": "lab", "context": {"cluster": cluster, "user": account}}]);
        kubeconfig["current-context"] = json!("lab");
        state::write_atomically(path, &serde_json::to_vec(&kubeconfig)?)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(())
    }

    /// Removes what the lab made in a cluster that is not its own. What cannot be removed is said, not an
    /// error: that cluster may be gone.
    pub(crate) fn clear_foreign_cluster(&self) {
        let manifest = self.dir().join("manifests/rbac.yaml").display().to_string();
        for name in self.edge_names() {
            if let Err(error) =
                self.kubectl(&["delete", "node", &name, "--ignore-not-found", "--timeout=30s"])
            {
                host::progress(&format!("{error:#}"));
            }
        }
        if let Err(error) = self.kubectl(&["delete", "nodes", "-l", SIMULATED, "--timeout=600s"]) {
            host::progress(&format!("{error:#}"));
        }
        if let Err(error) = self.kubectl(&["delete", "--ignore-not-found", "--timeout=60s", "-f", &manifest])
        {
            host::progress(&format!("{error:#}"));
        }
    }
}
