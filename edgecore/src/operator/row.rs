//! What `kubectl get pods` says of a pod: `printPod` of k8s.io/kubernetes `pkg/printers/internalversion`, whose oddities
//! are kept. Pure.

use kit::WallTime;
use serde_json::Value;

use super::json::{at, list, number, text};
use super::{lengths, resolve};

/// Where there is nothing to say.
const NONE: &str = "<none>";
/// Longest reason that is shown, in characters.
const LONGEST_REASON: usize = 200;

/// A pod's line in the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) ready: String,
    pub(super) status: String,
    pub(super) restarts: String,
    pub(super) age: String,
    pub(super) ip: String,
    /// Why it is not as it should be, as far as somebody said so.
    pub(super) reason: String,
}

/// The line of a pod, at this time.
pub(super) fn row(pod: &Value, now: WallTime) -> Row {
    let mut tally = Tally { status: phase(pod).to_owned(), ..Tally::default() };
    if !text(pod, "/status/reason").is_empty() {
        text(pod, "/status/reason").clone_into(&mut tally.status);
    }
    let initializing = tally.initialize(pod);
    if !initializing || is_true(pod, "Initialized") {
        tally.run(pod);
    }
    let deleting = !text(pod, "/metadata/deletionTimestamp").is_empty();
    if deleting && text(pod, "/status/reason") == "NodeLost" {
        "Unknown".clone_into(&mut tally.status);
    } else if deleting && !ended(pod) {
        "Terminating".clone_into(&mut tally.status);
    }
    let restartable = list(pod, "/spec/initContainers").iter().filter(|container| is_sidecar(container));
    let total = list(pod, "/spec/containers").len() + restartable.count();
    let ip = [text(pod, "/status/podIPs/0/ip"), text(pod, "/status/podIP"), NONE];
    Row {
        namespace: resolve::namespace(pod).to_owned(),
        name: resolve::name(pod).to_owned(),
        ready: format!("{}/{total}", tally.ready),
        restarts: match tally.restarted {
            Some(last) if tally.restarts > 0 => {
                format!("{} ({} ago)", tally.restarts, lengths::shown(now.0.saturating_sub(last.0)))
            }
            _ => tally.restarts.to_string(),
        },
        age: match WallTime::parse(text(pod, "/metadata/creationTimestamp")) {
            Some(made) => lengths::shown(now.0.saturating_sub(made.0)),
            None => "<unknown>".to_owned(),
        },
        ip: ip.into_iter().find(|ip| !ip.is_empty()).unwrap_or_default().to_owned(),
        reason: reason(pod),
        status: tally.status,
    }
}

/// The phase; of a pod of which nothing was reported yet, what the API server calls it.
pub(super) fn phase(pod: &Value) -> &str {
    match text(pod, "/status/phase") {
        "" => "Pending",
        phase => phase,
    }
}

/// Whether it has ended for good.
pub(super) fn ended(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

fn is_true(pod: &Value, condition: &str) -> bool {
    let mut conditions = list(pod, "/status/conditions").iter();
    conditions.any(|found| text(found, "/type") == condition && text(found, "/status") == "True")
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

#[derive(Debug, Default)]
struct Tally {
    status: String,
    ready: usize,
    restarts: i64,
    restarted: Option<WallTime>,
    /// What of both is due to sidecars.
    sidecars: (i64, Option<WallTime>),
}

impl Tally {
    /// Goes through the init containers; whether they are not through.
    fn initialize(&mut self, pod: &Value) -> bool {
        let specs = list(pod, "/spec/initContainers");
        for (index, container) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            let spec = specs.iter().find(|spec| text(spec, "/name") == text(container, "/name"));
            let sidecar = spec.is_some_and(is_sidecar);
            self.restarts += number(container, "/restartCount");
            self.restarted = self.restarted.max(last_end(container));
            if sidecar {
                self.sidecars.0 += number(container, "/restartCount");
                self.sidecars.1 = self.sidecars.1.max(last_end(container));
            }
            let terminated = at(container, "/state/terminated");
            let waits = text(container, "/state/waiting/reason");
            if !terminated.is_null() && number(terminated, "/exitCode") == 0 {
                continue;
            }
            if sidecar && at(container, "/started") == &Value::Bool(true) {
                self.ready += usize::from(at(container, "/ready") == &Value::Bool(true));
                continue;
            }
            self.status = match () {
                () if !terminated.is_null() => format!("Init:{}", how_ended(terminated)),
                () if !matches!(waits, "" | "PodInitializing") => format!("Init:{waits}"),
                () => format!("Init:{index}/{}", specs.len()),
            };
            return true;
        }
        false
    }

    /// Goes through the containers.
    fn run(&mut self, pod: &Value) {
        (self.restarts, self.restarted) = self.sidecars;
        let (mut runs, mut failed) = (false, None);
        for container in list(pod, "/status/containerStatuses").iter().rev() {
            self.restarts += number(container, "/restartCount");
            self.restarted = self.restarted.max(last_end(container));
            let terminated = at(container, "/state/terminated");
            let waits = text(container, "/state/waiting/reason");
            if !waits.is_empty() {
                waits.clone_into(&mut self.status);
            } else if !terminated.is_null() {
                self.status = how_ended(terminated);
                if number(terminated, "/exitCode") != 0 {
                    failed = Some(self.status.clone());
                }
            } else if at(container, "/ready") == &Value::Bool(true)
                && !at(container, "/state/running").is_null()
            {
                runs = true;
                self.ready += 1;
            }
        }
        if self.status == "Completed" {
            self.status = match (runs, failed) {
                (true, _) if is_true(pod, "Ready") => "Running".to_owned(),
                (_, Some(failed)) => failed,
                (true, None) => "NotReady".to_owned(),
                (false, None) => return,
            };
        }
    }
}

fn how_ended(terminated: &Value) -> String {
    match (text(terminated, "/reason"), number(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn last_end(container: &Value) -> Option<WallTime> {
    WallTime::parse(text(container, "/lastState/terminated/finishedAt"))
}

/// What was said last of why the pod is not as it should be: of the pod, of a condition of ours, of a container that
/// waits, of one that failed.
fn reason(pod: &Value) -> String {
    let conditions = list(pod, "/status/conditions").iter();
    let mut ours = conditions.filter(|condition| {
        text(condition, "/type").starts_with("skerry.io/") && text(condition, "/status") == "False"
    });
    let statuses = || {
        let of = |pointer: &str| list(pod, pointer).iter();
        of("/status/initContainerStatuses").chain(of("/status/containerStatuses"))
    };
    let said = [
        text(pod, "/status/message"),
        ours.next().map_or("", |condition| text(condition, "/message")),
        statuses()
            .map(|container| text(container, "/state/waiting/message"))
            .find(|said| !said.is_empty())
            .unwrap_or(""),
    ];
    let said = said.into_iter().find(|said| !said.is_empty()).map(str::to_owned);
    let failed = || {
        let ends = statuses().flat_map(|container| {
            ["/state/terminated", "/lastState/terminated"].map(|state| (container, at(container, state)))
        });
        let mut failed = ends.filter(|(_, end)| number(end, "/exitCode") != 0);
        let (container, end) = failed.next()?;
        let (name, code) = (text(container, "/name"), number(end, "/exitCode"));
        Some(format!("{name} ended: {}, exit code {code}", how_ended(end)))
    };
    let words = said.or_else(failed).unwrap_or_else(|| NONE.to_owned());
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

#[cfg(test)]
#[path = "row/tests.rs"]
mod tests;
