//! One look at everything that somebody asked about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edgecore_pods::runtime::{
    Container, ContainerState, ContainerUsage, Observed, Runtime, RuntimeError, Sandbox, Statistics,
    StoredBytes,
};
use edgecore_pods::spec::sandbox::{CGROUP_PARENT, cgroup};
use kit::{Clock, WallTime};

use super::cgroup::{Detail, Memory, Usage};
use super::kernel::Kernel;
use super::proc;
use super::rate::Rates;
use super::seen::{ContainerSeen, NodeSeen, PodSeen, Seen, Stored, SystemSeen};
use super::storage::{self, PodFiles, Walks};
use crate::about::About;
use crate::answer::blocking;
use crate::io::Parts;

/// Between two looks where there was none before.
const BETWEEN: Duration = Duration::from_millis(250);

/// What is kept from one question to the next.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    rates: Mutex<Rates>,
    walks: Mutex<Walks>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Processors and memory of the machine, pods and containers.
    Least,
    /// The same, and of parts of the system.
    Basic,
    /// Pods and containers with their disks, limits and networks, but none of what lies on file systems.
    Detailed,
    /// Everything.
    All,
}

impl Want {
    const fn detail(self) -> Detail {
        match self {
            Self::Least | Self::Basic => Detail::Basic,
            Self::Detailed | Self::All => Detail::Full,
        }
    }

    /// Parts of the system are asked about.
    const fn system(self) -> bool {
        matches!(self, Self::Basic | Self::All)
    }
}

/// Looks.
///
/// # Errors
/// The runtime does not say what runs.
pub(crate) async fn look<R: Runtime + Statistics>(
    parts: &Parts<R>,
    want: Want,
) -> Result<Seen, RuntimeError> {
    let runtime = &parts.runtime;
    let observed = runtime.observe().await?;
    let all = want == Want::All;
    let used = if all { runtime.container_usage().await? } else { Vec::new() };
    let images = if all { runtime.image_storage().await? } else { None };
    let process = if want.system() { runtime.process().await } else { None };
    let about = Arc::clone(&parts.about);
    let (kernel, clock, kept) = (parts.kernel.clone(), parts.clock.clone(), Arc::clone(&parts.kept));
    let from = From { used: by_id(used), images, process };
    let look = move || {
        Look { kernel: &kernel, about: &about, clock: &clock, kept: &kept, want }.all(&observed, &from)
    };
    let mut seen = blocking(look).await;
    // Runtimes that keep containers elsewhere (in a machine of their own) count for themselves.
    let mut unseen = seen.pods.iter().flat_map(|pod| &pod.containers).filter(|c| c.usage.is_none());
    if !all && unseen.next().is_some() {
        let used = by_id(runtime.container_usage().await?);
        for container in seen.pods.iter_mut().flat_map(|pod| &mut pod.containers) {
            if container.usage.is_none() {
                container.usage = used.get(container.id.as_str()).map(counted);
            }
        }
    }
    Ok(seen)
}

/// Nanoseconds of processor time a second, by cgroup; the node's is `/`. Looks twice where there is nothing to compare
/// with.
pub(crate) async fn rates<R>(parts: &Parts<R>, seen: &Seen) -> BTreeMap<String, u64> {
    let first = seen.processor_time();
    let missing = locked(&parts.kept.rates).take(parts.clock.elapsed(), first.clone());
    if missing {
        parts.clock.sleep(BETWEEN).await;
        let kernel = parts.kernel.clone();
        let cgroups: Vec<String> = first.keys().map(|cgroup| (*cgroup).to_owned()).collect();
        let look = move || {
            let times = cgroups.into_iter().filter_map(|cgroup| {
                let cpu_ns = kernel.cpu_ns(&cgroup)?;
                Some((cgroup, cpu_ns))
            });
            times.collect::<Vec<_>>()
        };
        let second = blocking(look).await;
        let second = second.iter().map(|(cgroup, cpu_ns)| (cgroup.as_str(), *cpu_ns));
        locked(&parts.kept.rates).again(parts.clock.elapsed(), second);
    }
    let rates = locked(&parts.kept.rates);
    first.keys().filter_map(|cgroup| Some(((*cgroup).to_owned(), rates.of(cgroup)?))).collect()
}

/// What the runtime said.
struct From {
    used: BTreeMap<String, ContainerUsage>,
    images: Option<StoredBytes>,
    process: Option<u32>,
}

fn by_id(used: Vec<ContainerUsage>) -> BTreeMap<String, ContainerUsage> {
    used.into_iter().map(|used| (used.id.0.clone(), used)).collect()
}

/// What the runtime counted of a container.
fn counted(used: &ContainerUsage) -> Usage {
    let memory = used.memory.unwrap_or_default();
    let memory = Memory {
        usage: memory.usage,
        working_set: memory.working_set,
        rss: memory.rss,
        faults: memory.faults,
        major_faults: memory.major_faults,
        ..Memory::default()
    };
    Usage { cpu_ns: used.cpu_ns, memory, ..Usage::default() }
}

/// Reads files; blocks.
struct Look<'a> {
    kernel: &'a Kernel,
    about: &'a About,
    clock: &'a Clock,
    kept: &'a Kept,
    want: Want,
}

impl Look<'_> {
    fn all(&self, observed: &Observed, from: &From) -> Seen {
        let at = self.clock.wall();
        let node = self.node(from);
        let pods: Vec<PodSeen> =
            running(observed).into_iter().map(|(sandbox, own)| self.pod(sandbox, &own, from)).collect();
        if self.want == Want::All {
            locked(&self.kept.walks).only(&pods.iter().map(|pod| pod.uid.as_str()).collect());
        }
        Seen { at, node, pods }
    }

    fn node(&self, from: &From) -> NodeSeen {
        let kernel = self.kernel;
        let own = if self.want.system() { kernel.cgroup_of("self") } else { None };
        let runtime = from.process.and_then(|process| kernel.cgroup_of(&process.to_string()));
        let system = [("kubelet", own), ("runtime", runtime), ("pods", Some(CGROUP_PARENT.to_owned()))];
        let system = system.into_iter().filter_map(|(name, cgroup)| {
            // In the root they are not apart from the rest of the machine.
            let cgroup = cgroup.filter(|cgroup| cgroup != "/")?;
            let usage = kernel.usage(&cgroup, self.want.detail())?;
            Some(SystemSeen { name, cgroup, usage })
        });
        let mut node = NodeSeen {
            booted_s: proc::booted(&kernel.proc("stat")),
            usage: kernel.machine(),
            huge_pages: proc::huge_pages(&kernel.proc("meminfo")),
            system: system.collect(),
            ..NodeSeen::default()
        };
        if self.want.detail() == Detail::Full {
            node.network = kernel.network("");
        }
        if self.want == Want::All {
            node.disk = storage::room(&self.about.state_dir);
            node.images = from.images.as_ref().map(stored);
            node.pids = kernel.pids();
        }
        node
    }

    fn pod(&self, sandbox: &Sandbox, own: &[&Container], from: &From) -> PodSeen {
        let home = cgroup(&sandbox.pod_uid);
        let mut pod = PodSeen {
            uid: sandbox.pod_uid.clone(),
            namespace: sandbox.pod_namespace.clone(),
            name: sandbox.pod_name.clone(),
            usage: self.kernel.usage(&home, self.want.detail()),
            sandbox: sandbox.id.0.clone(),
            created_ns: sandbox.created_at_ns,
            containers: own.iter().map(|container| self.container(sandbox, container, from)).collect(),
            cgroup: home,
            ..PodSeen::default()
        };
        if self.want.detail() == Detail::Full {
            let cgroup = format!("{}/{}", pod.cgroup, pod.sandbox);
            pod.sandbox_usage = self.kernel.usage(&cgroup, self.want.detail());
            pod.network = self.kernel.network_of(&cgroup);
        }
        if self.want == Want::All {
            let PodFiles { volumes, hosts } = self.files(&pod.uid);
            (pod.volumes, pod.hosts) = (volumes, hosts);
        }
        pod
    }

    fn container(&self, sandbox: &Sandbox, container: &Container, from: &From) -> ContainerSeen {
        let id = container.id.0.clone();
        let cgroup = format!("{}/{id}", cgroup(&sandbox.pod_uid));
        let used = from.used.get(&id);
        let usage = self.kernel.usage(&cgroup, self.want.detail()).or_else(|| used.map(counted));
        let logs = (self.want == Want::All).then(|| {
            let Sandbox { pod_namespace, pod_name, pod_uid, .. } = sandbox;
            let pod = self.about.pod_logs_dir.join(format!("{pod_namespace}_{pod_name}_{pod_uid}"));
            storage::files(&pod.join(&container.name))
        });
        ContainerSeen {
            id,
            name: container.name.clone(),
            image: container.image.clone(),
            created_ns: container.created_at_ns,
            cgroup,
            usage,
            writable: used.and_then(|used| used.writable.as_ref()).map(stored),
            logs: logs.flatten(),
        }
    }

    fn files(&self, uid: &str) -> PodFiles {
        let now = self.clock.elapsed();
        if let Some(found) = locked(&self.kept.walks).lately(uid, now) {
            return found;
        }
        let found = storage::walk(&self.about.state_dir.join("pods"), uid);
        locked(&self.kept.walks).found(uid, now, found.clone());
        found
    }
}

fn stored(seen: &StoredBytes) -> Stored {
    let StoredBytes { counted_at_ns, bytes, inodes, ref directory } = *seen;
    let room = storage::room(Path::new(directory));
    Stored { at: WallTime(counted_at_ns / 1_000_000), bytes, inodes, room }
}

/// Pods that run: of each its newest sandbox that holds, and the containers in it that run, by name.
pub(crate) fn running(observed: &Observed) -> Vec<(&Sandbox, Vec<&Container>)> {
    let mut newest: BTreeMap<&str, &Sandbox> = BTreeMap::new();
    for sandbox in observed.sandboxes.iter().filter(|sandbox| sandbox.ready) {
        let known = newest.entry(&sandbox.pod_uid).or_insert(sandbox);
        if known.attempt < sandbox.attempt {
            *known = sandbox;
        }
    }
    let mut pods: Vec<&Sandbox> = newest.into_values().collect();
    pods.sort_by_key(|sandbox| (&sandbox.pod_namespace, &sandbox.pod_name, &sandbox.pod_uid));
    let containers = |sandbox: &Sandbox| {
        let of = observed.containers.iter();
        let of = of.filter(|own| own.sandbox == sandbox.id && own.state == ContainerState::Running);
        let mut of: Vec<&Container> = of.collect();
        of.sort_by_key(|container| (&container.name, std::cmp::Reverse(container.attempt)));
        // Two of one name run at once only in a failure; the newer one counts.
        let mut names = BTreeSet::new();
        of.retain(|container| names.insert(&container.name));
        of
    };
    pods.into_iter().map(|sandbox| (sandbox, containers(sandbox))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgecore_pods::fake::World;

    #[test]
    fn what_runs_is_the_newest_sandbox_and_what_runs_in_it() {
        let mut world = World::default();
        let old = world.add_sandbox("u", "ns", "web", 0);
        let lost = world.create(&old, "main", 0, BTreeMap::new()).unwrap();
        world.start(&lost).unwrap();
        let new = world.add_sandbox("u", "ns", "web", 1);
        for (name, attempt) in [("side", 0), ("main", 1), ("main", 2), ("ended", 0), ("made", 0)] {
            let id = world.create(&new, name, attempt, BTreeMap::new()).unwrap();
            if name != "made" {
                world.start(&id).unwrap();
            }
            if name == "ended" {
                world.exit(&id, 0);
            }
        }
        let gone = world.add_sandbox("v", "ns", "gone", 0);
        world.stop_sandbox(&gone);
        let first = world.add_sandbox("w", "a", "first", 0);
        let observed = world.observed();
        let running = running(&observed);
        assert_eq!(running.iter().map(|(sandbox, _)| &sandbox.id).collect::<Vec<_>>(), [&first, &new]);
        let names: Vec<_> = running[1].1.iter().map(|c| (c.name.as_str(), c.attempt)).collect();
        assert_eq!(names, [("main", 2), ("side", 0)]);
    }
}
