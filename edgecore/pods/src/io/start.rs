//! One container, from its image to its first breath.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;

use crate::desired::Desired;
use crate::event::Event;
use crate::handler::of_hook;
use crate::image::{PullPolicy, credentials, pull_policy, unanswered};
use crate::io::files::{self, blocking, planned};
use crate::io::handler::Answer;
use crate::io::log_links;
use crate::io::shared::Shared;
use crate::io::sources::{pull_secrets, services, sources};
use crate::io::worker::Home;
use crate::restart::go_duration;
use crate::runtime::{ContainerId, ContainerSpec, Image, Runtime, RuntimeError, SandboxSpec};
use crate::spec::error::{CREATE_CONTAINER, CREATE_CONTAINER_CONFIG};
use crate::spec::{
    ContainerContext, Paths, container_spec, environment, etc_hosts, mount_requests, sandbox_spec,
};

/// A hook has no time limit of its own; this one is against those that never end.
const POST_START: Duration = Duration::from_hours(1);

/// Why a container was not started.
#[derive(Debug)]
pub(super) struct Problem {
    /// Upstream's reason for its waiting.
    pub(super) reason: &'static str,
    /// Message.
    pub(super) message: String,
    /// The image is what is missing.
    pub(super) image: bool,
    /// The runtime does not answer: nothing is known of the container, and it is nobody's fault.
    pub(super) gone: bool,
}

impl Problem {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), image: false, gone: false }
    }

    fn image(reason: &'static str, message: impl Into<String>) -> Self {
        Self { image: true, ..Self::new(reason, message) }
    }

    fn runtime(reason: &'static str, error: &RuntimeError) -> Self {
        let gone = matches!(error, RuntimeError::Unavailable(_));
        Self { gone, ..Self::new(reason, error.to_string()) }
    }
}

/// Starts a container. Everything that people should know is told by events, in upstream's words. `target` is the
/// container whose processes it is to see, where it names one and that one runs.
pub(super) async fn start<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    home: &Home,
    name: &str,
    attempt: u32,
    target: Option<ContainerId>,
) -> Result<(), Problem> {
    let started = run(shared, desired, home, name, attempt, target).await;
    if let Err(problem) = &started
        && !problem.gone
    {
        let what = if problem.image { problem.reason } else { &problem.message };
        let note = format!("Error: {what}");
        shared.events.tell(Event::container(desired, name, true, "Failed", note));
    }
    started
}

async fn run<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    home: &Home,
    name: &str,
    attempt: u32,
    target: Option<ContainerId>,
) -> Result<(), Problem> {
    let Some((_, container)) = desired.container(name) else {
        return Err(Problem::new(CREATE_CONTAINER_CONFIG, format!("the pod has no container {name}")));
    };
    let tell = |warning: bool, reason: &str, note: String| {
        shared.events.tell(Event::container(desired, name, warning, reason, note));
    };
    let config = |message: String| Problem::new(CREATE_CONTAINER_CONFIG, message);
    let sandbox = sandbox_spec(&desired.pod, &shared.facts(), home.attempt)
        .map_err(|error| config(error.to_string()))?
        .spec;
    let image = image(shared, desired, container, &sandbox, attempt > 0).await?;
    let wanted = desired.ephemeral(name).and_then(|ephemeral| ephemeral.target.as_deref());
    if let (Some(wanted), None) = (wanted, &target) {
        return Err(config(format!("unable to find target container {wanted}")));
    }
    let spec = made_out(shared, desired, container, home, &image, attempt).await?;
    let spec = ContainerSpec { target, ..spec };
    files::make_log_dir(shared, desired, Some(name))
        .await
        .map_err(|error| Problem::new(CREATE_CONTAINER, format!("log directory: {error}")))?;
    let id = shared
        .runtime
        .create_container(&home.id, &sandbox, &spec)
        .await
        .map_err(|error| Problem::runtime(CREATE_CONTAINER, &error))?;
    tell(false, "Created", format!("Created container: {name}"));
    shared
        .runtime
        .start_container(&id)
        .await
        .map_err(|error| Problem::runtime("RunContainerError", &error))?;
    tell(false, "Started", format!("Started container {name}"));
    let log = std::path::Path::new(&sandbox.log_directory).join(&spec.log_path);
    if let Err(error) = log_links::link(shared.log_links(), desired, name, &id, log).await {
        tracing::warn!(pod = desired.label(), container = name, %error, "the log is not linked");
    }
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
    let Some(hook) = hook else { return Ok(()) };
    let answer = match of_hook(hook, container) {
        Ok(handler) => {
            let ip = home.ips.first().cloned();
            let ip = ip.or_else(|| shared.facts().host_ips.first().cloned()).unwrap_or_default();
            shared.hands.carry_out(&handler, &id, &ip, POST_START).await
        }
        Err(message) => Answer::No(message),
    };
    match answer {
        Answer::Yes | Answer::Warning(_) => Ok(()),
        Answer::No(message) | Answer::Unknown(message) => {
            tell(true, "FailedPostStartHook", format!("PostStartHook failed: {message}"));
            tell(false, "Killing", "FailedPostStartHook".to_owned());
            let _ = shared.runtime.stop_container(&id, desired.grace()).await.inspect_err(|error| {
                tracing::warn!(container = id.0, %error, "container with a failed hook cannot be stopped");
            });
            Err(Problem::new("PostStartHookError", format!("PostStartHook failed: {message}")))
        }
    }
}

/// The image, on the node. `ran` says that this pod ran this container before: where its policy is `Always` and no
/// registry answers, it then goes on with the image it has, or a node that is offline would lose it for good.
async fn image<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    container: &Container,
    sandbox: &SandboxSpec,
    ran: bool,
) -> Result<Image, Problem> {
    let name = container.image.as_deref().unwrap_or_default();
    let tell = |warning: bool, reason: &str, note: String| {
        shared.events.tell(Event::container(desired, &container.name, warning, reason, note));
    };
    let policy = pull_policy(container);
    let present = shared.runtime.image(name).await.map_err(|error| match error {
        RuntimeError::Image { reason, message } => Problem::image(reason, message),
        RuntimeError::Unavailable(_) | RuntimeError::NotFound(_) | RuntimeError::Failed(_) => {
            Problem { image: true, ..Problem::runtime("ImageInspectError", &error) }
        }
    })?;
    let fallback = match (policy, present) {
        (PullPolicy::IfNotPresent | PullPolicy::Never, Some(image)) => {
            tell(false, "Pulled", format!("Container image \"{name}\" already present on machine"));
            return Ok(image);
        }
        (PullPolicy::Never, None) => {
            let message = format!("Container image \"{name}\" is not present with pull policy of Never");
            tell(true, "ErrImageNeverPull", message.clone());
            return Err(Problem::image("ErrImageNeverPull", message));
        }
        (PullPolicy::Always, present) => present.filter(|_| ran),
        (PullPolicy::IfNotPresent, None) => None,
    };
    pull(shared, desired, container, sandbox, fallback).await
}

/// Fetches the image. `fallback` is what may be used where no registry answers.
async fn pull<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    container: &Container,
    sandbox: &SandboxSpec,
    fallback: Option<Image>,
) -> Result<Image, Problem> {
    let name = container.image.as_deref().unwrap_or_default();
    let tell = |warning: bool, reason: &str, note: String| {
        shared.events.tell(Event::container(desired, &container.name, warning, reason, note));
    };
    let secrets = pull_secrets(shared, desired)
        .map_err(|error| Problem::image("ErrImagePull", kit::errors::chain(&error)))?;
    let (auth, bad) = credentials(name, &secrets);
    for problem in bad {
        tell(true, "FailedToRetrieveImagePullSecret", problem);
    }
    tell(false, "Pulling", format!("Pulling image \"{name}\""));
    let began = shared.clock.elapsed();
    match shared.runtime.pull(name, &auth, sandbox).await {
        Ok(image) => {
            let took = go_duration(shared.clock.elapsed().since(began));
            let size = image.size;
            tell(
                false,
                "Pulled",
                format!(
                    "Successfully pulled image \"{name}\" in {took} ({took} including waiting). Image size: {size} bytes."
                ),
            );
            Ok(image)
        }
        Err(error) => {
            tell(true, "Failed", format!("Failed to pull image \"{name}\": {error}"));
            if let Some(image) = fallback.filter(|_| unanswered(&error.to_string())) {
                let note =
                    format!("No registry answers: container image \"{name}\" is the one this pod ran before");
                tell(true, "PulledBefore", note);
                return Ok(image);
            }
            Err(match error {
                RuntimeError::Image { reason, message } => Problem::image(reason, message),
                // A pull that took too long looks like this too: it waits like any failed pull.
                RuntimeError::Unavailable(_) | RuntimeError::NotFound(_) | RuntimeError::Failed(_) => {
                    Problem::image("ErrImagePull", error.to_string())
                }
            })
        }
    }
}

/// The container as the runtime is asked for it: its environment, and everything mounted into it.
async fn made_out<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    container: &Container,
    home: &Home,
    image: &Image,
    attempt: u32,
) -> Result<ContainerSpec, Problem> {
    let config = |message: String| Problem::new(CREATE_CONTAINER_CONFIG, message);
    let node = shared.facts();
    let ips = if desired.host_network() { &node.host_ips } else { &home.ips };
    let sources = sources(shared, desired).map_err(|error| config(kit::errors::chain(&error)))?;
    let services = services(shared, desired).map_err(|error| config(kit::errors::chain(&error)))?;
    let context = ContainerContext {
        node: &node,
        sources: &sources,
        services: &services,
        pod_ips: ips,
        image,
        attempt,
    };
    let environment = environment(&desired.pod, container, &context)
        .map_err(|error| Problem::new(error.reason, error.message))?;
    let requests =
        mount_requests(container, &environment).map_err(|error| Problem::new(error.reason, error.message))?;
    let plan = planned(shared, desired, ips).map_err(|error| config(kit::errors::chain(&error)))?;
    let hosts =
        etc_hosts(&desired.pod, &node, ips).map_err(|error| Problem::new(error.reason, error.message))?;
    let (dirs, uid, name) = (shared.dirs.clone(), desired.uid.clone(), container.name.clone());
    let files = blocking(move || {
        let bound = dirs.bind(&uid, &name, &plan, &requests);
        let hosts = hosts.map(|content| dirs.etc_hosts(&uid, &content)).transpose()?;
        Ok((bound, hosts, dirs.termination_log(&uid, &name, attempt)?))
    });
    let (bound, hosts, log) =
        files.await.map_err(|error| Problem::new(CREATE_CONTAINER, error.to_string()))?;
    let bound = bound.map_err(|error| config(error.to_string()))?;
    let (hosts, log) = (hosts.map(|path| path.display().to_string()), log.display().to_string());
    let paths = Paths { volumes: &bound, etc_hosts: hosts.as_deref(), termination_log: &log };
    container_spec(&desired.pod, container, &context, environment, &paths)
        .map_err(|error| Problem::new(error.reason, error.message))
}
