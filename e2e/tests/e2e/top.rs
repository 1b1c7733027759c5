//! The real metrics-server, as it is released: what `kubectl top` shows of an edge and of what runs there.
//!
//! It has the permissions, the Service and the flags of its own manifests, and runs on the host, where pods of a cluster's own
//! nodes would: it asks the edge at the address and port that the edge's Node names.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use skerry_e2e::host;
use skerry_e2e::proc::Process;
use skerry_e2e::programs::Programs;
use skerry_e2e::view::{PodSeen, condition};

use crate::world::{EDGE, PATIENCE, World};

const SYSTEM: &str = "kube-system";
const NAME: &str = "metrics-server";
const API: &str = "v1beta1.metrics.k8s.io";
/// What it made of the cluster; its Deployment is not among it.
const MANIFESTS: [&str; 3] = ["rbac.yaml", "service.yaml", "apiservice.yaml"];
/// How it begins a line about a node that did not answer as it should.
const COMPLAINT: &str = "Failed to scrape node";
/// What `holds` keeps in memory, MiB.
const HELD: u64 = 24;
/// Clock ticks in a second, in `/proc`.
const TICKS: f64 = 100.0;

/// metrics-server and all it needs, gone with the value.
struct MetricsServer<'a> {
    world: &'a World,
    manifests: PathBuf,
    process: Option<Process>,
    log: PathBuf,
}

impl<'a> MetricsServer<'a> {
    fn start(world: &'a World) -> Self {
        let manifests = Programs::find(None).unwrap().install_metrics_server(world.lab.dir()).unwrap();
        let log = world.lab.dir().join("logs/metrics-server.log");
        let _ = std::fs::remove_file(&log);
        let mut server = Self { world, manifests, process: None, log };
        server.launch().unwrap();
        server
    }

    fn launch(&mut self) -> Result<()> {
        let lab = &self.world.lab;
        for name in MANIFESTS {
            lab.kubectl(&["apply", "-f", &self.manifest(name)])?;
        }
        let home = lab.dir().join(NAME);
        std::fs::create_dir_all(&home)?;
        let kubeconfig = home.join("kubeconfig");
        lab.write_kubeconfig(SYSTEM, NAME, &kubeconfig)?;
        // A port that is free now is free a moment later, as no other lab has this address.
        let address = lab.id()?.host_address();
        let port = TcpListener::bind((address, 0))?.local_addr()?.port();
        let mut argv = vec![lab.dir().join("bin/metrics-server").display().to_string()];
        argv.extend(self.flags()?);
        argv.extend([
            // What only a process outside of the cluster needs.
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--authentication-kubeconfig={}", kubeconfig.display()),
            format!("--authorization-kubeconfig={}", kubeconfig.display()),
            // In place of those of the Deployment, which are for a pod.
            format!("--cert-dir={}", home.display()),
            format!("--bind-address={address}"),
            format!("--secure-port={port}"),
            // The one thing about Skerry: who vouches for what stands for the edges.
            format!("--kubelet-certificate-authority={}", self.edges_ca(&home)?.display()),
        ]);
        let process = lab.daemon(&argv, &self.log)?;
        self.process = Some(process);
        let slice = serde_json::json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": NAME, "namespace": SYSTEM, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        });
        lab.kubectl_with_input(&["apply", "-f", "-"], &slice.to_string())?;
        lab.wait("metrics-server serves its API", PATIENCE, || {
            ensure!(process.alive(), "it ended; see {}", self.log.display());
            let object = lab.get(&["apiservice", API])?;
            let available = condition(&object, "Available").context("nobody looked yet")?;
            ensure!(available["status"] == "True", "{available}");
            Ok(true)
        })
    }

    fn manifest(&self, name: &str) -> String {
        self.manifests.join(name).display().to_string()
    }

    /// The flags that its Deployment gives it.
    fn flags(&self) -> Result<Vec<String>> {
        let path = self.manifest("deployment.yaml");
        let words = ["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", &path];
        let deployment: Value = serde_json::from_str(&self.world.lab.kubectl(&words)?)?;
        let args = deployment.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array);
        let args: Vec<String> = args
            .context("a Deployment without flags")?
            .iter()
            .filter_map(|arg| arg.as_str().map(str::to_owned))
            .collect();
        ensure!(args.iter().any(|arg| arg == "--kubelet-use-node-status-port"), "{args:?}");
        Ok(args)
    }

    /// The certificate of Skerry's CA, in a file.
    fn edges_ca(&self, home: &Path) -> Result<PathBuf> {
        let secret = self.world.lab.get(&["secret", "-n", "skerry-system", "skerry-ca"])?;
        let encoded = secret.pointer("/data/ca.crt").and_then(Value::as_str).context("no ca.crt")?;
        let path = home.join("edges-ca.crt");
        std::fs::write(&path, STANDARD.decode(encoded)?)?;
        Ok(path)
    }

    /// What it wrote, from there on.
    fn said(&self, from: usize) -> String {
        std::fs::read_to_string(&self.log).unwrap().split_off(from)
    }

    /// When it last had figures of the edge, as its API says.
    fn figures_of(&self) -> Result<String> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/nodes/{EDGE}");
        let metrics: Value = serde_json::from_str(&self.world.lab.kubectl(&["get", "--raw", &path])?)?;
        metrics["timestamp"].as_str().map(str::to_owned).context("no timestamp")
    }
}

impl Drop for MetricsServer<'_> {
    fn drop(&mut self) {
        // An API that nobody serves would keep namespaces from going, so it goes whatever became of the test.
        let lab = &self.world.lab;
        let slice = ["delete", "endpointslice", "-n", SYSTEM, NAME, "--ignore-not-found"].map(str::to_owned);
        let files = MANIFESTS
            .map(|name| ["delete", "--ignore-not-found", "-f", &self.manifest(name)].map(str::to_owned));
        let removals = files.iter().rev().map(|words| &words[..]).chain([&slice[..]]);
        for error in removals.filter_map(|words| lab.kubectl(words).err()) {
            host::progress(&format!("{error:#}"));
        }
        if let Some(Err(error)) = self.process.map(Process::kill) {
            host::progress(&format!("{error:#}"));
        }
    }
}

/// One line of `kubectl top`.
#[derive(Debug, Clone, Copy)]
struct Shown {
    /// Thousandths of a processor.
    cpu: f64,
    /// MiB.
    memory: u64,
}

/// What `kubectl top` shows, by the word that names a line.
fn top(world: &World, words: &[&str], name: usize) -> Result<BTreeMap<String, Shown>> {
    let text = world.kubectl(&[&["top"], words, &["--no-headers"]].concat())?;
    let line = |line: &str| -> Option<(String, Shown)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let cpu = words.iter().find_map(|word| word.strip_suffix('m')?.parse().ok())?;
        let memory = words.iter().find_map(|word| word.strip_suffix("Mi")?.parse().ok())?;
        Some(((*words.get(name)?).to_owned(), Shown { cpu, memory }))
    };
    text.lines().map(|shown| line(shown).with_context(|| shown.to_owned())).collect()
}

/// One line of it.
fn shown(of: &BTreeMap<String, Shown>, name: &str) -> Result<Shown> {
    of.get(name).copied().with_context(|| format!("no {name} in {of:?}"))
}

/// The kernel's own account of one process: what it has run so far.
struct Account<'a> {
    world: &'a World,
    stat: String,
    began: (Instant, f64),
}

impl<'a> Account<'a> {
    /// Of the first process of a container.
    fn open(world: &'a World, container: &str) -> Self {
        let tasks = world.edge.exec(&["ctr", "-n", "k8s.io", "tasks", "list"]).unwrap();
        let line = tasks.lines().find(|line| line.starts_with(container)).unwrap();
        let stat = format!("/proc/{}/stat", line.split_whitespace().nth(1).unwrap());
        let mut account = Self { world, stat, began: (host::now(), 0.0) };
        account.began = account.look().unwrap();
        account
    }

    /// Now, and seconds run in user and kernel.
    fn look(&self) -> Result<(Instant, f64)> {
        let text = self.world.edge.exec(&["cat", &self.stat])?;
        let (_, fields) = text.rsplit_once(')').context("no stat")?;
        let ticks: Vec<f64> =
            fields.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
        Ok((host::now(), ticks.iter().sum::<f64>() / TICKS))
    }

    /// Thousandths of a processor, on average since it was opened.
    fn cpu(&self) -> Result<f64> {
        let (now, ran) = self.look()?;
        Ok((ran - self.began.1) * 1000.0 / (now - self.began.0).as_secs_f64())
    }
}

/// A figure of the edge's `/proc/meminfo`, MiB.
fn meminfo(world: &World, key: &str) -> Result<u64> {
    let text = world.edge.exec(&["cat", "/proc/meminfo"])?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.map(|kib| kib >> 10).with_context(|| format!("no {key}"))
}

fn about(what: &str, shown: f64, real: f64) -> Result<()> {
    ensure!((0.7..=1.3).contains(&(shown / real)), "{what}: {shown} is shown, {real} is real");
    Ok(())
}

/// Everything that `kubectl top` shows, against what the kernel says of the same.
fn plausible(world: &World, burning: &Account<'_>) -> Result<()> {
    let containers = top(world, &["pod", "busy", "--containers"], 1)?;
    let real = burning.cpu()?;
    let (burns, holds) = (shown(&containers, "burns")?, shown(&containers, "holds")?);
    about("what burns", burns.cpu, real)?;
    ensure!(burns.memory < 8, "it only counts: {burns:?}");
    ensure!(holds.cpu < 10.0 && (HELD..HELD + 8).contains(&holds.memory), "it only holds memory: {holds:?}");
    ensure!(containers.len() == 2, "{containers:?}");

    let pod = shown(&top(world, &["pod"], 0)?, "busy")?;
    about("the pod", pod.cpu, real)?;
    ensure!((HELD..HELD + 16).contains(&pod.memory), "{pod:?}");

    let node = shown(&top(world, &["node", EDGE], 0)?, EDGE)?;
    let all = world.lab.get(&["node", EDGE])?;
    let cores = all.pointer("/status/capacity/cpu").and_then(Value::as_str).context("no capacity")?;
    ensure!((real * 0.7..=cores.parse::<f64>()? * 1050.0).contains(&node.cpu), "{node:?} of {cores}");
    let (anon, total, free) =
        (meminfo(world, "AnonPages")?, meminfo(world, "MemTotal")?, meminfo(world, "MemFree")?);
    let used = anon * 9 / 10..=(total - free) * 11 / 10;
    ensure!(used.contains(&node.memory), "{node:?}, and not {used:?} MiB");
    Ok(())
}

#[test]
fn metrics_server_shows_an_edge_and_its_pods() {
    let world = World::new("top");
    world.apply(&include_str!("manifests/top.yaml").replace("NODE", EDGE));
    let pod: PodSeen = world.ready("app=busy", 1).remove(0);
    let server = MetricsServer::start(&world);
    let burning = Account::open(&world, &pod.containers["burns"]);
    let all_right = || plausible(&world, &burning).map(|()| true);
    world.wait("what kubectl top shows", all_right);
    let told = server.said(0);
    assert!(!told.contains(COMPLAINT), "{told}");

    world.edge.cut().unwrap();
    world.wait("nothing is shown of an edge that is away", || {
        Ok(world.kubectl(&["top", "node", EDGE]).is_err() && server.said(0).contains(COMPLAINT))
    });
    world.edge.heal().unwrap();
    world.lab.wait_node(EDGE, "True", PATIENCE).unwrap();
    world.wait("what kubectl top shows", all_right);
    assert_eq!(world.pod("busy").unwrap().life(), pod.life());

    // And it goes on: two rounds later there is still nothing to complain about.
    let so_far = server.said(0).len();
    for round in ["one", "another"] {
        let before = server.figures_of().unwrap();
        world.wait(&format!("{round} round"), || Ok(server.figures_of()? != before));
    }
    let told = server.said(so_far);
    assert!(!told.contains(COMPLAINT), "{told}");
}
