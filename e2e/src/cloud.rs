//! The cloudcores of a lab: processes on the host, acting under the permissions of their own manifest. Several of them
//! stand behind one more address, as behind a Service ([`crate::balance`]), and edges know only that.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::lab::Lab;
use crate::proc::Process;
use crate::state::{self, CloudState, Hold};
use crate::{balance, host, spawn};

/// cloudcore's namespace in the cluster.
pub const NAMESPACE: &str = "skerry-system";
/// The ports of the first cloudcore on the lab's host address; each further one has them 100 higher.
const LINK_PORT: u16 = 10_000;
const JOIN_PORT: u16 = 10_002;
/// The ports that stand for all of them, where there are several.
pub(crate) const SHARED_PORTS: (u16, u16) = (9_000, 9_002);
/// Most cloudcores of a lab.
pub const MAX_CLOUDS: u32 = 9;
/// How long one may take to end when it is asked to: longer than it allows itself.
const DRAIN: Duration = Duration::from_mins(1);
/// Loopback ports for metrics: one block of 16 per network, below the ports that the kernel gives out itself.
const ADMIN_PORTS: u16 = 20_000;

impl Lab {
    /// Applies cloudcore's permissions, makes the kubeconfig that every cloudcore of the lab uses, and writes down at
    /// least so many of them.
    pub(crate) fn prepare_cloud(&self, clouds: u32) -> Result<()> {
        let manifest = self.dir().join("manifests/rbac.yaml").display().to_string();
        self.kubectl(&["apply", "-f", &manifest])?;
        fs::create_dir_all(self.dir().join("clouds"))?;
        self.write_kubeconfig(NAMESPACE, "cloudcore", &self.dir().join("clouds/kubeconfig"))?;
        let known = u32::try_from(self.clouds().len())?;
        for _ in known..clouds.max(1) {
            self.add_cloud()?;
        }
        self.configure_clouds()
    }

    /// Makes the cloudcores as many as this, whether there are more or fewer, all of them ready.
    ///
    /// # Errors
    /// One does not end, or does not become ready.
    pub fn set_clouds(&self, clouds: u32) -> Result<()> {
        let known = u32::try_from(self.clouds().len())?;
        for _ in known..clouds.max(1) {
            self.add_cloud()?;
        }
        for cloud in self.clouds().into_iter().filter(|cloud| cloud.n > clouds.max(1)) {
            self.drain_cloud(Some(cloud.n))?;
            fs::remove_dir_all(self.cloud_home(cloud.n))?;
        }
        self.configure_clouds()?;
        self.start_cloud(None)
    }

    /// Writes every cloudcore's configuration; one that runs with another is ended in good order, to be started anew.
    fn configure_clouds(&self) -> Result<()> {
        let clouds = self.clouds();
        let shared = clouds.len() > 1;
        for cloud in &clouds {
            let (path, config) = (self.cloud_config(cloud.n), self.cloud_settings(cloud, shared)?);
            if fs::read(&path).ok().as_ref() != Some(&config) {
                self.drain_cloud(Some(cloud.n))?;
                state::write_atomically(&path, &config)?;
            }
        }
        if shared { balance::start(self) } else { balance::stop(self) }
    }

    /// Writes down one more cloudcore, without starting it.
    fn add_cloud(&self) -> Result<()> {
        let n = self.clouds().last().map_or(1, |cloud| cloud.n + 1);
        let network = self.id()?.network;
        let step = u16::try_from(n - 1)? * 100;
        let wanted = (ADMIN_PORTS..=u16::MAX).skip(usize::from(network) * 16 + usize::try_from(n)?);
        let admin_port = wanted.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        let admin_port = admin_port.context("no free port on loopback")?;
        let (link_port, join_port) = (LINK_PORT + step, JOIN_PORT + step);
        let cloud = CloudState { n, process: None, link_port, join_port, admin_port };
        fs::create_dir_all(self.cloud_home(n))?;
        state::save(&self.cloud_home(n).join("cloud.json"), &cloud)
    }

    fn cloud_settings(&self, cloud: &CloudState, shared: bool) -> Result<Vec<u8>> {
        let address = self.id()?.host_address();
        let (link, join) = if shared { SHARED_PORTS } else { (cloud.link_port, cloud.join_port) };
        let config = json!({
            "kubeconfig": self.dir().join("clouds/kubeconfig"),
            "namespace": NAMESPACE,
            "listen": format!("{address}:{}", cloud.link_port),
            "join": format!("{address}:{}", cloud.join_port),
            "admin": format!("127.0.0.1:{}", cloud.admin_port),
            "endpoints": [format!("wss://{address}:{link}/v1/connect")],
            "joinEndpoints": [format!("https://{address}:{join}")],
            "serverNames": [address.to_string()],
            "kubeletAddress": address.to_string(),
            "replica": format!("cloudcore-{}", cloud.n),
        });
        // JSON is YAML too.
        Ok(serde_json::to_vec_pretty(&config)?)
    }

    /// The folder of one cloudcore.
    fn cloud_home(&self, n: u32) -> PathBuf {
        self.dir().join("clouds").join(n.to_string())
    }

    /// The configuration of one cloudcore.
    pub fn cloud_config(&self, n: u32) -> PathBuf {
        self.cloud_home(n).join("cloudcore.yaml")
    }

    /// The log of one cloudcore.
    pub fn cloud_log(&self, n: u32) -> PathBuf {
        self.dir().join("logs").join(format!("cloudcore-{n}.log"))
    }

    /// What is written down about every cloudcore.
    pub fn clouds(&self) -> Vec<CloudState> {
        let entries = fs::read_dir(self.dir().join("clouds")).into_iter().flatten().flatten();
        let load = |path: PathBuf| state::load::<CloudState>(&path.join("cloud.json")).ok().flatten();
        let mut clouds: Vec<CloudState> = entries.filter_map(|entry| load(entry.path())).collect();
        clouds.sort_by_key(|cloud| cloud.n);
        clouds
    }

    fn chosen(&self, n: Option<u32>) -> Result<Vec<CloudState>> {
        self.state()?;
        let clouds: Vec<_> =
            self.clouds().into_iter().filter(|cloud| n.is_none_or(|n| n == cloud.n)).collect();
        ensure!(!clouds.is_empty(), "no cloudcore{}", n.map(|n| format!(" {n}")).unwrap_or_default());
        Ok(clouds)
    }

    /// Kills all cloudcores, or the Nth, by `SIGKILL`.
    ///
    /// # Errors
    /// There is none, or it cannot be killed.
    pub fn kill_cloud(&self, n: Option<u32>) -> Result<()> {
        let _lock = state::lock(&self.dir().join("clouds/lock"), Hold::Alone)?;
        let clouds = self.chosen(n)?;
        for cloud in clouds {
            if let Some(process) = cloud.process {
                process.kill()?;
            }
            state::save(
                &self.cloud_home(cloud.n).join("cloud.json"),
                &CloudState { process: None, ..cloud },
            )?;
        }
        Ok(())
    }

    /// Asks all cloudcores, or the Nth, to end, and returns when they have: what a rolling update does to one.
    ///
    /// # Errors
    /// There is none, or it does not end.
    pub fn drain_cloud(&self, n: Option<u32>) -> Result<()> {
        let _lock = state::lock(&self.dir().join("clouds/lock"), Hold::Alone)?;
        for cloud in self.chosen(n)? {
            if let Some(process) = cloud.process {
                process.signal(rustix::process::Signal::TERM)?;
                host::wait(&format!("end of cloudcore {}", cloud.n), DRAIN, || Ok(!process.alive()))?;
            }
            state::save(
                &self.cloud_home(cloud.n).join("cloud.json"),
                &CloudState { process: None, ..cloud },
            )?;
        }
        Ok(())
    }

    /// Starts all cloudcores, or the Nth, and returns when `/readyz` answers.
    ///
    /// # Errors
    /// There is none, or it does not become ready; the message names its log.
    pub fn start_cloud(&self, n: Option<u32>) -> Result<()> {
        let _lock = state::lock(&self.dir().join("clouds/lock"), Hold::Alone)?;
        let clouds = self.chosen(n)?;
        let mut started = Vec::new();
        for cloud in clouds {
            let process = match cloud.process.filter(|process| process.alive()) {
                Some(process) => process,
                None => self.launch_cloud(&cloud)?,
            };
            started.push((cloud, process));
        }
        for (cloud, process) in started {
            self.wait_for_cloud(&cloud, process)?;
        }
        Ok(())
    }

    fn launch_cloud(&self, cloud: &CloudState) -> Result<Process> {
        host::progress(&format!("cloudcore {}: starting", cloud.n));
        let program = self.dir().join("bin/cloudcore").display().to_string();
        let argv =
            [program, "run".into(), "--config".into(), self.cloud_config(cloud.n).display().to_string()];
        let entrances = self.host_group()?.entrances(None);
        let process = spawn::daemon(&argv, &[], &self.cloud_log(cloud.n), &entrances)?;
        let state = CloudState { process: Some(process), ..cloud.clone() };
        state::save(&self.cloud_home(cloud.n).join("cloud.json"), &state)?;
        Ok(process)
    }

    fn wait_for_cloud(&self, cloud: &CloudState, process: Process) -> Result<()> {
        let admin = SocketAddr::from(([127, 0, 0, 1], cloud.admin_port));
        let ready = host::wait_for("cloudcore's /readyz", Duration::from_mins(1), || {
            if !process.alive() {
                return Ok(Some(false));
            }
            let status = http_status(admin, "/readyz")?;
            ensure!(status == 200, "/readyz answers {status}");
            Ok(Some(true))
        });
        let log = self.cloud_log(cloud.n);
        let ready = ready.with_context(|| format!("cloudcore {}; see {}", cloud.n, log.display()))?;
        ensure!(ready, "cloudcore {} ended at once; see {}", cloud.n, log.display());
        balance::wait_for(self, cloud.link_port)
    }

    /// Makes a join token with `cloudcore token create` and these arguments, such as `--node edge-1`.
    ///
    /// # Errors
    /// It is refused; the message carries the reason.
    pub fn create_token(&self, args: &[&str]) -> Result<String> {
        let n = self.clouds().first().map_or(1, |cloud| cloud.n);
        let mut command = std::process::Command::new(self.dir().join("bin/cloudcore"));
        command.args(["token", "create", "--config"]).arg(self.cloud_config(n)).args(args);
        let token = host::finish(command.stdin(std::process::Stdio::null()))?;
        let token = token.trim();
        ensure!(
            !token.is_empty() && !token.contains(char::is_whitespace),
            "cloudcore printed no token alone"
        );
        Ok(token.to_owned())
    }
}

/// The status of one HTTP GET.
///
/// # Errors
/// Nobody answers within a second, or not in HTTP.
pub fn http_status(address: SocketAddr, path: &str) -> Result<u16> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let status = std::str::from_utf8(&start[9..])?.parse();
    status.with_context(|| format!("{address} does not speak HTTP"))
}
