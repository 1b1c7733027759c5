//! A containerd of one's own.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edgecore_cri::{Config, Cri, Deadlines, Health, connect};
use edgecore_pods::runtime::{
    ContainerSpec, ContainerState, LABEL_POD_UID, Namespaces, Observed, Resources, Runtime, SandboxSpec,
    Seccomp, Security,
};
use kit::{Clock, Shutdown, Tasks};
use rustix::process::{Pid, Signal};
use skerry_e2e::image;
use tempfile::TempDir;

/// The image that every daemon holds.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:latest";
const PAUSE: &str = "registry.k8s.io/pause:test";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running containerd, restarted by its shell whenever it ends, and a client with its monitor.
pub(crate) struct Daemon {
    pub(crate) cri: Cri,
    pub(crate) dir: TempDir,
    shell: Child,
    shutdown: Shutdown,
    monitor: Option<tokio::task::JoinHandle<()>>,
}

impl Daemon {
    /// Starts one; returns when it answers and holds the images.
    pub(crate) async fn start() -> Self {
        Self::start_with(Deadlines::default()).await
    }

    /// With other deadlines.
    pub(crate) async fn start_with(deadlines: Deadlines) -> Self {
        let dir = tempfile::Builder::new().prefix("cri").tempdir().unwrap();
        let path = dir.path();
        fs::create_dir_all(path.join("cni")).unwrap();
        fs::write(path.join("config.toml"), configuration(path)).unwrap();
        let socket = path.join("c.sock");
        let shell = shell(path);
        let config = Config { endpoint: format!("unix://{}", socket.display()), deadlines };
        let (cri, monitor) = connect(&config, Clock::system()).unwrap();
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("cri", monitor.run(shutdown.clone()));
        let monitor = Some(join(tasks));
        let daemon = Self { cri, dir, shell, shutdown, monitor };
        daemon.health(|health| health.runtime.status).await;
        daemon.import().await;
        daemon
    }

    async fn import(&self) {
        let busybox = image::busybox().unwrap();
        let pause = image::Image {
            name: PAUSE.to_owned(),
            layer: busybox.layer.clone(),
            entrypoint: vec!["/bin/busybox".into(), "sleep".into(), "1000000".into()],
            ..image::Image::default()
        };
        for (file, image) in [("busybox.tar", busybox), ("pause.tar", pause)] {
            let archive = self.path(file);
            fs::write(&archive, image.archive().unwrap()).unwrap();
            let socket = self.path("c.sock");
            let output = Command::new("ctr")
                .arg("--address")
                .arg(&socket)
                .args(["--namespace", "k8s.io", "images", "import"])
                .arg(&archive)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        // The CRI plugin hears of an import by an event.
        self.eventually("imported image", async || self.cri.image(PAUSE).await.unwrap()).await;
        self.eventually("imported image", async || self.cri.image(BUSYBOX).await.unwrap()).await;
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Waits until its health is as wanted.
    pub(crate) async fn health(&self, wanted: impl Fn(&Health) -> bool) -> Health {
        let mut health = self.cri.health();
        let waited = tokio::time::timeout(PATIENCE, health.wait_for(|health| wanted(health))).await;
        let Ok(health) = waited else { panic!("{:?}; log: {}", self.cri.health().borrow(), self.log()) };
        health.unwrap().clone()
    }

    /// Looks at every hint until there is something, as the pod engine does; a hint that never comes fails.
    pub(crate) async fn hinted<T>(&self, what: &str, look: impl AsyncFn(Observed) -> Option<T>) -> T {
        let watched = async {
            loop {
                if let Some(found) = look(self.cri.observe().await.unwrap()).await {
                    return found;
                }
                self.cri.changed(Duration::from_hours(1)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, watched).await;
        waited.unwrap_or_else(|_| panic!("no {what}; log: {}", self.log()))
    }

    /// Asks until there is something.
    pub(crate) async fn eventually<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let asked = async {
            loop {
                if let Some(found) = ask().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, asked).await;
        waited.unwrap_or_else(|_| panic!("no {what}; log: {}", self.log()))
    }

    /// Sends a signal to containerd itself.
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Runs a program in its network namespace.
    pub(crate) fn inside(&self, command: &[&str]) -> String {
        let pid = self.pid().to_string();
        let output = Command::new("nsenter").args(["-t", &pid, "-n", "--"]).args(command).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn pid(&self) -> i32 {
        let config = self.path("config.toml");
        processes()
            .find(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let mut words = line.split(|byte| *byte == 0);
                let program = words.next().unwrap_or_default();
                program.ends_with(b"containerd")
                    && words.any(|word| word == config.as_os_str().as_encoded_bytes())
            })
            .expect("containerd runs")
    }

    /// What containerd wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The state of a container by its pod and name.
    pub(crate) async fn state(&self, pod: &str, name: &str) -> Option<ContainerState> {
        let observed = self.cri.observe().await.unwrap();
        observed.containers.iter().find(|c| c.pod_uid == pod && c.name == name).map(|c| c.state)
    }

    /// A pod on the host's network, or (with an address) not.
    pub(crate) fn sandbox(&self, uid: &str, host_network: bool) -> SandboxSpec {
        SandboxSpec {
            pod_uid: uid.to_owned(),
            pod_name: format!("pod-{uid}"),
            pod_namespace: "default".to_owned(),
            attempt: 0,
            hostname: if host_network { String::new() } else { "pod".to_owned() },
            log_directory: self.path(&format!("logs/{uid}")).display().to_string(),
            dns: None,
            ports: Vec::new(),
            namespaces: Namespaces { host_network, ..Namespaces::default() },
            labels: [(LABEL_POD_UID.to_owned(), uid.to_owned())].into(),
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            sysctls: [].into(),
            privileged: false,
            supplemental_groups: Vec::new(),
            run_as_user: None,
            run_as_group: None,
            selinux: None,
            seccomp: Seccomp::RuntimeDefault,
            cgroup_parent: format!("/{}/{uid}", self.cgroup()),
        }
    }

    /// A name that nothing else on the machine has.
    pub(crate) fn cgroup(&self) -> String {
        self.dir.path().file_name().unwrap().to_string_lossy().into_owned()
    }
}

/// A container that runs a line of shell.
pub(crate) fn container(sandbox: &SandboxSpec, name: &str, line: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        attempt: 0,
        image: BUSYBOX.to_owned(),
        user_image: "busybox".to_owned(),
        command: ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
        args: Vec::new(),
        working_dir: "/tmp".to_owned(),
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        mounts: Vec::new(),
        labels: [].into(),
        annotations: [("hash".to_owned(), "1".to_owned())].into(),
        log_path: format!("{name}.log"),
        stdin: false,
        stdin_once: false,
        tty: false,
        resources: Resources { cpu_shares: 102, memory_limit: 64 << 20, ..Resources::default() },
        security: Security { no_new_privs: true, seccomp: Seccomp::RuntimeDefault, ..Security::default() },
        namespaces: sandbox.namespaces,
        target: None,
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.shutdown.request("the test is over");
        if let Some(monitor) = self.monitor.take() {
            monitor.abort();
        }
        // The shell is the first process of a process namespace: with it everything in there dies.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        // The rest of them die a moment later, and their groups cannot go before.
        for _ in 0..500 {
            if self.remove_cgroups() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Daemon {
    /// Whether nothing is left of the groups.
    fn remove_cgroups(&self) -> bool {
        // Its own, and that of a pod by its name in the place of the agent's pods.
        let name = self.cgroup();
        let names = [edgecore_pods::spec::sandbox::cgroup(&name).trim_start_matches('/').to_owned(), name];
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let hierarchies: Vec<PathBuf> = hierarchies.chain([root.to_owned()]).collect();
        let groups = hierarchies.iter().flat_map(|hierarchy| names.iter().map(|name| hierarchy.join(name)));
        groups.fold(true, |all, group| {
            remove_cgroups(&group);
            all && !group.exists()
        })
    }
}

fn remove_cgroups(path: &Path) {
    for inner in fs::read_dir(path).into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroups(&inner.path());
        }
    }
    let _ = fs::remove_dir(path);
}

#[expect(clippy::disallowed_methods, reason = "a test watches over this one itself")]
fn join(tasks: Tasks) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { tasks.join(Duration::ZERO).await.unwrap() })
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Namespaces of its own, an empty `/run` (shims put sockets there), and containerd again and again.
fn shell(dir: &Path) -> Child {
    let program = kit::config::env("SKERRY_TEST_CONTAINERD").unwrap_or_else(|| "containerd".to_owned());
    let script = r#"
        set -e
        ip link set lo up
        mount -t tmpfs tmpfs /run
        export PATH="$(dirname "$1"):$PATH"
        while :; do "$1" --config "$2/config.toml" >>"$2/log" 2>&1 || true; done
    "#;
    // Should the test be killed, the kernel kills this too.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "unshare"])
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
        .args(["--propagation", "private", "--", "/bin/sh", "-c", script, "sh", &program])
        .arg(dir)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("setpriv and unshare (util-linux) run")
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"
version = 2
root = "{dir}/root"
state = "{dir}/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{dir}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{dir}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#
    )
}
