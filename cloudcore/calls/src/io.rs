//! Answers calls.

use std::time::Duration;

use cloudcore_index::Index;
use cloudcore_kube::path::SERVICE_ACCOUNTS;
use cloudcore_kube::{Client, KubeError};
use kit::errors::chain;
use serde_json::Value;
use wire::call_reply::{Failure, Result as Answer};
use wire::{Call, CallReply, Kind, TokenRequest, call};

use crate::token::{self, failure};

/// The longest an answer may take, whatever the edge says.
const LONGEST: Duration = Duration::from_secs(30);

/// Answers a call of a node, within the time in which the answer is of use.
pub async fn answer(client: &Client, index: &Index, node: &str, call: Call) -> CallReply {
    let limit = Duration::from_millis(u64::from(call.deadline_ms)).clamp(Duration::from_millis(100), LONGEST);
    let answered = async {
        match &call.request {
            Some(call::Request::Token(request)) => issue(client, index, node, request).await,
            None => Err(failure(400, "this cloud does not know what is asked")),
        }
    };
    let result = tokio::time::timeout(limit, answered)
        .await
        .unwrap_or_else(|_| Err(failure(504, format!("no answer of the API server within {limit:?}"))));
    if let Err(failure) = &result {
        tracing::warn!(node, call = call.id, status = failure.status, reason = failure.reason, "call failed");
    }
    CallReply { id: call.id, result: Some(result.map_or_else(Answer::Err, Answer::Ok)) }
}

async fn issue(
    client: &Client,
    index: &Index,
    node: &str,
    request: &TokenRequest,
) -> Result<Vec<u8>, Failure> {
    let pod = index.object(Kind::Pod, &request.pod_uid);
    let pod = pod.ok_or_else(|| failure(404, format!("there is no pod with UID {}", request.pod_uid)))?;
    let detail = pod.pod().ok_or_else(|| failure(404, "not a pod"))?;
    let body = pod.json().map_err(|error| failure(503, chain(&error)))?;
    let body: Value = serde_json::from_slice(&body).map_err(|error| failure(503, error.to_string()))?;
    token::check(request, node, &body, detail)?;
    let path = SERVICE_ACCOUNTS.sub(&request.namespace, &request.service_account, "token");
    let token: Value =
        client.as_node(node).create(&path, &token::body(request)).await.map_err(|error| refused(&error))?;
    serde_json::to_vec(&token).map_err(|error| failure(503, error.to_string()))
}

/// The API server's refusal, with one of the statuses an edge knows.
fn refused(error: &KubeError) -> Failure {
    match error.status() {
        Some(status) => {
            let code = match status.code {
                code @ (400 | 403 | 404 | 409 | 422 | 429 | 504) => u32::from(code),
                _ => 503,
            };
            failure(code, status.message.clone())
        }
        None => failure(503, chain(error)),
    }
}
