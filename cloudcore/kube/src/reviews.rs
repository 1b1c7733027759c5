//! Who a bearer token is, and what somebody may do; and the short memory of such answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kit::Elapsed;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::Version;

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
    pub extra: serde_json::Map<String, Value>,
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
    access(client, user, "nonResourceAttributes", &json!({"path": path, "verb": verb})).await
}

/// Whether a user may use a verb on a subresource of a node: what a kubelet asks before it answers.
pub async fn node(
    client: &Client,
    user: &User,
    verb: &str,
    node: &str,
    subresource: &str,
) -> Result<bool, KubeError> {
    let asked =
        json!({"version": "v1", "resource": "nodes", "name": node, "subresource": subresource, "verb": verb});
    access(client, user, "resourceAttributes", &asked).await
}

async fn access(client: &Client, user: &User, what: &str, asked: &Value) -> Result<bool, KubeError> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups,
            "extra": user.extra,
            what: asked,
        },
    });
    let answer: AccessAnswer = client.create(&SUBJECT_ACCESS_REVIEWS.all(), &review).await?;
    Ok(answer.status.allowed)
}

/// Answers that were given a moment ago, by a hash of what was asked; a bounded number of them.
#[derive(Debug)]
pub struct Memory<T> {
    most: usize,
    answers: Mutex<BTreeMap<Version, (T, Elapsed)>>,
}

impl<T: Clone> Memory<T> {
    /// Holds up to `most` answers.
    pub const fn new(most: usize) -> Self {
        Self { most, answers: Mutex::new(BTreeMap::new()) }
    }

    /// What was answered, where that still counts.
    pub fn recall(&self, asked: Version, now: Elapsed) -> Option<T> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, (_, until)| *until > now);
        answers.get(&asked).map(|(answer, _)| answer.clone())
    }

    /// Keeps an answer until then, where there is room.
    pub fn keep(&self, asked: Version, answer: T, until: Elapsed) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() < self.most || answers.contains_key(&asked) {
            answers.insert(asked, (answer, until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_in_time_and_do_not_pile_up() {
        let memory = Memory::new(2);
        let [a, b, c] = ["a", "b", "c"].map(|text| Version::of(text.as_bytes()));
        let at = Elapsed::from_millis;
        memory.keep(a, 1, at(10));
        memory.keep(b, 2, at(20));
        memory.keep(c, 3, at(20));
        assert_eq!([a, b, c].map(|asked| memory.recall(asked, at(9))), [Some(1), Some(2), None]);
        assert_eq!(memory.recall(a, at(10)), None);
        memory.keep(c, 3, at(30));
        assert_eq!(memory.recall(c, at(29)), Some(3));
    }
}
