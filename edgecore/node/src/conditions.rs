//! Pure: the node's conditions, in upstream's words.

use serde_json::{Value, json};

use crate::health::{Condition, RuntimeState};
use crate::last::Last;
use crate::pressure::Pressure;

/// A condition without times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Says {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

/// All four, in upstream's order.
pub(crate) fn all(runtime: &RuntimeState, network_problem: Option<&str>, pressure: Pressure) -> [Says; 4] {
    let say =
        |kind, holds, (yes_reason, yes): (&'static str, &str), (no_reason, no): (&'static str, &str)| Says {
            kind,
            holds,
            reason: if holds { yes_reason } else { no_reason },
            message: (if holds { yes } else { no }).to_owned(),
        };
    [
        say(
            "MemoryPressure",
            pressure.memory,
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ),
        say(
            "DiskPressure",
            pressure.disk,
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ),
        say(
            "PIDPressure",
            pressure.pid,
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ),
        ready(runtime, network_problem),
    ]
}

fn ready(runtime: &RuntimeState, network_problem: Option<&str>) -> Says {
    let mut problems = Vec::new();
    match runtime.answers {
        None => problems.push("container runtime status check may not have completed yet".to_owned()),
        Some(false) => problems.push("container runtime is down".to_owned()),
        Some(true) => {
            problems.extend(not_ready("container runtime not ready: RuntimeReady", &runtime.runtime));
            problems.extend(not_ready("container runtime network not ready: NetworkReady", &runtime.network));
        }
    }
    problems.extend(network_problem.map(str::to_owned));
    let message = match problems.as_slice() {
        [] => "kubelet is posting ready status".to_owned(),
        [one] => one.clone(),
        more => format!("[{}]", more.join(", ")),
    };
    let holds = problems.is_empty();
    let reason = if holds { "KubeletReady" } else { "KubeletNotReady" };
    Says { kind: "Ready", holds, reason, message }
}

fn not_ready(what: &str, condition: &Condition) -> Option<String> {
    (!condition.status)
        .then(|| format!("{what}=false reason:{} message:{}", condition.reason, condition.message))
}

/// As it stands in `status.conditions`. The time of the last transition is kept while the status stays; `now` is
/// RFC 3339.
pub(crate) fn report(says: &Says, last: &Last, now: &str) -> Value {
    let status = if says.holds { "True" } else { "False" };
    let since = last.since(says.kind, says.holds).unwrap_or(now);
    json!({
        "type": says.kind,
        "status": status,
        "reason": says.reason,
        "message": says.message,
        "lastTransitionTime": since,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> RuntimeState {
        let yes = Condition { status: true, ..Condition::default() };
        RuntimeState { answers: Some(true), runtime: yes.clone(), network: yes, ..RuntimeState::default() }
    }

    fn check(state: &RuntimeState, problem: Option<&str>, holds: bool, message: &str) {
        let says = ready(state, problem);
        assert_eq!((says.holds, says.message.as_str()), (holds, message));
        assert_eq!(says.reason, if holds { "KubeletReady" } else { "KubeletNotReady" });
    }

    #[test]
    fn readiness_is_told_in_upstreams_words() {
        check(&good(), None, true, "kubelet is posting ready status");
        check(&RuntimeState { answers: Some(false), ..good() }, None, false, "container runtime is down");
        check(
            &RuntimeState::default(),
            None,
            false,
            "container runtime status check may not have completed yet",
        );
        let no_network = RuntimeState {
            network: Condition {
                status: false,
                reason: "NetworkPluginNotReady".to_owned(),
                message: "Network plugin returns error: cni plugin not initialized".to_owned(),
            },
            ..good()
        };
        let words = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
                     message:Network plugin returns error: cni plugin not initialized";
        check(&no_network, None, false, words);
        check(&no_network, Some("no forwarding"), false, &format!("[{words}, no forwarding]"));
    }

    #[test]
    fn pressure_is_told_in_upstreams_words() {
        let pressure = Pressure { memory: true, disk: false, pid: true };
        let says = all(&good(), None, pressure);
        let found: Vec<_> = says.iter().map(|s| (s.kind, s.holds, s.reason)).collect();
        assert_eq!(
            found,
            [
                ("MemoryPressure", true, "KubeletHasInsufficientMemory"),
                ("DiskPressure", false, "KubeletHasNoDiskPressure"),
                ("PIDPressure", true, "KubeletHasInsufficientPID"),
                ("Ready", true, "KubeletReady"),
            ]
        );
    }
}
