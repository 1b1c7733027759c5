//! The lab that the tests share, and what most of them do with it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skerry_e2e::view::PodSeen;
use skerry_e2e::{Edge, Lab, Runtime, UpOptions, host};

/// Nothing takes longer; what does has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// The edge that is always there.
pub(crate) const EDGE: &str = "edge-1";

/// One test's hold on the lab, and its namespace in the cluster.
pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) edge: Edge,
    pub(crate) namespace: String,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());
static UP: OnceLock<Lab> = OnceLock::new();

impl World {
    /// The lab, whole: cloudcore and edge-1 run, the link is healed, the power is on. `name` becomes the namespace.
    pub(crate) fn new(name: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let options = || UpOptions { audit: true, runtime: Some(runtime()), ..UpOptions::default() };
        let lab = UP.get_or_init(|| Lab::up(&dir(), &options()).unwrap()).clone();
        let edge = lab.edge(EDGE);
        let world = Self { lab, edge, namespace: name.to_owned(), _alone: alone };
        world.make_whole().unwrap();
        world.lab.kubectl(&["create", "namespace", name]).unwrap();
        world
    }

    /// Undoes whatever a test before this one left behind when it failed.
    fn make_whole(&self) -> Result<()> {
        self.lab.start_cloud(None)?;
        for name in self.lab.edge_names() {
            if name != EDGE {
                self.lab.edge(&name).rm()?;
            }
        }
        self.edge.heal()?;
        self.edge.power_on()?;
        self.edge.start()?;
        self.lab.wait_node(EDGE, "True", PATIENCE)?;
        // What an earlier test made is on its way out; tests that count what is sent must not count that.
        host::wait("the pods of earlier tests gone", PATIENCE, || {
            let pods = self.lab.get(&["pods", "--all-namespaces"])?;
            Ok(pods["items"].as_array().is_some_and(Vec::is_empty) && self.edge.containers()?.is_empty())
        })
    }

    /// Applies a manifest in the test's namespace.
    pub(crate) fn apply(&self, manifest: &str) {
        self.lab.kubectl_with_input(&["apply", "-n", &self.namespace, "-f", "-"], manifest).unwrap();
    }

    /// Runs kubectl in the test's namespace.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Result<String> {
        let mut all = vec!["-n", &self.namespace];
        all.extend(words);
        self.lab.kubectl(&all)
    }

    /// The pods that match.
    pub(crate) fn pods(&self, selector: &str) -> Vec<PodSeen> {
        self.lab.pods(&self.namespace, selector).unwrap()
    }

    /// One pod.
    pub(crate) fn pod(&self, name: &str) -> Result<PodSeen> {
        self.lab.pod(&self.namespace, name)
    }

    /// Waits until so many pods match and are Ready.
    pub(crate) fn ready(&self, selector: &str, count: usize) -> Vec<PodSeen> {
        self.lab.wait_ready(&self.namespace, selector, count, PATIENCE).unwrap()
    }

    /// Waits until the leader has said how long these pods stay and the edge knows: after a leader was killed that takes a
    /// while, and must not be counted among what a test does.
    pub(crate) fn settled(&self, selector: &str) {
        self.wait(&format!("{selector} settled"), || {
            Ok(self.pods(selector).iter().all(|pod| {
                let of = |pointer: &str| pod.object.pointer(pointer);
                of("/metadata/annotations/skerry.io~1toleration-seconds").is_some()
                    && of("/metadata/generation") == of("/status/observedGeneration")
            }))
        });
    }

    /// Waits for a condition.
    pub(crate) fn wait(&self, what: &str, condition: impl FnMut() -> Result<bool>) {
        self.lab.wait(what, PATIENCE, condition).unwrap();
    }

    /// Upserts and deletes the hub has sent since cloudcore started.
    pub(crate) fn sent(&self) -> (u64, u64) {
        let metrics = self.lab.metrics(1).unwrap();
        let sum = |op: &str| metrics.count("skerry_hub_objects_sent_total", &[&format!("op=\"{op}\"")]);
        (sum("upsert"), sum("delete"))
    }

    /// Sessions the hub holds.
    pub(crate) fn sessions(&self) -> u64 {
        self.lab.metrics(1).unwrap().count("skerry_hub_sessions", &[])
    }

    /// Running containers of these pods: (pod UID, container id), sorted.
    pub(crate) fn containers(edge: &Edge, pods: &[PodSeen]) -> Vec<(String, String)> {
        let running = edge.containers().unwrap();
        let mine =
            running.into_iter().filter(|container| pods.iter().any(|pod| pod.uid == container.pod_uid));
        let mut mine: Vec<_> = mine.map(|container| (container.pod_uid, container.id)).collect();
        mine.sort();
        mine
    }

    /// Another edge, Ready.
    pub(crate) fn add_edge(&self, name: &str) -> Edge {
        let edge = self.lab.edge(name);
        edge.add().unwrap();
        edge
    }

    /// Waits until the pod's condition of this type has this status and returns its message.
    pub(crate) fn condition(&self, pod: &str, kind: &str, status: &str) -> String {
        host::wait_for(&format!("{pod} {kind}={status}"), PATIENCE, || {
            let pod = self.pod(pod)?;
            let found = skerry_e2e::view::condition(&pod.object, kind).context("no such condition")?;
            ensure!(found["status"] == status, "it is {}", found["status"]);
            Ok(Some(found["message"].as_str().unwrap_or_default().to_owned()))
        })
        .unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The next test makes the lab whole; pods that stay would only cost it time.
        let _ = self.lab.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

/// The edges' containerd: Debian's, or the current one with `SKERRY_E2E_CONTAINERD=2.2`.
fn runtime() -> Runtime {
    match host::env("SKERRY_E2E_CONTAINERD").as_deref() {
        None | Some("debian") => Runtime::Debian,
        Some("2.2") => Runtime::Current,
        Some(other) => panic!("SKERRY_E2E_CONTAINERD={other}: debian or 2.2 is wanted"),
    }
}

fn dir() -> PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let name = match runtime() {
        Runtime::Debian => "target/e2e/main",
        Runtime::Current => "target/e2e/main-2.2",
    };
    host::env("SKERRY_E2E_DIR").map_or_else(|| root.join(name), PathBuf::from)
}

/// A Deployment of busybox httpd serving a ConfigMap `page`, probed each second.
pub(crate) fn web(name: &str, replicas: u32, node: &str) -> String {
    include_str!("manifests/web.yaml")
        .replace("NAME", name)
        .replace("REPLICAS", &replicas.to_string())
        .replace("NODE", node)
}

/// A Pod that sleeps, on this node.
pub(crate) fn sleeper(name: &str, node: &str) -> String {
    include_str!("manifests/sleeper.yaml").replace("NAME", name).replace("NODE", node)
}

/// Whether the long tests are to be as long as they can be: `SKERRY_SOAK=1`.
pub(crate) fn soak() -> bool {
    host::env("SKERRY_SOAK").is_some_and(|soak| soak == "1")
}

/// Text that hardly compresses, the same in every run: the middle of a linear congruence, as these bytes.
pub(crate) fn incompressible(seed: u32, length: usize, alphabet: std::ops::RangeInclusive<u8>) -> String {
    let mut state = u64::from(seed);
    let letters: Vec<u8> = alphabet.collect();
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(letters[usize::try_from(state >> 33).unwrap_or_default() % letters.len()])
    };
    (0..length).map(letter).collect()
}
