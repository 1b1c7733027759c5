//! Service-account tokens as a pod finds them: what they claim.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Where the default projection puts a pod's token.
pub const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The claims of a JSON web token, unverified: the API server is asked where validity matters.
///
/// # Errors
/// It is no such token.
pub fn claims(token: &str) -> Result<Value> {
    let payload = token.trim().split('.').nth(1).context("a token without a payload")?;
    let json = URL_SAFE_NO_PAD.decode(payload).context("a token's payload is not base64")?;
    serde_json::from_slice(&json).context("a token's payload is not JSON")
}

/// UID of the pod a token is bound to.
///
/// # Errors
/// It is no token, or not bound to a pod.
pub fn pod_uid(token: &str) -> Result<String> {
    let claims = claims(token)?;
    let uid = claims.pointer("/kubernetes.io/pod/uid").and_then(Value::as_str);
    uid.map(str::to_owned).context("a token that is bound to no pod")
}

/// When a token expires, seconds since 1970.
///
/// # Errors
/// It is no token, or never expires.
pub fn expires(token: &str) -> Result<i64> {
    claims(token)?["exp"].as_i64().context("a token without an expiry")
}
