//! Who a bearer token is, and what it may do.

use serde::Deserialize;
use serde_json::json;

use crate::client::Client;
use crate::error::KubeError;
use crate::path::{SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS};

/// The user behind a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct User {
    /// Name.
    pub username: String,
    /// UID.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Whatever else the authenticator says.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            username: String::new(),
            uid: String::new(),
            groups: Vec::new(),
            extra: serde_json::Map::new(),
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    status: TokenStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    user: User,
}

#[derive(Deserialize)]
struct AccessAnswer {
    #[serde(default)]
    status: AccessStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
}

/// The user of a token; `None` where it is nobody's.
pub async fn token(client: &Client, token: &str) -> Result<Option<User>, KubeError> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    });
    let answer: TokenAnswer = client.create(&TOKEN_REVIEWS.all(), &review).await?;
    Ok(answer.status.authenticated.then_some(answer.status.user))
}

/// Whether a user may use a verb on a path that is no resource.
pub async fn path(client: &Client, user: &User, verb: &str, path: &str) -> Result<bool, KubeError> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups,
            "extra": user.extra,
            "nonResourceAttributes": {"path": path, "verb": verb},
        },
    });
    let answer: AccessAnswer = client.create(&SUBJECT_ACCESS_REVIEWS.all(), &review).await?;
    Ok(answer.status.allowed)
}
