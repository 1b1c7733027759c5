//! Acting as a node.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderValue;
use http::request::Builder;
use serde::Deserialize;
use serde_json::json;

use super::Client;
use crate::error::KubeError;
use crate::path;

/// Which way of impersonating the cluster allows. Shared by all clones of a client.
#[derive(Debug, Default)]
pub struct Impersonation {
    /// Send the group too, as before constrained impersonation existed.
    legacy: AtomicBool,
}

/// Whom a client acts as.
#[derive(Debug, Clone)]
pub(super) struct Acting {
    user: HeaderValue,
}

impl Acting {
    /// As a node. A name that cannot stand in a header becomes one that no node has, so that the API server
    /// refuses, instead of the request going out under cloudcore's own name.
    pub(super) fn node(name: &str) -> Self {
        let user = HeaderValue::from_str(&format!("system:node:{name}"))
            .unwrap_or_else(|_| HeaderValue::from_static("system:node:"));
        Self { user }
    }

    pub(super) fn head(&self, request: Builder, how: &Impersonation) -> Builder {
        let request = request.header("Impersonate-User", self.user.clone());
        if how.legacy.load(Ordering::Relaxed) {
            request.header("Impersonate-Group", "system:nodes")
        } else {
            request
        }
    }
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewStatus {
    user_info: UserInfo,
}

#[derive(Deserialize)]
struct UserInfo {
    #[serde(default)]
    groups: Vec<String>,
}

/// Asks who a node would be, first with the user alone, then with the group.
///
/// Legacy impersonation of the user alone would succeed too, but gives no group, and so no rights of a node: hence
/// the look at the answer.
pub(super) async fn learn(client: &Client, how: &Impersonation) -> Result<&'static str, KubeError> {
    let node = client.as_node("skerry-probe");
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let mut refusal = None;
    for (legacy, name) in [(false, "constrained"), (true, "legacy")] {
        how.legacy.store(legacy, Ordering::Relaxed);
        match node.create::<Review>(&path::SELF_SUBJECT_REVIEWS.all(), &body).await {
            Ok(review) if review.status.user_info.groups.iter().any(|group| group == "system:nodes") => {
                return Ok(name);
            }
            Ok(_) => {}
            Err(error) if error.code() == Some(403) => {
                refusal.get_or_insert(error);
            }
            Err(error) => {
                how.legacy.store(false, Ordering::Relaxed);
                return Err(error);
            }
        }
    }
    how.legacy.store(false, Ordering::Relaxed);
    Err(refusal.unwrap_or_else(|| KubeError::Api {
        request: "POST selfsubjectreviews".to_owned(),
        status: crate::error::ApiStatus {
            code: 403,
            reason: "Forbidden".to_owned(),
            message: "acting as a node gives no group system:nodes".to_owned(),
            retry_after: None,
        },
    }))
}
