//! What a request is to an authorizer: a verb on subresources of a node, as a kubelet reads it
//! (Kubernetes, `pkg/kubelet/server/auth.go`). Pure.

use http::Method;

/// The verb of a method; none for a method that no kubelet answers.
pub(crate) fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// Subresources of the node, any of which is enough.
pub(crate) fn subresources(path: &str) -> &'static [&'static str] {
    /// By first part of the path. Reading pods, health or configuration is less than everything that `proxy` opens.
    const KNOWN: [(&str, &[&str]); 10] = [
        ("pods", &["pods", "proxy"]),
        ("runningpods", &["pods", "proxy"]),
        ("healthz", &["healthz", "proxy"]),
        ("configz", &["configz", "proxy"]),
        ("flagz", &["configz"]),
        ("statusz", &["statusz"]),
        ("stats", &["stats"]),
        ("metrics", &["metrics"]),
        ("logs", &["log"]),
        ("checkpoint", &["checkpoint"]),
    ];
    let first = path.strip_prefix('/').unwrap_or_default().split('/').next().unwrap_or_default();
    KNOWN.iter().find(|(known, _)| *known == first).map_or(&["proxy"], |(_, subresources)| *subresources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_kubelet() {
        for (path, expected) in [
            ("/pods", &["pods", "proxy"][..]),
            ("/pods/", &["pods", "proxy"]),
            ("/runningpods/", &["pods", "proxy"]),
            ("/healthz", &["healthz", "proxy"]),
            ("/healthz/ping", &["healthz", "proxy"]),
            ("/healthzx", &["proxy"]),
            ("/configz", &["configz", "proxy"]),
            ("/stats/summary", &["stats"]),
            ("/metrics", &["metrics"]),
            ("/metrics/resource", &["metrics"]),
            ("/metricsx", &["proxy"]),
            ("/logs/", &["log"]),
            ("/checkpoint/n/p/c", &["checkpoint"]),
            ("/containerLogs/n/p/c", &["proxy"]),
            ("/exec/n/p/c", &["proxy"]),
            ("//metrics", &["proxy"]),
            ("/", &["proxy"]),
            ("", &["proxy"]),
        ] {
            assert_eq!(subresources(path), expected, "{path}");
        }
        assert_eq!((verb(&Method::POST), verb(&Method::GET), verb(&Method::OPTIONS)), ("create", "get", ""));
    }
}
