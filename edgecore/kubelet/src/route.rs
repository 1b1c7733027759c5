//! Which path is answered by whom: the kubelet's paths. Pure.

use http::Method;

/// A container, as a path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    /// The pod's UID, where the path says it: then no other pod of that name is meant.
    pub(crate) uid: Option<&'a str>,
    /// Empty where the path is about the pod.
    pub(crate) container: &'a str,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// Whether the agent is well.
    Healthz,
    /// A container's log.
    Logs(Place<'a>),
    /// A command in a container.
    Exec(Place<'a>),
    /// The streams of a container's own process.
    Attach(Place<'a>),
    /// Ports of a pod.
    PortForward(Place<'a>),
    /// The pods that should be here, with what was reported of them.
    Pods,
    /// The pods that the runtime runs.
    RunningPods,
    /// What is used, as a summary.
    Summary,
    /// The agent's own metrics.
    Metrics,
    /// What is used of processors and memory.
    ResourceMetrics,
    /// What containers use.
    ContainerMetrics,
    /// How often probes were tried.
    ProbeMetrics,
    /// The configuration.
    Configuration,
    /// The state of a container, written down.
    Checkpoint(Place<'a>),
    /// The node's own logs, which are not shown.
    NodeLogs,
    /// A path that nobody answers.
    NotFound,
    /// The same below a path that somebody answers; a kubelet has other words there.
    NotFoundBelow,
    /// A path that is answered, but only to these methods.
    MethodNotAllowed(&'static str),
}

/// First words of paths below which a kubelet looks further.
const BELOW: [&str; 8] =
    ["pods", "runningpods", "stats", "containerLogs", "checkpoint", "exec", "attach", "portForward"];

/// Finds the route of a request.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Route<'a> {
    let route = find(path);
    let allowed = match route {
        Route::Healthz => "GET, HEAD",
        Route::Logs(_) | Route::Pods | Route::RunningPods => "GET",
        // A websocket begins with GET, SPDY with either.
        Route::Exec(_) | Route::Attach(_) | Route::PortForward(_) | Route::Summary => "GET, POST",
        Route::Checkpoint(_) => "POST",
        // Whatever the method: so it is with a kubelet.
        Route::Metrics
        | Route::ResourceMetrics
        | Route::ContainerMetrics
        | Route::ProbeMetrics
        | Route::Configuration
        | Route::NodeLogs
        | Route::NotFound
        | Route::NotFoundBelow
        | Route::MethodNotAllowed(_) => return route,
    };
    if allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        route
    } else {
        Route::MethodNotAllowed(allowed)
    }
}

fn find(path: &str) -> Route<'_> {
    let Some(rest) = path.strip_prefix('/') else { return Route::NotFound };
    match rest {
        "healthz" => return Route::Healthz,
        "metrics" => return Route::Metrics,
        "metrics/resource" => return Route::ResourceMetrics,
        "metrics/cadvisor" => return Route::ContainerMetrics,
        "metrics/probes" => return Route::ProbeMetrics,
        "configz" => return Route::Configuration,
        "stats/summary" | "stats/summary/" => return Route::Summary,
        _ => {}
    }
    let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let words: Vec<&str> = rest.split('/').collect();
    let place = |container: bool| match (words.as_slice(), container) {
        ([namespace, pod, container], true) => Some(Place { namespace, pod, uid: None, container }),
        ([namespace, pod, uid, container], true) => Some(Place { namespace, pod, uid: Some(uid), container }),
        ([namespace, pod], false) => Some(Place { namespace, pod, uid: None, container: "" }),
        ([namespace, pod, uid], false) => Some(Place { namespace, pod, uid: Some(uid), container: "" }),
        _ => None,
    };
    let full = !words.contains(&"");
    let found = match first {
        "pods" if rest.is_empty() => Some(Route::Pods),
        "runningpods" if rest.is_empty() => Some(Route::RunningPods),
        "containerLogs" if full && words.len() == 3 => place(true).map(Route::Logs),
        "checkpoint" if full && words.len() == 3 => place(true).map(Route::Checkpoint),
        "exec" if full => place(true).map(Route::Exec),
        "attach" if full => place(true).map(Route::Attach),
        "portForward" if full => place(false).map(Route::PortForward),
        "logs" => Some(Route::NodeLogs),
        _ => None,
    };
    let known = BELOW.contains(&first);
    found.unwrap_or(if known { Route::NotFoundBelow } else { Route::NotFound })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let place = Place { namespace: "n", pod: "p", uid: None, container: "c" };
        let with_uid = Place { uid: Some("u"), ..place };
        let whole = Place { container: "", ..place };
        for (method, path, expected) in [
            (Method::GET, "/healthz", Route::Healthz),
            (Method::HEAD, "/healthz", Route::Healthz),
            (Method::POST, "/healthz", Route::MethodNotAllowed("GET, HEAD")),
            (Method::GET, "/", Route::NotFound),
            (Method::GET, "", Route::NotFound),
            (Method::GET, "/healthz/", Route::NotFound),
            (Method::GET, "/containerLogs/n/p/c", Route::Logs(place)),
            (Method::POST, "/containerLogs/n/p/c", Route::MethodNotAllowed("GET")),
            (Method::GET, "/containerLogs/n/p", Route::NotFoundBelow),
            (Method::GET, "/containerLogs/n/p/u/c", Route::NotFoundBelow),
            (Method::GET, "/containerLogs/n/p/", Route::NotFoundBelow),
            (Method::GET, "/containerLogs/n//c", Route::NotFoundBelow),
            (Method::POST, "/exec/n/p/c", Route::Exec(place)),
            (Method::GET, "/exec/n/p/u/c", Route::Exec(with_uid)),
            (Method::PUT, "/exec/n/p/c", Route::MethodNotAllowed("GET, POST")),
            (Method::GET, "/exec/n/p", Route::NotFoundBelow),
            (Method::POST, "/attach/n/p/c", Route::Attach(place)),
            (Method::POST, "/portForward/n/p", Route::PortForward(whole)),
            (Method::POST, "/portForward/n/p/u", Route::PortForward(Place { container: "", ..with_uid })),
            (Method::GET, "/pods", Route::Pods),
            (Method::GET, "/pods/", Route::Pods),
            (Method::HEAD, "/pods", Route::MethodNotAllowed("GET")),
            (Method::GET, "/pods/x", Route::NotFoundBelow),
            (Method::GET, "/runningpods/", Route::RunningPods),
            (Method::GET, "/runningpods", Route::RunningPods),
            (Method::POST, "/runningpods/", Route::MethodNotAllowed("GET")),
            (Method::GET, "/stats/summary", Route::Summary),
            (Method::POST, "/stats/summary", Route::Summary),
            (Method::PUT, "/stats/summary", Route::MethodNotAllowed("GET, POST")),
            (Method::GET, "/stats", Route::NotFoundBelow),
            (Method::GET, "/stats/container", Route::NotFoundBelow),
            (Method::GET, "/metrics", Route::Metrics),
            (Method::HEAD, "/metrics", Route::Metrics),
            (Method::GET, "/metrics/", Route::NotFound),
            (Method::GET, "/metrics/resource", Route::ResourceMetrics),
            (Method::GET, "/metrics/cadvisor", Route::ContainerMetrics),
            (Method::GET, "/metrics/probes", Route::ProbeMetrics),
            (Method::GET, "/metrics/slis", Route::NotFound),
            (Method::GET, "/configz", Route::Configuration),
            (Method::POST, "/checkpoint/n/p/c", Route::Checkpoint(place)),
            (Method::GET, "/checkpoint/n/p/c", Route::MethodNotAllowed("POST")),
            (Method::POST, "/checkpoint/n/p", Route::NotFoundBelow),
            (Method::GET, "/logs", Route::NodeLogs),
            (Method::GET, "/logs/", Route::NodeLogs),
            (Method::GET, "/logs/syslog", Route::NodeLogs),
        ] {
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }
}
