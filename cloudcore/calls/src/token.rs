//! Service-account tokens. Pure.

use cloudcore_index::PodDetail;
use serde_json::{Value, json};
use wire::TokenRequest;
use wire::call_reply::Failure;

/// What a projection that names no time means, in seconds.
const DEFAULT_SECONDS: i64 = 3600;
/// Most audiences taken.
const MAX_AUDIENCES: usize = 16;

/// A failure of a call.
pub fn failure(status: u32, reason: impl Into<String>) -> Failure {
    Failure { status, reason: reason.into() }
}

/// Whether a node may have this token: the pod is bound to it, is the one meant, has not ended, runs as that
/// account, and has one projection with just these values in its spec.
pub fn check(request: &TokenRequest, node: &str, pod: &Value, detail: &PodDetail) -> Result<(), Failure> {
    let name = format!("{}/{}", request.namespace, request.pod_name);
    if *detail.node != *node {
        return Err(failure(403, format!("pod {name} is not bound to node {node}")));
    }
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/metadata/name") != request.pod_name || text("/metadata/namespace") != request.namespace {
        return Err(failure(403, format!("pod {} is not called {name}", request.pod_uid)));
    }
    if detail.terminal {
        return Err(failure(409, format!("pod {name} has ended")));
    }
    if *detail.service_account != *request.service_account {
        return Err(failure(
            403,
            format!("pod {name} runs as {}, not as {}", detail.service_account, request.service_account),
        ));
    }
    if request.audiences.len() > MAX_AUDIENCES {
        return Err(failure(400, format!("more than {MAX_AUDIENCES} audiences")));
    }
    if projections(pod).any(|source| fits(source, request)) {
        return Ok(());
    }
    let audiences = request.audiences.join(", ");
    let seconds = request.expiration_seconds;
    Err(failure(403, format!("pod {name} projects no token for audiences [{audiences}] and {seconds} s")))
}

/// The body of the request to the API server: a token bound to the pod.
pub fn body(request: &TokenRequest) -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": request.audiences,
            "expirationSeconds": request.expiration_seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": request.pod_name, "uid": request.pod_uid},
        },
    })
}

fn projections(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod.pointer("/spec/volumes"))
        .iter()
        .flat_map(|volume| list(volume.pointer("/projected/sources")))
        .filter_map(|source| source.get("serviceAccountToken"))
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn fits(source: &Value, request: &TokenRequest) -> bool {
    let audience = source.get("audience").and_then(Value::as_str).unwrap_or_default();
    let seconds = source.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
    let same_audience = if audience.is_empty() {
        request.audiences.is_empty()
    } else {
        request.audiences.len() == 1 && request.audiences.iter().all(|asked| asked == audience)
    };
    same_audience && seconds == request.expiration_seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> PodDetail {
        PodDetail {
            node: "n".into(),
            service_account: "sa".into(),
            config_maps: std::collections::BTreeSet::new(),
            secrets: std::collections::BTreeSet::new(),
            service_links: true,
            deleting: false,
            terminal: false,
            status_hash: wire::Version::default(),
        }
    }

    fn pod() -> Value {
        json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"volumes": [
            {"emptyDir": {}},
            {"projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"serviceAccountToken": {"path": "v", "audience": "vault"}}]}}]}})
    }

    fn request(audiences: &[&str], seconds: i64) -> TokenRequest {
        TokenRequest {
            namespace: "ns".into(),
            service_account: "sa".into(),
            pod_name: "p".into(),
            pod_uid: "u".into(),
            audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
            expiration_seconds: seconds,
        }
    }

    fn status(request: &TokenRequest, node: &str, detail: &PodDetail) -> u32 {
        check(request, node, &pod(), detail).map_or_else(|failure| failure.status, |()| 200)
    }

    #[test]
    fn only_what_a_projection_says() {
        assert_eq!(status(&request(&[], 3607), "n", &detail()), 200);
        assert_eq!(status(&request(&["vault"], 3600), "n", &detail()), 200);
        assert_eq!(status(&request(&["vault"], 3607), "n", &detail()), 403);
        assert_eq!(status(&request(&[], 86_400), "n", &detail()), 403);
        assert_eq!(status(&request(&["other"], 3607), "n", &detail()), 403);
        assert_eq!(status(&request(&["vault", "other"], 3600), "n", &detail()), 403);
    }

    #[test]
    fn only_for_a_living_pod_of_that_node_and_account() {
        assert_eq!(status(&request(&[], 3607), "other", &detail()), 403);
        assert_eq!(status(&TokenRequest { pod_name: "q".into(), ..request(&[], 3607) }, "n", &detail()), 403);
        assert_eq!(
            status(&TokenRequest { service_account: "admin".into(), ..request(&[], 3607) }, "n", &detail()),
            403
        );
        assert_eq!(status(&request(&[], 3607), "n", &PodDetail { terminal: true, ..detail() }), 409);
        // A pod that is being deleted may still need it to end in good order.
        assert_eq!(status(&request(&[], 3607), "n", &PodDetail { deleting: true, ..detail() }), 200);
    }
}
