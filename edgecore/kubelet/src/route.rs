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
    /// A path that nobody answers.
    NotFound,
    /// A path that is answered, but not to this method.
    MethodNotAllowed,
}

/// Finds the route of a request.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Route<'a> {
    let route = find(path);
    let allowed: &[Method] = match route {
        Route::Healthz => &[Method::GET, Method::HEAD],
        Route::Logs(_) | Route::Pods => &[Method::GET],
        // A websocket begins with GET, SPDY with either.
        Route::Exec(_) | Route::Attach(_) | Route::PortForward(_) => &[Method::GET, Method::POST],
        Route::NotFound | Route::MethodNotAllowed => return route,
    };
    if allowed.contains(method) { route } else { Route::MethodNotAllowed }
}

fn find(path: &str) -> Route<'_> {
    let Some(rest) = path.strip_prefix('/') else { return Route::NotFound };
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
        "healthz" if rest.is_empty() && path == "/healthz" => Some(Route::Healthz),
        "pods" if rest.is_empty() => Some(Route::Pods),
        "containerLogs" if full && words.len() == 3 => place(true).map(Route::Logs),
        "exec" if full => place(true).map(Route::Exec),
        "attach" if full => place(true).map(Route::Attach),
        "portForward" if full => place(false).map(Route::PortForward),
        _ => None,
    };
    found.unwrap_or(Route::NotFound)
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
            (Method::POST, "/healthz", Route::MethodNotAllowed),
            (Method::GET, "/", Route::NotFound),
            (Method::GET, "", Route::NotFound),
            (Method::GET, "/healthz/", Route::NotFound),
            (Method::GET, "/containerLogs/n/p/c", Route::Logs(place)),
            (Method::POST, "/containerLogs/n/p/c", Route::MethodNotAllowed),
            (Method::GET, "/containerLogs/n/p", Route::NotFound),
            (Method::GET, "/containerLogs/n/p/u/c", Route::NotFound),
            (Method::GET, "/containerLogs/n/p/", Route::NotFound),
            (Method::GET, "/containerLogs/n//c", Route::NotFound),
            (Method::POST, "/exec/n/p/c", Route::Exec(place)),
            (Method::GET, "/exec/n/p/u/c", Route::Exec(with_uid)),
            (Method::PUT, "/exec/n/p/c", Route::MethodNotAllowed),
            (Method::GET, "/exec/n/p", Route::NotFound),
            (Method::POST, "/attach/n/p/c", Route::Attach(place)),
            (Method::POST, "/portForward/n/p", Route::PortForward(whole)),
            (Method::POST, "/portForward/n/p/u", Route::PortForward(Place { container: "", ..with_uid })),
            (Method::GET, "/pods", Route::Pods),
            (Method::GET, "/pods/", Route::Pods),
        ] {
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }
}
