//! A runtime in memory, small and working: for tests of what stands on the port.
//!
//! Containers run until the test ends them; sandboxes hold until the test breaks them. It can be down, and it can be
//! slow with one image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::runtime::{
    Checkpoints, Container, ContainerDetail, ContainerId, ContainerSpec, ContainerState, ContainerUsage,
    ExecResult, Image, Observed, PullAuth, Runtime, RuntimeError, RuntimeVersion, Sandbox, SandboxId,
    SandboxSpec, Statistics, StoredBytes, Streaming, Streams,
};

/// What the runtime holds, and how it behaves.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that a test may want")]
pub struct World {
    /// Sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// Containers with their details.
    pub containers: Vec<(Container, ContainerDetail)>,
    /// Images that are not on the node and cannot be pulled.
    pub missing_images: BTreeSet<String>,
    /// Images whose pull does not end as long as they are here.
    pub hanging_images: BTreeSet<String>,
    /// Answers of commands by their first word; others succeed.
    pub commands: BTreeMap<String, i32>,
    /// No sandbox can be made.
    pub no_sandboxes: bool,
    /// The network of a sandbox cannot be given back.
    pub torn_network: bool,
    /// It does not answer.
    pub down: bool,
    /// Host and port of the streaming server; without one it has none.
    pub streaming: Option<String>,
    /// What containers use.
    pub usage: Vec<ContainerUsage>,
    /// What images take.
    pub images: Option<StoredBytes>,
    /// It makes checkpoints; containerd before 2.0 does not.
    pub checkpoints: bool,
    /// Everything that was asked for and changes something, in order.
    pub calls: Vec<String>,
    /// Nanoseconds since 1970, as the runtime's clock shows them.
    pub now_ns: i64,
    next: u32,
}

/// The runtime. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Fake {
    world: Arc<Mutex<World>>,
    changed: Arc<Notify>,
}

impl World {
    /// Where the streaming server does this.
    fn address(&mut self, what: &str, on: &str, how: &str) -> Result<String, RuntimeError> {
        self.calls.push(format!("{what} {on} {how}").trim_end().to_owned());
        let server = self.streaming.clone();
        let server = server.ok_or_else(|| RuntimeError::Failed("no streaming server".to_owned()))?;
        Ok(format!("http://{server}/{what}/{on}"))
    }

    fn name(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}{}", self.next)
    }

    /// Makes a sandbox that holds.
    pub fn run_sandbox(&mut self, spec: &SandboxSpec) -> SandboxId {
        self.add_sandbox(&spec.pod_uid, &spec.pod_namespace, &spec.pod_name, spec.attempt)
    }

    /// Makes a sandbox that holds, from the parts that count here.
    pub fn add_sandbox(&mut self, uid: &str, namespace: &str, name: &str, attempt: u32) -> SandboxId {
        let id = SandboxId(self.name("s"));
        self.calls.push(format!("run sandbox {uid} {attempt}"));
        let ip = format!("10.0.0.{}", self.next);
        self.sandboxes.push(Sandbox {
            id: id.clone(),
            pod_uid: uid.to_owned(),
            pod_name: name.to_owned(),
            pod_namespace: namespace.to_owned(),
            attempt,
            ready: true,
            created_at_ns: self.now_ns,
            ips: vec![ip],
        });
        id
    }

    /// Makes a container that has not started.
    pub fn create(
        &mut self,
        sandbox: &SandboxId,
        name: &str,
        attempt: u32,
        annotations: BTreeMap<String, String>,
    ) -> Result<ContainerId, RuntimeError> {
        let Some(home) = self.sandboxes.iter().find(|s| s.id == *sandbox && s.ready) else {
            return Err(RuntimeError::NotFound(format!("sandbox {}", sandbox.0)));
        };
        let uid = home.pod_uid.clone();
        let taken = |c: &Container| c.pod_uid == uid && c.name == name && c.attempt == attempt;
        if self.containers.iter().any(|(container, _)| taken(container)) {
            return Err(RuntimeError::Failed(format!("name {name}_{uid}_{attempt} is reserved")));
        }
        let id = ContainerId(self.name("c"));
        let container = Container {
            id: id.clone(),
            sandbox: sandbox.clone(),
            pod_uid: uid,
            name: name.to_owned(),
            attempt,
            state: ContainerState::Created,
            created_at_ns: self.now_ns,
            image: "image".to_owned(),
            image_ref: "sha256:image".to_owned(),
            annotations,
        };
        let detail = ContainerDetail {
            state: ContainerState::Created,
            started_at_ns: 0,
            called_off: false,
            finished_at_ns: 0,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            image: "image".to_owned(),
            image_ref: "sha256:image".to_owned(),
            log_path: String::new(),
        };
        self.containers.push((container, detail));
        Ok(id)
    }

    /// Starts a container.
    pub fn start(&mut self, id: &ContainerId) -> Result<(), RuntimeError> {
        let now = self.now_ns;
        let (container, detail) = self.by_id(id)?;
        container.state = ContainerState::Running;
        detail.state = ContainerState::Running;
        detail.started_at_ns = now;
        let call = format!("start {} {} {}", container.pod_uid, container.name, container.attempt);
        self.calls.push(call);
        Ok(())
    }

    /// A start whose caller is gone before it is done, as containerd leaves it behind.
    pub fn call_off(&mut self, id: &ContainerId) {
        let now = self.now_ns;
        if let Ok((container, detail)) = self.by_id(id)
            && container.state == ContainerState::Created
        {
            container.state = ContainerState::Exited;
            detail.state = ContainerState::Exited;
            detail.called_off = true;
            detail.finished_at_ns = now;
            detail.exit_code = 128;
            "StartError".clone_into(&mut detail.reason);
            "context canceled".clone_into(&mut detail.message);
        }
    }

    /// Ends a container by itself.
    pub fn exit(&mut self, id: &ContainerId, code: i32) {
        let now = self.now_ns;
        if let Ok((container, detail)) = self.by_id(id)
            && matches!(container.state, ContainerState::Running | ContainerState::Unknown)
        {
            container.state = ContainerState::Exited;
            detail.state = ContainerState::Exited;
            detail.finished_at_ns = now;
            detail.exit_code = code;
            let reason = if code == 0 { "Completed" } else { "Error" };
            reason.clone_into(&mut detail.reason);
        }
    }

    /// Stops a container from outside.
    pub fn stop(&mut self, id: &ContainerId) {
        if let Ok((container, _)) = self.by_id(id)
            && matches!(container.state, ContainerState::Running | ContainerState::Unknown)
        {
            let call = format!("stop {} {} {}", container.pod_uid, container.name, container.attempt);
            self.calls.push(call);
            self.exit(id, 143);
        }
    }

    /// Stops a sandbox and everything in it.
    pub fn stop_sandbox(&mut self, id: &SandboxId) {
        let inside: Vec<ContainerId> =
            self.containers.iter().filter(|(c, _)| c.sandbox == *id).map(|(c, _)| c.id.clone()).collect();
        for id in &inside {
            self.stop(id);
        }
        self.sandboxes
            .iter_mut()
            .filter(|sandbox| sandbox.id == *id)
            .for_each(|sandbox| sandbox.ready = false);
    }

    /// Removes a stopped sandbox with what is in it.
    pub fn remove_sandbox(&mut self, id: &SandboxId) {
        self.sandboxes.retain(|sandbox| sandbox.id != *id);
        self.containers.retain(|(container, _)| container.sandbox != *id);
    }

    /// Removes a container.
    pub fn remove(&mut self, id: &ContainerId) -> Result<(), RuntimeError> {
        let running = |c: &Container| c.id == *id && c.state == ContainerState::Running;
        if self.containers.iter().any(|(container, _)| running(container)) {
            return Err(RuntimeError::Failed(format!("container {} runs", id.0)));
        }
        self.containers.retain(|(container, _)| container.id != *id);
        Ok(())
    }

    /// The machine lost power and is up again: nothing runs, and all is remembered.
    pub fn reboot(&mut self) {
        for sandbox in &mut self.sandboxes {
            sandbox.ready = false;
            sandbox.ips.clear();
        }
        let running: Vec<ContainerId> = self.running().map(|container| container.id.clone()).collect();
        for id in &running {
            self.exit(id, 255);
        }
    }

    /// Containers that run.
    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().map(|(container, _)| container).filter(|c| c.state == ContainerState::Running)
    }

    /// All that a look sees.
    pub fn observed(&self) -> Observed {
        Observed {
            sandboxes: self.sandboxes.clone(),
            containers: self.containers.iter().map(|(container, _)| container.clone()).collect(),
        }
    }

    fn by_id(&mut self, id: &ContainerId) -> Result<(&mut Container, &mut ContainerDetail), RuntimeError> {
        let found = self.containers.iter_mut().find(|(container, _)| container.id == *id);
        found.map(|(c, d)| (c, d)).ok_or_else(|| RuntimeError::NotFound(format!("container {}", id.0)))
    }
}

impl Fake {
    /// Looks at, or changes, what the runtime holds; whoever waits for a change is woken.
    pub fn world<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let result = work(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, work: impl FnOnce(&mut World) -> Result<T, RuntimeError>) -> Result<T, RuntimeError> {
        let mut world = self.lock();
        if world.down {
            return Err(RuntimeError::Unavailable("the fake is down".to_owned()));
        }
        work(&mut world)
    }
}

impl Runtime for Fake {
    async fn version(&self) -> Result<RuntimeVersion, RuntimeError> {
        self.ask(|_| Ok(RuntimeVersion { name: "fake".to_owned(), version: "1".to_owned() }))
    }

    async fn observe(&self) -> Result<Observed, RuntimeError> {
        self.ask(|world| Ok(world.observed()))
    }

    async fn sandbox_ips(&self, id: &SandboxId) -> Result<Vec<String>, RuntimeError> {
        self.ask(|world| {
            let found = world.sandboxes.iter().find(|sandbox| sandbox.id == *id);
            found.map(|s| s.ips.clone()).ok_or_else(|| RuntimeError::NotFound(format!("sandbox {}", id.0)))
        })
    }

    async fn container(&self, id: &ContainerId) -> Result<ContainerDetail, RuntimeError> {
        self.ask(|world| world.by_id(id).map(|(_, detail)| detail.clone()))
    }

    async fn run_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxId, RuntimeError> {
        self.ask(|world| {
            if world.no_sandboxes {
                world.calls.push(format!("no sandbox {}", spec.pod_uid));
                return Err(RuntimeError::Failed("no network".to_owned()));
            }
            Ok(world.run_sandbox(spec))
        })
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.ask(|world| {
            world.stop_sandbox(id);
            if world.torn_network {
                return Err(RuntimeError::Failed("failed to destroy network".to_owned()));
            }
            Ok(())
        })
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.ask(|world| {
            world.remove_sandbox(id);
            Ok(())
        })
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        _sandbox_spec: &SandboxSpec,
        spec: &ContainerSpec,
    ) -> Result<ContainerId, RuntimeError> {
        self.ask(|world| world.create(sandbox, &spec.name, spec.attempt, spec.annotations.clone()))
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(|world| world.start(id))
    }

    async fn stop_container(&self, id: &ContainerId, _grace: Duration) -> Result<(), RuntimeError> {
        self.ask(|world| {
            world.stop(id);
            Ok(())
        })
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(|world| world.remove(id))
    }

    async fn exec(
        &self,
        _id: &ContainerId,
        command: &[String],
        _timeout: Duration,
    ) -> Result<ExecResult, RuntimeError> {
        self.ask(|world| {
            let word = command.first().cloned().unwrap_or_default();
            let exit_code = world.commands.get(&word).copied().unwrap_or(0);
            world.calls.push(format!("exec {}", command.join(" ")));
            Ok(ExecResult { exit_code, stdout: b"said".to_vec(), stderr: Vec::new() })
        })
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        self.ask(|world| {
            let absent = world.missing_images.contains(name) || world.hanging_images.contains(name);
            Ok((!absent).then(|| image(name)))
        })
    }

    async fn pull(
        &self,
        name: &str,
        _auth: &[PullAuth],
        _sandbox: &SandboxSpec,
    ) -> Result<Image, RuntimeError> {
        loop {
            let changed = self.changed.notified();
            if !self.ask(|world| Ok(world.hanging_images.contains(name)))? {
                break;
            }
            changed.await;
        }
        self.ask(|world| {
            if world.missing_images.contains(name) {
                let message = format!("failed to pull {name}: not found");
                return Err(RuntimeError::Image { reason: "ErrImagePull", message });
            }
            Ok(image(name))
        })
    }

    async fn reopen_log(&self, _id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(|_| Ok(()))
    }

    async fn changed(&self, most: Duration) {
        // Running out of time is a hint too.
        let _ = tokio::time::timeout(most, self.changed.notified()).await;
    }
}

impl Streaming for Fake {
    async fn exec_address(
        &self,
        id: &ContainerId,
        command: &[String],
        streams: Streams,
    ) -> Result<String, RuntimeError> {
        self.ask(|world| world.address("exec", &id.0, &format!("{} {streams:?}", command.join(" "))))
    }

    async fn attach_address(&self, id: &ContainerId, streams: Streams) -> Result<String, RuntimeError> {
        self.ask(|world| world.address("attach", &id.0, &format!("{streams:?}")))
    }

    async fn port_forward_address(&self, id: &SandboxId) -> Result<String, RuntimeError> {
        self.ask(|world| world.address("portforward", &id.0, ""))
    }
}

impl Statistics for Fake {
    async fn container_usage(&self) -> Result<Vec<ContainerUsage>, RuntimeError> {
        self.ask(|world| Ok(world.usage.clone()))
    }

    async fn image_storage(&self) -> Result<Option<StoredBytes>, RuntimeError> {
        self.ask(|world| Ok(world.images.clone()))
    }

    async fn process(&self) -> Option<u32> {
        None
    }
}

impl Checkpoints for Fake {
    async fn checkpoint(
        &self,
        id: &ContainerId,
        path: &str,
        timeout: Option<Duration>,
    ) -> Result<(), RuntimeError> {
        self.ask(|world| {
            if !world.checkpoints {
                let words =
                    "rpc error: code = Unimplemented desc = method CheckpointContainer not implemented";
                return Err(RuntimeError::Failed(words.to_owned()));
            }
            world.calls.push(format!("checkpoint {} {path} {timeout:?}", id.0));
            std::fs::write(path, b"checkpoint").map_err(|error| RuntimeError::Failed(error.to_string()))
        })
    }
}

fn image(name: &str) -> Image {
    Image {
        id: format!("sha256:{name}"),
        names: vec![name.to_owned()],
        uid: None,
        username: String::new(),
        size: 1,
    }
}
