//! Join tokens as the cluster keeps them, and whether one may be used: pure.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kit::WallTime;
use pki::{Bound, SecretHash, Spki, check_node_name, check_pattern};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::errors::{JoinError, Refusal};

/// Type of the Secrets that keep tokens.
pub(crate) const SECRET_TYPE: &str = "skerry.io/join-token";
/// Most uses one token may have: they are listed in its Secret.
const MAX_USES: u32 = 5_000;
const MAX_TTL: Duration = Duration::from_hours(365 * 24);
/// How long a token is kept after it expired, in milliseconds.
const KEPT_MS: i64 = 60 * 60 * 1000;
/// Names of users shown in a refusal.
const SHOWN: usize = 5;

/// What a new token shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// Whom it lets in.
    pub bound: Bound,
    /// For how long.
    pub ttl: Duration,
    /// How many nodes.
    pub uses: u32,
}

impl TokenSpec {
    /// Whether such a token makes sense; the error says what does not.
    pub fn check(&self) -> Result<(), JoinError> {
        let wrong = |why: String| Err(JoinError::Token(why));
        let named = match &self.bound {
            Bound::Node(name) => check_node_name(name),
            Bound::Pattern(pattern) => check_pattern(pattern),
        };
        if let Err(error) = named {
            return wrong(error.to_string());
        }
        if self.ttl.is_zero() || self.ttl > MAX_TTL {
            return wrong("its life must be between a second and a year".to_owned());
        }
        if self.uses == 0 || self.uses > MAX_USES {
            return wrong(format!("its uses must be between 1 and {MAX_USES}"));
        }
        if matches!(self.bound, Bound::Node(_)) && self.uses != 1 {
            return wrong("one that is bound to a node has one use".to_owned());
        }
        Ok(())
    }
}

/// One use: the same key may come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Use {
    pub(crate) node: String,
    pub(crate) spki: Spki,
}

/// A token as the cluster keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) hash: SecretHash,
    pub(crate) bound: Bound,
    pub(crate) issued: WallTime,
    pub(crate) expires: WallTime,
    pub(crate) uses: u32,
    pub(crate) used: Vec<Use>,
}

/// What a node asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) secret: &'a str,
    pub(crate) node: &'a str,
    pub(crate) spki: Spki,
}

/// What to do about a token that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Usage {
    /// This key used it before: nothing to write.
    Again,
    /// Write this list of uses.
    Record(Vec<Use>),
}

/// Whether the token may be used for this. The secret is judged first: who does not know it learns nothing else.
pub(crate) fn usage(grant: &Grant, asked: &Asked<'_>, now: WallTime) -> Result<Usage, Refusal> {
    let token = || grant.id.clone();
    if !grant.hash.fits(asked.secret) {
        return Err(Refusal::WrongSecret(token()));
    }
    if now >= grant.expires {
        return Err(Refusal::Expired(token()));
    }
    if !grant.bound.admits(asked.node) {
        let bound = match &grant.bound {
            Bound::Node(name) => format!("node {name:?}"),
            Bound::Pattern(pattern) => format!("nodes named like {pattern:?}"),
        };
        return Err(Refusal::OtherName { token: token(), bound, node: asked.node.to_owned() });
    }
    let this = Use { node: asked.node.to_owned(), spki: asked.spki };
    if grant.used.contains(&this) {
        return Ok(Usage::Again);
    }
    let full = grant.used.len() >= grant.uses as usize;
    if full || grant.used.iter().any(|used| used.node == this.node) {
        let by: Vec<&str> = grant.used.iter().take(SHOWN).map(|used| used.node.as_str()).collect();
        let by =
            if grant.used.len() > SHOWN { format!("{} and others", by.join(", ")) } else { by.join(", ") };
        // The node of that name with another key: it is not the count that stands against it.
        return Err(if full {
            Refusal::UsedUp { token: token(), by }
        } else {
            Refusal::NameTaken(this.node)
        });
    }
    let mut used = grant.used.clone();
    used.push(this);
    Ok(Usage::Record(used))
}

/// Whether nobody needs the token any more: a node that comes late still hears for a while that it has expired.
pub(crate) fn is_spent(grant: &Grant, now: WallTime) -> bool {
    now >= grant.expires.plus_millis(KEPT_MS)
}

/// The id in the name of a Secret that keeps a token.
pub(crate) fn id_of(secret_name: &str) -> Option<&str> {
    secret_name.strip_prefix("join-token-")
}

/// The name of the Secret that keeps a token; `None` where that cannot be a token's id.
pub(crate) fn secret_name(id: &str) -> Option<String> {
    let fits = id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
    fits.then(|| format!("join-token-{id}"))
}

/// The Secret of a new token.
pub(crate) fn to_secret(grant: &Grant, namespace: &str) -> Value {
    let mut secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SECRET_TYPE,
        "metadata": {
            "name": format!("join-token-{}", grant.id),
            "namespace": namespace,
            "labels": { "app.kubernetes.io/managed-by": "skerry" },
        },
    });
    if let Some(secret) = secret.as_object_mut() {
        secret.insert("data".to_owned(), Value::Object(data(grant)));
    }
    secret
}

fn data(grant: &Grant) -> Map<String, Value> {
    let mut data = Map::new();
    let mut put = |key: &str, text: String| data.insert(key.to_owned(), json!(STANDARD.encode(text)));
    put("secretSha256", grant.hash.to_string());
    put("issued", grant.issued.0.to_string());
    put("expires", grant.expires.0.to_string());
    put("uses", grant.uses.to_string());
    put("used", used_text(&grant.used));
    match &grant.bound {
        Bound::Node(name) => put("node", name.clone()),
        Bound::Pattern(pattern) => put("pattern", pattern.clone()),
    };
    data
}

/// The value of the key `used`, to be written back into the Secret that was read.
pub(crate) fn used_data(used: &[Use]) -> Value {
    json!(STANDARD.encode(used_text(used)))
}

fn used_text(used: &[Use]) -> String {
    // Strings only: serialising cannot fail.
    serde_json::to_string(used).unwrap_or_default()
}

/// Reads the Secret of a token.
pub(crate) fn from_secret(id: &str, secret: &Value) -> Result<Grant, JoinError> {
    let damaged = |why| JoinError::Damaged { object: format!("Secret join-token-{id}"), why };
    if secret.get("type").and_then(Value::as_str) != Some(SECRET_TYPE) {
        return Err(damaged("it is of another type"));
    }
    let text = |key: &str| -> Option<String> {
        let encoded = secret.get("data")?.get(key)?.as_str()?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    };
    let millis = |key: &str| text(key).and_then(|text| text.parse().ok()).map(WallTime);
    let bound = match (text("node"), text("pattern")) {
        (Some(node), None) => Bound::Node(node),
        (None, Some(pattern)) => Bound::Pattern(pattern),
        _ => return Err(damaged("exactly one of node and pattern must be there")),
    };
    let used = text("used").ok_or_else(|| damaged("used"))?;
    Ok(Grant {
        id: id.to_owned(),
        hash: text("secretSha256")
            .and_then(|hash| SecretHash::parse(&hash))
            .ok_or_else(|| damaged("secretSha256"))?,
        bound,
        issued: issued(millis("issued").ok_or_else(|| damaged("issued"))?, secret),
        expires: millis("expires").ok_or_else(|| damaged("expires"))?,
        uses: text("uses").and_then(|uses| uses.parse().ok()).ok_or_else(|| damaged("uses"))?,
        used: serde_json::from_str(&used).map_err(|_| damaged("used"))?,
    })
}

/// When a token was issued. Its maker's clock only tells where in the second of the Secret's creation that was: it is
/// compared with times that others wrote, and may be wrong by hours.
fn issued(claimed: WallTime, secret: &Value) -> WallTime {
    let created = secret.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    created.and_then(WallTime::parse).map_or(claimed, |from| claimed.clamp(from, from.plus_millis(999)))
}

#[cfg(test)]
#[path = "tests/grant.rs"]
mod tests;
