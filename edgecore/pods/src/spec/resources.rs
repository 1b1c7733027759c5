//! Requests and limits → cgroup numbers.

use edgecore_volumes::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::qos;
use crate::runtime::Resources;
use crate::spec::error::SpecError;

/// Length of the period that CPU quotas count in, microseconds: the kernel's default, as upstream.
const PERIOD: i64 = 100_000;
/// Smallest quota the kernel takes, microseconds.
const LEAST_QUOTA: i64 = 1_000;
/// Score of what is killed last.
const GUARANTEED: i64 = -997;
/// Score of what is killed first.
const BEST_EFFORT: i64 = 1_000;
/// Pods of this class outlive all others.
const NODE_CRITICAL: &str = "system-node-critical";

/// cgroup numbers of a container. `memory_capacity` is the machine's memory in bytes.
pub(crate) fn resources(
    pod: &Pod,
    container: &Container,
    memory_capacity: u64,
) -> Result<Resources, SpecError> {
    let request = amount(container, List::Requests, "cpu")?;
    let limit = amount(container, List::Limits, "cpu")?;
    let memory = amount(container, List::Limits, "memory")?;
    Ok(Resources {
        cpu_shares: shares(request.or(limit).map_or(0, Quantity::milli)),
        cpu_quota: quota(limit.map_or(0, Quantity::milli)),
        cpu_period: PERIOD,
        memory_limit: memory.map_or(0, Quantity::value).max(0),
        oom_score_adj: oom_score(pod, container, i64::try_from(memory_capacity).unwrap_or(i64::MAX))?,
    })
}

#[derive(Clone, Copy)]
enum List {
    Requests,
    Limits,
}

/// What a container asks for, if it does.
fn amount(container: &Container, list: List, name: &str) -> Result<Option<Quantity>, SpecError> {
    let resources = container.resources.as_ref();
    let (list, field) = match list {
        List::Requests => (resources.and_then(|resources| resources.requests.as_ref()), "requests"),
        List::Limits => (resources.and_then(|resources| resources.limits.as_ref()), "limits"),
    };
    let Some(text) = list.and_then(|list| list.get(name)) else { return Ok(None) };
    let wrong =
        |error| SpecError::config(format!("container {}: resources.{field}.{name}: {error}", container.name));
    Quantity::parse(&text.0).map(Some).map_err(wrong)
}

/// Weight: 1024 for a whole CPU, within what the kernel takes.
fn shares(milli: i64) -> i64 {
    (i128::from(milli) * 1024 / 1000).clamp(2, 262_144).try_into().unwrap_or(2)
}

/// Microseconds per period; 0 means no limit.
fn quota(milli: i64) -> i64 {
    if milli <= 0 {
        return 0;
    }
    i64::try_from(i128::from(milli) * i128::from(PERIOD) / 1000).unwrap_or(i64::MAX).max(LEAST_QUOTA)
}

/// Who is killed first when memory runs out: the more of the machine a container asks for, the later.
fn oom_score(pod: &Pod, container: &Container, capacity: i64) -> Result<i64, SpecError> {
    let spec = pod.spec.as_ref();
    if spec.and_then(|spec| spec.priority_class_name.as_deref()) == Some(NODE_CRITICAL) {
        return Ok(GUARANTEED);
    }
    match qos::class(pod) {
        "Guaranteed" => return Ok(GUARANTEED),
        "BestEffort" => return Ok(BEST_EFFORT),
        _ => {}
    }
    let request = |container: &Container| {
        amount(container, List::Requests, "memory").map(|request| request.map_or(0, Quantity::value))
    };
    let score = |bytes: i64| match capacity {
        ..=0 => BEST_EFFORT,
        _ => BEST_EFFORT - i64::try_from(i128::from(bytes) * 1000 / i128::from(capacity)).unwrap_or(i64::MAX),
    };
    let mut found = score(request(container)?);
    if container.restart_policy.as_deref() == Some("Always") {
        // A sidecar lives at least as long as the containers it serves.
        let mut least = i64::MAX;
        for container in spec.iter().flat_map(|spec| &spec.containers) {
            least = least.min(request(container)?);
        }
        found = found.min(score(least));
    }
    Ok(found.clamp(BEST_EFFORT + GUARANTEED, BEST_EFFORT - 1))
}

#[cfg(test)]
#[path = "tests/resources.rs"]
mod tests;
