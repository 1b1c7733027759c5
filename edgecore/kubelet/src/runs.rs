//! `GET /runningpods/`: the pods that the runtime runs, as a `PodList` of what it knows of them.

use edgecore_pods::runtime::{Observed, Runtime};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Body, json as answered, text};
use crate::io::Parts;
use crate::stats::gather::running;

/// Answers with the list.
pub(crate) async fn answer<R: Runtime>(parts: &Parts<R>) -> Response<Body> {
    match parts.runtime.observe().await {
        Ok(observed) => answered(&list(&observed)),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn list(observed: &Observed) -> Value {
    let pods = running(observed).into_iter().map(|(sandbox, containers)| {
        let containers: Vec<Value> = containers
            .iter()
            .map(|own| json!({"name": own.name, "image": own.image, "resources": {}}))
            .collect();
        json!({
            "metadata": {
                "name": sandbox.pod_name,
                "namespace": sandbox.pod_namespace,
                "uid": sandbox.pod_uid,
            },
            "spec": {"containers": containers},
            "status": {},
        })
    });
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods.collect::<Vec<_>>()})
}
