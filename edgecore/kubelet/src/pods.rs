//! `GET /pods`: the pods that should be here, as a `PodList`, with what was reported of them.

use edgecore_store::Store;
use http::{Response, StatusCode};
use serde_json::{Map, Value};
use wire::Kind;

use crate::answer::{Body, full, text};

/// Answers with the list.
pub(crate) fn answer(store: &Store) -> Response<Body> {
    match list(store) {
        Ok(list) => full(StatusCode::OK, "application/json", list),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, kit::errors::chain(error.as_ref())),
    }
}

fn list(store: &Store) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut items = Vec::new();
    for object in store.objects(Kind::Pod)? {
        let report = store.last_report(&object.key)?.filter(|report| report.uid == object.uid);
        items.push(with_status(&object.body, report.as_ref().map(|report| report.body.as_slice()))?);
    }
    let list = serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
    Ok(serde_json::to_vec(&list)?)
}

/// A pod with the status of a report; without one it has none.
fn with_status(pod: &[u8], report: Option<&[u8]>) -> serde_json::Result<Map<String, Value>> {
    let mut pod: Map<String, Value> = serde_json::from_slice(pod)?;
    let report: Option<Map<String, Value>> = report.map(serde_json::from_slice).transpose()?;
    if let Some(status) = report.and_then(|mut report| report.remove("status")) {
        pod.insert("status".to_owned(), status);
    }
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_comes_from_the_report() {
        let pod = br#"{"metadata":{"name":"p"},"status":{"phase":"Failed"}}"#;
        let shown = |report: Option<&[u8]>| Value::from(with_status(pod, report).unwrap()).to_string();
        assert_eq!(shown(None), r#"{"metadata":{"name":"p"},"status":{"phase":"Failed"}}"#);
        let running = shown(Some(br#"{"status":{"phase":"Running"}}"#));
        assert_eq!(running, r#"{"metadata":{"name":"p"},"status":{"phase":"Running"}}"#);
    }
}
